--- The words of a runbook. Each reads what it is given by its description in
-- runbook.schema and adds to the declaration under way; none touches the world.

local context = require "base.context"
local declaration = require "runbook.declaration"
local err = require "base.err"
local face = require "runbook.face"
local goal = require "runbook.goal"
local kinds = require "runbook.kinds"
local question = require "base.question"
local schema = require "base.schema"
local types = require "runbook.types"
local units = require "base.units"
local words = require "runbook.schema".words

local M = {}

--- 'step "4. Open the bridge"', for messages.
local function called(word, title)
  return title and ('%s "%s"'):format(word, title) or word
end

--- Checks a title and notes where it stands.
local function titled(word, title)
  local where = declaration.here() or {}
  where.word = word
  if type(title) == "string" then where.title = title end
  local read = schema.value({ name = "the name of a " .. word, kind = "text" },
    title, declaration.reporter(where))
  if title == "" then
    declaration.problem("E0201", where, "a " .. word .. " needs a name")
  end
  return read or "?", where
end

local function body_of(word, title, where, body)
  if type(body) == "table" and not kinds.of(body) then return body end
  if body ~= kinds.nothing then
    declaration.problem("E0106", where, ("%s needs a table { ... }, and this is "
      .. "%s"):format(called(word, title), schema.describe(body)))
  end
  return {}
end

local function read(word, title, where, body)
  return schema.read(words[word].fields, body_of(word, title, where, body),
    called(word, title), declaration.reporter(where))
end

--- Two things of one name: the second is the problem.
local function claim_name(d, word, name, where)
  local key = word .. "/" .. name
  local before = d.names[key]
  if before then
    d:problem("E0301", where, ("there are two of %s"):format(
      called(word, name)), ("the first is in line %d"):format(before.line or 0))
  end
  d.names[key] = before or where
end

--- Builds a face by its own module; what the module refuses is a problem here.
local function construct(module, kind, fields, where)
  local made, object = pcall(function()
    return require(module).new(fields)
  end)
  if made and object ~= nil then
    kinds.note(object, kind, fields.name)
    return face.seal(object)
  end
  if err.is(object) then
    declaration.problem(object.code or "E0114", where, object.message)
  else
    declaration.problem("E0114", where, tostring(object))
  end
  return kinds.nothing
end

