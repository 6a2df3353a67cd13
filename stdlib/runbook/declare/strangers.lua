--- Names that a script uses and nobody declared: words that do not exist, ways
-- out of the sandbox, new globals.

local declaration = require "runbook.declare.declaration"
local kinds = require "runbook.declare.kinds"
local schema = require "base.schema"

local M = {}

--- What a script may be used to from elsewhere, and what there is instead.
local ELSEWHERE = {
  os = "run:now() and run:random(n) are there inside goals",
  io = "a runbook reads no files; give values as parameters",
  debug = "use log", package = "use require",
  coroutine = "use parallel, or together inside goals",
  load = "a runbook is all in its text", loadstring = "a runbook is all in its text",
  dofile = "use require", loadfile = "use require",
  collectgarbage = "memory is looked after", print = "use log",
  setmetatable = "use plain tables", getmetatable = "use plain tables",
  rawget = "use plain tables", rawset = "use plain tables",
  _G = "declare locals",
}

---@class tranship.ScriptSource
---@field path string
---@field text string
---@field is_recipe? boolean
---@field known table<string, any>       the words
---@field environment table<string, any> the safe library

--- Names of words, of the safe library and of the source's own locals, for
-- did-you-mean.
---@param source tranship.ScriptSource
local function names_in(source)
  local names = {}
  local bound = require "runbook.declare.outline".of(source.text):bound_names()
  for _, list in ipairs { source.known, source.environment, bound } do
    for name in next, list do names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

--- What is wrong with naming something that was never declared.
---@return string code, string message, string? hint
local function stranger(name, source)
  if source.is_recipe and require "runbook.declare.schema".words[name] then
    return "E0702", ("a recipe cannot declare, and '%s' does"):format(name),
      "recipes make goals; the runbook declares"
  elseif ELSEWHERE[name] then
    return "E0506", ("'%s' is not there for runbooks"):format(name),
      ELSEWHERE[name]
  end
  return "E0102", ("'%s' was never declared"):format(tostring(name)),
    schema.suggest(tostring(name), names_in(source))
end

--- Makes a script's environment watch for strangers: a problem while declaring,
-- raised inside goals. `d.strangers` answers for names that were not used yet.
---@param d tranship.Declaration
---@param source tranship.ScriptSource
function M.watch(d, source)
  local stray, known = {}, source.known
  d.strangers[source.path] = function(name)
    if known[name] == nil and rawget(source.environment, name) == nil then
      return stranger(name, source)
    end
  end
  setmetatable(source.environment, {
    __index = function(_, name)
      if known[name] ~= nil then return known[name] end
      if stray[name] ~= nil then return stray[name] end
      local code, message, hint = stranger(name, source)
      declaration.problem(code, d:here(), message, hint, { token = name })
      return kinds.nothing
    end,
    __newindex = function(_, name, value)
      declaration.problem("E0103", d:here(), ("'%s' would be a new global")
        :format(tostring(name)), ("write local %s = ..."):format(tostring(name)),
        { token = name })
      stray[name] = value
    end,
    __metatable = "environment",
  })
end

return M
