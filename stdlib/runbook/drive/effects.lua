--- Where a run touches the world: each effect is written down and on the disk
-- before it is sent, and its outcome after. An intent without an outcome is in
-- doubt, and what may be done about it depends on its resume class.

local err = require "base.err"
local json = require "vm.json"
local task = require "vm.task"
local crash = require "runbook.drive.crash"
local plain = require "runbook.record.plain"

local M = {}

-- After these errors nobody knows whether the effect happened.
local UNKNOWN = { timeout = true, closed = true, cancelled = true }
local LARGEST_VALUE = 4096

local function same(a, b)
  return json.encode(plain.copy(a)) == json.encode(plain.copy(b))
end

local function earlier_doubt(session, step, effect)
  for _, intent in ipairs(session.state:in_doubt(step.id)) do
    if intent.primitive == effect.primitive
       and intent.target == effect.target then
      return intent
    end
  end
end

local function stay_in_doubt(session, step, effect, intent)
  return nil, err.new {
    kind = "in doubt", origin = "journal", intent = intent.seq,
    message = ("%s may have been done already (record %d) and must not be "
      .. "done twice; look, then say `tranship settle %s %s --as "
      .. "done|not-done --because \"...\"`"):format(effect.summary or
      effect.primitive, intent.seq, session.id, step.id),
  }
end

-- What is done before an effect is sent a second time. True: send it.
-- False: it is there already.
local function may_repeat(session, step, effect, intent)
  local class = effect.resume
  if class == "set" or class == "create" or class == "delete" then
    return true
  elseif effect.probe then                   -- append: the marker is read back
    local there, why = effect.probe()
    if there == nil then return nil, why end
    return not there
  end
  return stay_in_doubt(session, step, effect, intent)
end

-- An effect in doubt that turns out to have happened is no failure.
local function was_done(effect, intent, why)
  if not intent or type(why) ~= "table" then return false end
  if effect.resume == "create" and why.kind == "exists" then
    return same(effect.args, intent.args)
  end
  return effect.resume == "delete" and why.kind == "not found"
end

local function small(value)
  local copy = plain.copy(value)
  local text = copy ~= nil and json.encode(copy)
  return text and #text <= LARGEST_VALUE and copy or nil
end

local function raised(thrown)
  if err.is(thrown) then return thrown end
  return err.new { kind = "script", origin = "effect",
                   message = tostring(thrown) }
end

-- Sends between two crash points; a raised error counts as a failure.
local function send(effect)
  crash.at "effect:before"
  local out = table.pack(xpcall(effect.send, raised))
  crash.at "effect:after"
  if not out[1] then return nil, out[2] end
  return table.unpack(out, 2, out.n)
end

local function settle(session, intent, as)
  session:record("effect.settled",
                 { step = intent.step, intent = intent.seq, as = as })
end

local function write_intent(session, step, goal, effect, undoing, doubt)
  return session:record("effect.intent", {
    step = step.id, goal = goal, primitive = effect.primitive,
    target = effect.target, resume = effect.resume, summary = effect.summary,
    args = effect.args, before = effect.before, after = effect.after,
    undo = effect.undo, undoing = undoing or nil,
    repeats = doubt and doubt.seq,
  }, true)
end

local function do_effect(session, step, goal, effect, undoing)
  local doubt = earlier_doubt(session, step, effect)
  if doubt then
    local again, why = may_repeat(session, step, effect, doubt)
    if again == nil then return nil, why end
    if not again then settle(session, doubt, "found") return true end
  end
  local intent = write_intent(session, step, goal, effect, undoing, doubt)
  local started = task.now()
  local value, why = send(effect)
  local failed = value == nil and why ~= nil
  if failed and was_done(effect, doubt, why) then
    value, why, failed = true, nil, false
  end
  session:record("effect.outcome", {
    step = step.id, intent = intent.seq, ok = not failed,
    error = failed and plain.error(why) or nil,
    unknown = failed and type(why) == "table" and UNKNOWN[why.kind] or nil,
    value = not failed and small(value) or nil,
    took_ms = math.floor(task.now() - started),
  })
  if doubt and not failed then settle(session, doubt, "repeated") end
  return value, why
end

--- The `perform` of a context in which a goal of a step may act.
---@param work tranship.Work
---@param goal integer  which goal of the step
function M.performer(session, work, goal, undoing)
  local step = work.step
  return function(effect)
    if session.read_only then
      return nil, err.new {
        kind = "read only", origin = "run",
        message = ("%s would change %s, and this run only reads")
          :format(effect.primitive, effect.target),
      }
    end
    work:may_go_on()
    local _ <close> = work:effect_in_flight()
    return do_effect(session, step, goal, effect, undoing)
  end
end

--- Ends the doubt about a step's effects once its check answered.
function M.settle_step(session, step, as)
  for _, intent in ipairs(session.state:in_doubt(step.id)) do
    settle(session, intent, as)
  end
end

return M
