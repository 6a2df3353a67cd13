--- Options of a reading or an effect, as somebody wrote them. What is not known is
-- refused: a limit that was misspelt must not become no limit at all.

local err = require "base.err"
local schema = require "base.schema"

local function refuse(code, format, ...)
  err.raise { kind = "invalid", code = code, message = format:format(...) }
end

local function has(names, name)
  for _, known in ipairs(names) do
    if known == name then return true end
  end
  return false
end

--- Raises on what is no table of options, and on options that are not in `names`.
---@param given? table
---@param names string[]
---@param method string  what takes them, for messages: "lag"
---@return table given
return function(given, names, method)
  if given == nil then return {} end
  if type(given) ~= "table" or type(getmetatable(given)) == "table" then
    refuse("E0201", "%s takes { %s = ... }, and this is %s", method, names[1],
      schema.describe(given))
  end
  for name in next, given do
    if not has(names, name) then
      refuse("E0107", "%s takes no '%s'; %s", method, tostring(name),
        schema.suggest(tostring(name), names))
    end
  end
  return given
end
