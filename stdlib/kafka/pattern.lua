--- Names and patterns of topics and groups. Patterns know one sign, `*`: any
-- run of characters, also none.

local M = {}

local function to_lua(pattern)
  return "^" .. pattern:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0")
    :gsub("%*", ".*") .. "$"
end

--- A name, a list of names, or nil: as a list.
---@return string[]
function M.list(value)
  if value == nil then return {} end
  return type(value) == "table" and value or { value }
end

--- Whether `name` matches one of the patterns.
---@param patterns string|string[]
---@param name string
---@return boolean
function M.matches(patterns, name)
  for _, pattern in ipairs(M.list(patterns)) do
    if name:find(to_lua(pattern)) then return true end
  end
  return false
end

--- Topics that belong to Kafka or to tranship: no goal ever touches them.
---@param topic { name: string, internal?: boolean }
function M.is_private(topic)
  return topic.internal == true or topic.name:sub(1, 2) == "__"
end

return M
