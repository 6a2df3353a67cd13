--- The words of a runbook. Each reads what it is given by its description in
-- runbook.declare.schema and adds to the declaration under way; none touches the world.

local context = require "base.context"
local declaration = require "runbook.declare.declaration"
local err = require "base.err"
local goal = require "runbook.goal"
local kinds = require "runbook.declare.kinds"
local question = require "base.question"
local schema = require "base.schema"
local types = require "runbook.declare.types"
local word_of = require "runbook.declare.word"

local M = {}

schema.kind("takes", "a list of types such as a.workload \"app\"",
  function(value, field, report)
    if type(value) ~= "table" or types.is(value) then value = { value } end
    local seen = {}
    for i, item in ipairs(value) do
      if not types.is(item) or not item.name then
        report("E0201", ("%s needs types with names, and this is %s"):format(
          field.name, schema.describe(item)),
          "write a.workload \"app\"", { item = i })
      elseif seen[item.name] then
        report("E0301", ("there are two arguments '%s'"):format(item.name), nil,
          { item = i })
      else
        seen[item.name] = true
      end
    end
    return value
  end)

local function runbook_word(d)
  return function(name)
    local title, where = word_of.titled("runbook", name)
    if d.runbook then
      d:problem("E0110", where, "runbook stands twice",
        ("the first is in line %d"):format(d.runbook.where.line or 0))
    end
    d.runbook = { name = title, where = where }
    local own = d.runbook
    return function(body)
      local fields = word_of.read("runbook", title, where, body)
      own.version, own.owner, own.order = fields.version, fields.owner,
        fields.order
    end
  end
end

local function params_word(d)
  return function(body)
    local where = d:here() or {}
    if d.params_where then
      d:problem("E0110", where, "params stands twice",
        "put all parameters into one table")
    end
    d.params_where = where
    return require "runbook.declare.params".declare(d,
      word_of.body_of("params", nil, where, body), where)
  end
end

--- goal "{app} works on {to}" { ... }: a definition that makes goals.
local function goal_word(call)
  return function(name)
    local title, where = word_of.titled("goal", name)
    return function(body)
      local def = word_of.read("goal", title, where, body)
      for i, take in ipairs(def.takes) do
        if not types.is(take) then def.takes[i] = nil end
      end
      def.title, def.name, def.call, def.where = title, title, call, where
      if not def.undo and not def.irreversible then
        declaration.problem("W0301", where, word_of.called("goal", title)
          .. " has no undo", "give it undo, or irreversible = \"why\"")
      end
      local made = goal.callable(def)
      kinds.note(made, "goal definition", title)
      return made
    end
  end
end

--- any { q1, q2 }: yes when one of them is.
local function any_word(list)
  local titles = {}
  for i, item in ipairs(list) do
    titles[i] = question.is(item) and item.title or "a function"
  end
  return question.defer("any of: " .. table.concat(titles, "; "), function()
    local seen
    for _, item in ipairs(list) do
      local answer = item
      if question.is(item) then answer = item.ask() end
      if type(item) == "function" then answer = item() end
      if answer == true or type(answer) == "table" and answer.ok then
        return type(answer) == "table" and answer or { ok = true }
      end
      seen = type(answer) == "table" and answer or seen
    end
    return { ok = false, seen = seen and seen.seen, want = "any of "
      .. table.concat(titles, "; "), text = "none of: "
      .. table.concat(titles, "; ") }
  end)
end

local function stock_goal(name)
  return function(body)
    if body == nil then body = {} end
    return goal.make(require("runbook.goal." .. name), body)
  end
end

--- gitops_paused { ocp3, ocp4, source }: platforms, and clusters run by Strimzi.
local function gitops_paused(body)
  local made = stock_goal "gitops_paused"(body)
  for _, thing in ipairs(made.args.on or {}) do
    local kind = kinds.of(thing)
    if thing ~= kinds.nothing and kind ~= "kubernetes"
      and not (kind == "cluster" and thing.strimzi) then
      declaration.problem("E0201", nil, ("gitops_paused takes platforms, and "
        .. "clusters that Strimzi runs; %s is a %s"):format(thing.name, kind),
        "name the kubernetes its objects are on")
    end
  end
  return made
end

--- together { f, g, at_once = 2 }: results in order; the first failure ends all.
local function together(list)
  if context.get().phase == "declare" then
    declaration.problem("E0509", nil, "together runs functions, and this is a "
      .. "declaration", "move it into check, verify or apply")
    return kinds.nothing
  end
  local results, why = require "vm.task".together(list)
  if not results then err.raise(why) end
  return results
end

--- Words that declare work only while `d` is being declared.
local function only_declaring(d, words)
  for name, word in next, words do
    words[name] = function(...)
      if declaration.current() ~= d then
        err.raise {
          kind = "phase", origin = "runbook", code = "E0508",
          message = ("'%s' declares, and the runbook is running"):format(name),
        }
      end
      local value = word(...) -- no tail call: the frame carries the word's name
      return value
    end
  end
  return words
end

local function say(text) context.progress("%s", tostring(text)) end

--- Words of recipes: they make goals and declare nothing.
---@param call? fun(f: function, ...): any  runs functions of the sandbox
function M.of_recipes(call)
  return {
    goal = goal_word(call), a = types.a, any = any_word, log = say,
    together = together,
    backup = stock_goal "backup", restore = stock_goal "restore",
  }
end

--- Words of the runbook that `d` declares.
---@param d tranship.Declaration
---@param call? fun(f: function, ...): any
---@return table<string, any>
function M.of_runbooks(d, call)
  d.pending, d.refs, d.places = {}, {}, {}
  local declaring = {
    runbook = runbook_word(d), params = params_word(d),
    gitops_paused = gitops_paused,
  }
  require "runbook.declare.nouns".add(d, declaring)
  require "runbook.declare.steps".add(d, declaring)
  local all = M.of_recipes(call)
  for name, word in next, only_declaring(d, declaring) do all[name] = word end
  return all
end

return M
