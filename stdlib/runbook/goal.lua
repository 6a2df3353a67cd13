--- Goals: a definition (from a recipe or the standard library) and what is made
-- of it when a step is given arguments. The engine knows goals only by the five
-- questions: check, plan, apply, verify, undo.

local declaration = require "runbook.declare.declaration"
local err = require "base.err"
local face = require "runbook.declare.face"
local kinds = require "runbook.declare.kinds"
local schema = require "base.schema"

local M = {}

---@class tranship.GoalDefinition
---@field name string       "moves.move", "shaped_like"
---@field title? string     "{app} works on {to}"; the name when absent
---@field takes? (tranship.Field|string)[]  arguments in order; a bare name takes anything
---@field subject? string|fun(g: table): string  "cluster/{cluster}/topic/{name}"
---@field check fun(g: table, run: table): any
---@field plan? fun(g: table, run: table): any
---@field apply? fun(g: table, run: table): any
---@field verify? fun(g: table, run: table): any
---@field undo? fun(g: table, run: table): tranship.Goal?
---@field irreversible? string  why there is no undo
---@field call? fun(f: function, ...): any  runs functions that came from a sandbox

---@class tranship.Goal
---@field title string
---@field name string
---@field subject string
---@field args table
---@field def tranship.GoalDefinition
---@field pos? tranship.Place
local Goal = {}

--- What scripts may see of a goal.
local SHOWN = { title = true, name = true, subject = true }

local made_here = setmetatable({}, { __mode = "k" })

local function refuse(_, name)
  declaration.problem("E0112", nil, "a goal cannot be changed", nil,
    { token = name })
end

--- A goal of these fields, sealed.
local function seal(fields)
  local sealed = setmetatable({}, {
    __name = "goal",
    __index = function(_, name)
      if face.from_script(2) and not SHOWN[name] then
        declaration.problem("E0104", nil, ("a goal has no '%s'"):format(
          tostring(name)), "a step ensures it", { token = name })
        return nil
      end
      local value = fields[name]
      if value == nil then return Goal[name] end
      return value
    end,
    __newindex = refuse,
    __tostring = function() return "goal \"" .. fields.title .. "\"" end,
  })
  made_here[sealed] = true
  return sealed
end

local QUESTIONS = { "check", "plan", "apply", "verify", "undo" }

--- How an argument is shown in a title.
local function show(value)
  if type(value) ~= "table" then return tostring(value) end
  if value.name or value.title then return tostring(value.name or value.title) end
  local shown = {}
  for i, item in ipairs(value) do shown[i] = show(item) end
  return table.concat(shown, ", ")
end

--- "{app} works on {to}" with the arguments' names.
---@param template string
---@param args table
---@return string
function M.fill(template, args)
  return (template:gsub("{([%w_]+)}", function(name)
    local value = args[name]
    return value ~= nil and show(value) or nil
  end))
end

--- Unnamed items get the names of `takes`, in order; `rest` takes the rest.
local function by_name(takes, args)
  local out, used = {}, 0
  for i, field in ipairs(takes) do
    if field.rest and args[i] ~= nil then
      out[field.name] = table.move(args, i, #args, 1, {})
      used = #args
    elseif args[i] ~= nil then
      out[field.name] = args[i]
      used = i
    end
  end
  for name, value in next, args do
    if math.type(name) ~= "integer" or name > used then out[name] = value end
  end
  return out
end

local function fields_of(def)
  local fields = {}
  for i, take in ipairs(def.takes) do
    fields[i] = type(take) == "string"
      and { name = take, kind = "any", desc = take } or take
  end
  return fields
end

--- What the definition takes; nil when something of it was complained about.
local function read_args(def, args, where)
  if not def.takes then return args end
  local fields = fields_of(def)
  local wanted = {}
  for i, field in ipairs(fields) do
    wanted[i] = setmetatable({
      required = field.default == nil and not field.optional
        and field.required ~= false,
    }, { __index = field })
  end
  local told, is_good = declaration.reporter(where), true
  local read = schema.read(wanted, by_name(fields, args),
    ('"%s"'):format(def.title or def.name),
    function(...)
      is_good = false
      told(...)
    end)
  return is_good and read or nil
end

--- What the functions of a goal see as `g`: its arguments, read-only.
local function seen(def, args)
  local known
  return setmetatable({}, {
    __index = function(_, name)
      local value = args[name]
      if value == nil and def.takes then
        known = known or schema.names(fields_of(def))
        for _, field in ipairs(known) do
          if field == name then return nil end
        end
        err.raise {
          kind = "invalid", origin = "runbook", code = "E0107",
          message = ("\"%s\" takes no '%s'; %s"):format(def.title or def.name,
            tostring(name), schema.suggest(tostring(name), known)),
        }
      end
      return value
    end,
    __newindex = function(_, name)
      err.raise {
        kind = "invalid", origin = "runbook", code = "E0112",
        message = "arguments of a goal cannot be changed: " .. tostring(name),
      }
    end,
    __pairs = function() return next, args, nil end,
    __name = "arguments",
  })
end

--- A goal of `def`, with arguments by name or by position.
---@param def tranship.GoalDefinition
---@param args table
---@return tranship.Goal
function M.make(def, args)
  local where = declaration.here()
  if type(args) ~= "table" or kinds.of(args) then args = { args } end
  local read = read_args(def, args, where)
  if not read then return kinds.nothing end
  local title = M.fill(def.title or def.name, read)
  local subject = def.subject
  if type(subject) == "function" then subject = subject(read) end
  if subject then
    subject = M.fill(subject, read)
  else
    local first = def.takes and fields_of(def)[1]
    subject = first and kinds.path(read[first.name]) or kinds.path(args[1])
      or title
  end
  local made = seal {
    title = title, name = def.name, subject = subject, args = read, def = def,
    pos = where, g = seen(def, read),
  }
  local current = declaration.current()
  if current then current.goals[#current.goals + 1] = made end
  return made
end

--- Whether the goal has an answer to that question: goal:has "undo".
function Goal:has(name) return self.def[name] ~= nil end

for _, name in ipairs(QUESTIONS) do
  Goal[name] = function(self, run)
    local f = self.def[name]
    if not f then return nil end
    if self.def.call then return self.def.call(f, self.g, run) end
    return f(self.g, run)
  end
end

function M.is(value) return made_here[value] == true end

local definitions = setmetatable({}, { __mode = "k" })

--- The definition behind what `callable` made.
function M.definition(value) return definitions[value] end

--- A definition that makes goals when it is called: `move { consumer, ... }`.
---@param def tranship.GoalDefinition
function M.callable(def)
  local made = setmetatable({}, {
    __call = function(_, args) return M.make(def, args) end,
    __newindex = refuse,
    __name = "goal definition", __metatable = "goal definition",
    __tostring = function() return "goal definition " .. def.name end,
  })
  definitions[made] = def
  return made
end

return M
