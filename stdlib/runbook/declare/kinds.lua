--- The kinds of values that only runbooks know: declared things, goals,
-- questions, functions. Faces are told apart by the name of their class, so
-- this file asks nothing of them.

local question = require "base.question"
local schema = require "base.schema"

local M = {}

local HAS_PATH = { kubernetes = true, cluster = true, workload = true, bridge = true }

--- Declared things by value: kind and name, noted by the words.
local declared = setmetatable({}, { __mode = "k" })

function M.note(value, kind, name)
  declared[value] = { kind = kind, name = name }
end

--- A value that stands for one already complained about: anything may be asked
-- of it, and nobody complains a second time.
local Nothing = { __name = "nothing", __metatable = "nothing" }
local nothing = setmetatable({}, Nothing)
local function itself() return nothing end
--- No items, so that a loop over it ends.
function Nothing.__index(_, name)
  if math.type(name) ~= "integer" then return nothing end
end
for _, event in ipairs { "__call", "__concat", "__add", "__sub",
  "__mul", "__div", "__unm" } do
  Nothing[event] = itself
end
Nothing.__newindex = function() end
Nothing.__len = function() return 0 end
Nothing.__tostring = function() return "(nothing)" end
M.nothing = nothing

--- "cluster", "workload", "bridge", "goal", "question", ... or nil.
---@return string?
function M.of(value)
  if declared[value] then return declared[value].kind end
  local meta = getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name") or meta
  return type(name) == "string" and name:gsub("^.*%.", "") or nil
end

--- "workload/hello-world-consumer": how a thing is called in subjects.
---@return string?
function M.path(value)
  local kind = type(value) == "table" and M.of(value)
  if HAS_PATH[kind] then return kind .. "/" .. value.name end
end

local function thing(kind, says)
  schema.kind(kind, says, function(value, field, report)
    if value == nothing or M.of(value) == kind then return value end
    return schema.wrong(value, field, report, type(value) == "string"
      and "name the local it was declared as, without quotes" or nil)
  end)
end

thing("kubernetes", "a kubernetes")
thing("cluster", "a cluster")
thing("workload", "a workload")
thing("bridge", "a bridge")
thing("step", "a step")
thing("goal", "a goal")
thing("login", "a login such as scram { \"user\", p.password }")

schema.kind("account", "a login, or the name of a KafkaUser",
  function(value, field, report)
    if value == nothing or M.of(value) == "login"
      or type(value) == "string" and value ~= "" then
      return value
    end
    return schema.wrong(value, field, report)
  end)

schema.kind("secret", "a secret", function(value, field, report)
  if value == nothing or M.of(value) == "secret" then return value end
  return report("E0404", ("%s wants a secret, and this is a plain %s"):format(
    schema.called(field), type(value)), "declare one in params: "
    .. "a.secret { from = \"env:NAME\" }")
end)

--- A list, or one standing for a list of one, with items of one test.
local function several(name, says, test)
  schema.kind(name, says, function(value, field, report)
    if value == nothing then return { nothing } end
    local list = type(value) == "table" and getmetatable(value) == nil
      and value or { value }
    local count, out = 0, {}
    for key in next, list do
      if math.type(key) == "integer" then
        count = math.max(count, key)
      else
        report("E0107", ("%s is a list and has no field '%s'"):format(
          field.name, tostring(key)), nil, { field = tostring(key) })
      end
    end
    for i = 1, count do
      local at = list == value and { item = i } or nil
      if list[i] == nil then
        report("E0207", ("item %d of %s is missing"):format(i,
          schema.called(field)),
          "a name that was never declared is nil", at)
      elseif test(list[i]) then
        out[#out + 1] = list[i]
      else
        local quoted = name == "steps" and type(list[i]) == "string"
        report(quoted and "E0302" or "E0201", ("%s wants %s, and this is %s")
          :format(schema.called(field), says, schema.describe(list[i])),
          quoted and "name the local it was declared as, without quotes"
          or nil, at)
      end
    end
    if count == 0 then
      report("E0207", schema.called(field) .. " is empty",
        "leave it out or fill it in")
    end
    return out
  end)
end

local function is_goal(value)
  return value == nothing or M.of(value) == "goal"
end

local function is_question(value)
  return value == nothing or question.is(value) or type(value) == "function"
end

local function is_step(value)
  return value == nothing or M.of(value) == "step"
end

several("goals", "a goal", is_goal)
several("questions", "a question or a function", is_question)
several("steps", "a step", is_step)

schema.kind("function", "a function", function(value, field, report)
  if type(value) ~= "function" then return schema.wrong(value, field, report) end
  return value
end)

schema.kind("condition", "a flag or a function that only reads",
  function(value, field, report)
    if type(value) == "boolean" or type(value) == "function"
      or value == nothing then
      return value
    end
    return schema.wrong(value, field, report)
  end)

--- A list of actual clusters, workloads or bridges.
several("things", "a declared thing", function(value)
  return value == nothing or M.path(value) ~= nil
end)

return M
