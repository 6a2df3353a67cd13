--- `a`: the types of parameters and of what goals take. They read as English:
-- `a.text { like = "CHG%d+" }`, `a.duration "drain" { default = "5m" }`. A type
-- is a field of base.schema, so values are read and explained in one place.

local declaration = require "runbook.declare.declaration"
local schema = require "base.schema"
local kinds = require "runbook.declare.kinds"

local M = {}

local Type = { __name = "type" }
Type.__index = Type

--- What every type may say about itself.
local COMMON = {
  { name = "default", kind = "any", desc = "taken when nothing is given" },
  { name = "help", kind = "text", desc = "one sentence for --help" },
  { name = "optional", kind = "flag", desc = "may be left out; then it is nil" },
}

local OWN = {
  text = {
    { name = "like", kind = "text", desc = "Lua pattern the whole text matches" },
  },
  count = {
    { name = "min", kind = "count", desc = "the smallest allowed" },
    { name = "max", kind = "count", desc = "the largest allowed" },
  },
  choice = {
    { name = "values", kind = "list", of = "any", desc = "what is allowed" },
  },
  list = {
    { name = "of", kind = "text", desc = "the type of its items" },
    { name = "rest", kind = "flag", desc = "takes all unnamed items from here" },
  },
  secret = {
    { name = "from", kind = "text", desc = "env:NAME or file:PATH" },
  },
}

--- Types that may stand in `params`; the others name declared things.
M.plain = { "text", "count", "duration", "size", "rate", "share", "flag",
  "choice", "pattern", "list", "secret" }
--- Types that only goals take.
M.things = { "workload", "cluster", "kubernetes", "bridge", "any" }

local fields_of = {}
for _, names in ipairs { M.plain, M.things } do
  for _, name in ipairs(names) do
    local fields = table.move(OWN[name] or {}, 1, #(OWN[name] or {}), 1, {})
    fields_of[name] = table.move(COMMON, 1, #COMMON, #fields + 1, fields)
  end
end

local function with_options(kind, name, options, where)
  local type_value = setmetatable({ kind = kind, name = name, where = where },
    Type)
  if type(options) ~= "table" or getmetatable(options) then
    if options ~= kinds.nothing then
      declaration.problem("E0106", where, ("a.%s takes a table of options, and "
        .. "this is %s"):format(kind, schema.describe(options)))
    end
    type_value.broken, options = true, {}
  end
  if kind == "choice" then
    local values = {}
    for i, value in ipairs(options) do values[i] = value end
    local named = {}
    for key, value in next, options do
      if math.type(key) ~= "integer" then named[key] = value end
    end
    if #values > 0 then named.values = values end
    options = named
  end
  local read = schema.read(fields_of[kind], options, "a." .. kind,
    declaration.reporter(where))
  for field, value in next, read do type_value[field] = value end
  type_value.desc = read.help or M.says(type_value)
  if read.default ~= nil and kind ~= "secret" then
    type_value.default = schema.value(
      setmetatable({ name = "default" }, { __index = type_value }),
      read.default, function(code, message, hint)
        declaration.problem(code, where, message, hint, { field = "default" })
        type_value.broken = true
      end)
  end
  return type_value
end

--- `a.duration "drain"` may be followed by a table of options.
function Type:__call(options)
  return with_options(self.kind, self.name, options, self.where)
end

--- One word for --help: "duration", "one of blue, green".
function M.says(field)
  if field.kind == "choice" and field.values then
    local shown = {}
    for i, value in ipairs(field.values) do shown[i] = tostring(value) end
    return "one of " .. table.concat(shown, ", ")
  end
  return field.kind
end

function M.is(value) return getmetatable(value) == Type end

--- Lines about the types that stand in `params`, and what each may say.
---@return string[]
function M.lines()
  local lines = {}
  local function add(name, says, fields)
    for _, field in ipairs(fields) do
      says[#says + 1] = ("%s (%s)"):format(field.name, field.desc)
    end
    lines[#lines + 1] = ("  %-11s %s"):format(name, table.concat(says, ", "))
  end
  for _, name in ipairs(M.plain) do
    add("a." .. name, { schema.kinds[name].says }, OWN[name] or {})
  end
  add("each one", {}, COMMON)
  return lines
end

--- The table `a` of the runbook's words.
M.a = setmetatable({}, {
  __index = function(_, kind)
    if not fields_of[kind] then
      local names = table.move(M.things, 1, #M.things, #M.plain + 1,
        table.move(M.plain, 1, #M.plain, 1, {}))
      declaration.problem("E0107", nil, ("there is no type 'a.%s'")
        :format(tostring(kind)), schema.suggest(tostring(kind), names),
        { token = kind })
      return function()
        return setmetatable({ kind = "any", name = "?", broken = true }, Type)
      end
    end
    return function(first)
      local where = declaration.here()
      if type(first) == "string" then
        return with_options(kind, first, {}, where)
      end
      return with_options(kind, nil, first or {}, where)
    end
  end,
  __newindex = function() error("types cannot be changed", 2) end,
})

return M
