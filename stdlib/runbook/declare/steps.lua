--- The steps of a runbook: step, point_of_no_return, parallel, and the values
-- that stand for ways out of a failure.

local declaration = require "runbook.declare.declaration"
local kinds = require "runbook.declare.kinds"
local schema = require "base.schema"
local units = require "base.units"
local word_of = require "runbook.declare.word"

local M = {}

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
    local title, where = word_of.titled(word, name)
    word_of.claim_name(d, "step", title, where)
    local record = { kind = kind, title = title, pos = where }
    local pending = { where = where, word = word, title = title }
    d.pending[#d.pending + 1] = pending
    local ref = reference(word, record, function(body)
      if pending.done then
        d:problem("E0301", where, word_of.called(word, title) .. " is filled in twice")
      end
      pending.done = true
      d.items[#d.items + 1] = record
      local problems = #d.problems
      local list = type(body) == "table" and rawget(body, 1)
      if kinds.of(list) == "step" then
        d:problem("E0106", where, word_of.called(word, title) .. " holds other steps",
          "only parallel and rescue hold steps")
      end
      fill_step(d, record, word_of.read(word, title, where, body))
      record.broken = #d.problems > problems
    end)
    d.refs[ref] = record
    return ref
  end
end

--- Takes the steps out of `body`: they belong to `owner` from now on.
local function claim_steps(d, word, owner, body, where)
  local steps, fields = {}, {}
  local problems = #d.problems
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
  if #steps == 0 and #d.problems == problems then
    d:problem("E0308", where, word .. " holds no steps")
  end
  return steps, fields
end

local function parallel_word(d)
  return function(name)
    local title, where = word_of.titled("parallel", name)
    word_of.claim_name(d, "parallel", title, where)
    local record = { kind = "parallel", title = title, pos = where }
    local pending = { where = where, word = "parallel", title = title }
    d.pending[#d.pending + 1] = pending
    local ref = reference("parallel", record, function(body)
      pending.done = true
      d.items[#d.items + 1] = record
      body = word_of.body_of("parallel", title, where, body)
      local fields
      record.steps, fields = claim_steps(d, word_of.called("parallel", title), record,
        body, where)
      for _, step in ipairs(record.steps) do step.group = record end
      fields = word_of.read("parallel", title, where, fields)
      record.at_once = fields.at_once or #record.steps
      record.on_first_failure = fields.on_first_failure
    end)
    d.refs[ref] = record
    return ref
  end
end

local function rescue_word(d)
  return function(body)
    local where = d:here() or {}
    local owner = { kind = "rescue" }
    local steps, fields = claim_steps(d, "rescue", owner,
      word_of.body_of("rescue", nil, where, body), where)
    fields = word_of.read("rescue", nil, where, fields)
    return word_of.value_of("rescue", { steps = steps, next = fields.next })
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
    return word_of.value_of("undo_to", { step = record })
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
    report("E0202", ("%s cannot be %s"):format(schema.called(field),
      schema.describe(value)), type(value) == "string"
      and schema.suggest(value, names)
      or "there are: " .. table.concat(names, ", ")
      .. ", undo_to(step), rescue { ... }")
  end)

schema.kind("retry", "a number of tries or { times, wait, up_to }",
  function(value, field, report)
    if type(value) ~= "table" then value = { value } end
    return schema.read(require "runbook.declare.schema".retry, value, field.name, report)
  end)

--- The steps' words, adding to `d`.
---@param d tranship.Declaration
---@param into table<string, any>
function M.add(d, into)
  into.step = step_word(d, "step", "step")
  into.point_of_no_return = step_word(d, "point_of_no_return", "ponr")
  into.parallel, into.rescue = parallel_word(d), rescue_word(d)
  into.undo_to = undo_to_word(d)
end

return M