--- A word that names a face: cluster "x" { ... }.
local function noun(d, word, module, list, prepare)
  return function(name)
    local title, where = titled(word, name)
    claim_name(d, word, title, where)
    local pending = { where = where, word = word, title = title }
    d.pending[#d.pending + 1] = pending
    return function(body)
      pending.done = true
      local before = #d.problems
      local fields = read(word, title, where, body)
      fields.name = title
      if prepare then prepare(fields, where, body) end
      if #d.problems > before then return kinds.nothing end
      local object = construct(module, word, fields, where)
      if object ~= kinds.nothing then
        list[#list + 1] = object
        d.places[object] = where
        d.fields[object] = fields
      end
      return object
    end
  end
end

--- A workload needs something that starts and stops it: a driver is a file in
-- app/driver, named like the field.
local function driven(fields, where, body)
  if fields.process or fields.hook then return end
  if type(body) == "table" and (body.unit or body.application_id) then return end
  declaration.problem("E0211", where, ("%s has nothing that starts and stops it")
    :format(called("workload", fields.name)),
    "give it process = { \"command\", ... } or hook = { start, stop, status }")
end

local function unbuilt(word)
  return function(name)
    local _, where = titled(word, type(name) == "string" and name or word)
    declaration.problem("E0901", where, ("'%s' is not built yet"):format(word),
      words[word].unbuilt)
    return kinds.nothing
  end
end

--- A reference: what a script holds of a step. It can only be named.
local function reference(word, record, complete)
  local ref = setmetatable({}, {
    __name = word,
    __index = function(_, name)
      if name == "title" or name == "name" then return record.title end
      declaration.problem("E0104", nil, ("a %s has no '%s'"):format(word,
        tostring(name)), "name it in needs or undo_to")
    end,
    __newindex = function()
      declaration.problem("E0112", nil, ("a declared %s cannot be changed")
        :format(word))
    end,
    __call = function(ref, body)
      complete(body)
      return ref
    end,
  })
  kinds.note(ref, word == "parallel" and "parallel" or "step", record.title)
  return ref
end

local function ms(text) return text and units.duration(text) end

--- The fields of a step as the engine wants them, out of those it was given.
local function fill_step(d, record, fields)
  for _, name in ipairs { "ensure", "check", "plan", "apply", "verify", "undo",
    "when", "lasts", "irreversible", "tags", "note", "optional" } do
    record[name] = fields[name]
  end
  record.timeout_ms, record.steady_ms = ms(fields.timeout), ms(fields.steady)
  record.good_for_ms, record.takes_ms = ms(fields.good_for), ms(fields.takes)
  record.on_failure = fields.on_failure
  record.needs_given = fields.needs ~= nil
  if fields.needs then
    record.needs = {}
    for _, ref in ipairs(fields.needs) do
      record.needs[#record.needs + 1] = d.refs[ref]
    end
  end
  if fields.retry then
    record.retry = {
      times = fields.retry.times, wait_ms = ms(fields.retry.wait),
      up_to_ms = ms(fields.retry.up_to),
    }
  end
  if fields.approve then
    record.approve = {
      question = fields.approve.question, within_ms = ms(fields.approve.within),
    }
  end
end

local function step_word(d, word, kind)
  return function(name)
    local title, where = titled(word, name)
    claim_name(d, "step", title, where)
    local record = { kind = kind, title = title, pos = where }
    d.items[#d.items + 1] = record
    local pending = { where = where, word = word, title = title }
    d.pending[#d.pending + 1] = pending
    local ref = reference(word, record, function(body)
      if pending.done then
        d:problem("E0301", where, called(word, title) .. " is filled in twice")
      end
      pending.done = true
      local list = type(body) == "table" and rawget(body, 1)
      if kinds.of(list) == "step" then
        d:problem("E0106", where, called(word, title) .. " holds other steps",
          "only parallel and rescue hold steps")
      end
      fill_step(d, record, read(word, title, where, body))
    end)
    d.refs[ref] = record
    return ref
  end
end

--- Takes the steps out of `body`: they belong to `owner` from now on.
local function claim_steps(d, word, owner, body, where)
  local steps, fields = {}, {}
  for name, value in next, body do
    if math.type(name) ~= "integer" then fields[name] = value end
  end
  for i, value in ipairs(body) do
    local record = d.refs[value]
    if value == kinds.nothing then
      goto continue
    elseif not record or record.kind == "parallel" then
      d:problem("E0308", where, ("%s holds steps, and this is %s"):format(
        word, schema.describe(value)), nil, { item = i })
    elseif record.kind == "ponr" then
      d:problem("E0315", record.pos, "a point of no return cannot stand in a "
        .. word, "put it on a line of its own")
    elseif record.owner then
      d:problem("E0308", where, ('step "%s" already belongs to another group')
        :format(record.title), nil, { item = i })
    else
      record.owner = owner
      steps[#steps + 1] = record
    end
    ::continue::
  end
  if #steps == 0 then
    d:problem("E0308", where, word .. " holds no steps")
  end
  return steps, fields
end

local function parallel_word(d)
  return function(name)
    local title, where = titled("parallel", name)
    claim_name(d, "parallel", title, where)
    local record = { kind = "parallel", title = title, pos = where }
    d.items[#d.items + 1] = record
    local pending = { where = where, word = "parallel", title = title }
    d.pending[#d.pending + 1] = pending
    local ref = reference("parallel", record, function(body)
      pending.done = true
      body = body_of("parallel", title, where, body)
      local fields
      record.steps, fields = claim_steps(d, called("parallel", title), record,
        body, where)
      for _, step in ipairs(record.steps) do step.group = record end
      fields = read("parallel", title, where, fields)
      record.at_once = fields.at_once or #record.steps
      record.on_first_failure = fields.on_first_failure
    end)
    d.refs[ref] = record
    return ref
  end
end

--- A value that only some field understands: undo_to(x), rescue { ... }.
local function value_of(name, fields)
  return setmetatable(fields, { __name = name, __metatable = name,
    __newindex = function() error("a " .. name .. " cannot be changed", 2) end })
end

local function rescue_word(d)
  return function(body)
    local where = d:here() or {}
    local owner = { kind = "rescue" }
    local steps, fields = claim_steps(d, "rescue", owner,
      body_of("rescue", nil, where, body), where)
    fields = read("rescue", nil, where, fields)
    return value_of("rescue", { steps = steps, next = fields.next })
  end
end

local function undo_to_word(d)
  return function(ref)
    local where = d:here()
    local record = d.refs[ref]
    if ref == kinds.nothing then return ref end
    if not record or record.kind == "parallel" then
      d:problem("E0302", where, "undo_to needs a step, and this is "
        .. schema.describe(ref), "name the local the step was declared as")
      return kinds.nothing
    end
    return value_of("undo_to", { step = record })
  end
end

local PLAIN_ENDS = { ["stop"] = true, ["ask"] = true, ["go on"] = true,
  ["undo this"] = true, ["undo all"] = true }

schema.kind("on_failure", "what to do on failure",
  function(value, field, report)
    local name = kinds.of(value)
    if name == "undo_to" then
      return { kind = "undo to", step = value.step }
    elseif name == "rescue" then
      return { kind = "rescue", steps = value.steps, next = value.next }
    elseif value == kinds.nothing then
      return { kind = "stop" }
    elseif PLAIN_ENDS[value] then
      return { kind = value }
    end
    local names = { "stop", "ask", "go on", "undo this", "undo all" }
    report("E0202", ("%s cannot be %s"):format(field.name,
      schema.describe(value)), type(value) == "string"
      and schema.suggest(value, names)
      or "there are: " .. table.concat(names, ", ")
      .. ", undo_to(step), rescue { ... }")
  end)

schema.kind("retry", "a number of tries or { times, wait, up_to }",
  function(value, field, report)
    if type(value) ~= "table" then value = { value } end
    return schema.read(require "runbook.schema".retry, value, field.name, report)
  end)

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
    local title, where = titled("runbook", name)
    if d.runbook then
      d:problem("E0110", where, "runbook stands twice",
        ("the first is in line %d"):format(d.runbook.where.line or 0))
    end
    d.runbook = { name = title, where = where }
    local own = d.runbook
    return function(body)
      local fields = read("runbook", title, where, body)
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
    return require "runbook.params".declare(d,
      body_of("params", nil, where, body), where)
  end
end

--- goal "{app} works on {to}" { ... }: a definition that makes goals.
local function goal_word(call)
  return function(name)
    local title, where = titled("goal", name)
    return function(body)
      local def = read("goal", title, where, body)
      for i, take in ipairs(def.takes) do
        if not types.is(take) then def.takes[i] = nil end
      end
      def.title, def.name, def.call, def.where = title, title, call, where
      if not def.undo and not def.irreversible then
        declaration.problem("W0301", where, called("goal", title)
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

local function login_word(word)
  return function(body)
    local where = declaration.here() or {}
    if words[word].unbuilt then
      declaration.problem("E0901", where, ("'%s' is not built yet"):format(word),
        words[word].unbuilt)
      return kinds.nothing
    end
    local fields = read(word, nil, where, body)
    fields.kind = word
    return value_of("login", fields)
  end
end

local function stock_goal(name)
  return function(body)
    if body == nil then body = {} end
    return goal.make(require("runbook.goal." .. name), body)
  end
end

local function gitops_paused()
  declaration.problem("E0901", nil, "'gitops_paused' is not built yet",
    "it needs Kubernetes; leave the step out")
  return kinds.nothing
end

local function say(text) context.progress("%s", tostring(text)) end

--- Words of recipes: they make goals and declare nothing.
---@param call? fun(f: function, ...): any  runs functions of the sandbox
function M.of_recipes(call)
  return {
    goal = goal_word(call), a = types.a, any = any_word, log = say,
    backup = stock_goal "backup", restore = stock_goal "restore",
  }
end

--- Words of the runbook that `d` declares.
---@param d tranship.Declaration
---@param call? fun(f: function, ...): any
---@return table<string, any>
function M.of_runbooks(d, call)
  d.pending, d.refs, d.places = {}, {}, {}
  local all = M.of_recipes(call)
  all.runbook, all.params = runbook_word(d), params_word(d)
  all.cluster = noun(d, "cluster", "kafka.cluster", d.clusters)
  all.workload = noun(d, "workload", "app.workload", d.workloads, driven)
  all.bridge = noun(d, "bridge", "mirror.bridge", d.bridges)
  all.step = step_word(d, "step", "step")
  all.point_of_no_return = step_word(d, "point_of_no_return", "ponr")
  all.parallel, all.rescue = parallel_word(d), rescue_word(d)
  all.undo_to, all.kubernetes = undo_to_word(d), unbuilt "kubernetes"
  all.gitops_paused = gitops_paused
  for _, word in ipairs { "scram", "plain", "certificate", "token" } do
    all[word] = login_word(word)
  end
  return all
end

return M
