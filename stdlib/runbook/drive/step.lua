--- One step, from pending to done: when, needs, approval, check, apply, check
-- again, verify. What to do about a failure is decided elsewhere (failure.lua).

local err = require "base.err"
local task = require "vm.task"
local answer = require "runbook.drive.answer"
local approval = require "runbook.drive.approval"
local effects = require "runbook.drive.effects"
local needs = require "runbook.drive.needs"
local plain = require "runbook.record.plain"
local plan = require "runbook.plan"
local proof = require "runbook.drive.proof"
local reach = require "runbook.drive.reach"
local run_context = require "runbook.drive.run_context"
local shape = require "runbook.drive.shape"

local M = {}

---@class tranship.Outcome
---@field kind "done"|"skipped"|"failed"|"stopped"|"denied"|"expired"|"waiting"|"interrupted"
---@field step tranship.Step  the step it is about (a need may fail instead)
---@field err? tranship.Err
---@field because? string
---@field after? string  chosen by the operator in a gap

local function reach_all(session, work)
  local step, applied = work.step, false
  for n, goal in ipairs(shape.goals(step)) do
    local how, why = reach.with_retry(session, step, function()
      return reach.goal(session, work, n, goal)
    end)
    if not how then return nil, why end
    applied = applied or how == "applied"
  end
  return applied and "applied" or "found"
end

local function body(session, work, deadline)
  local step = work.step
  local how, why = reach_all(session, work)
  if not how then return nil, why end
  local goals = shape.goals(step)
  local proofs = answer.proofs(step, goals, function(goal)
    return run_context.new(session, nil, step, goal)
  end)
  local ok
  ok, why = proof.prove(session, step, proofs, {
    limit_ms = deadline and math.max(0, deadline - task.now()),
    steady_ms = step.steady_ms,
  })
  if not ok then return nil, why end
  if shape.is_attestation(step) then return "proved" end
  return #session.state:step(step.id).intents > 0 and "applied" or how
end

-- The timeout covers everything but the wait for an approval. The questions
-- end a little earlier, so that the last answer is known and not only the time.
local TIMEOUT_GRACE_MS = 500

-- What was still missing, or still going on, says more than the time.
local function late(session, step, limit)
  local no = session.state:said_no(step.id)
  local said = session:heard(step)
    or no and ("%s: %s"):format(no.question, answer.text(no.answer))
  return err.new { kind = "timeout", origin = "step",
    message = ("%snot done within %gs"):format(said and said .. "; " or "",
      limit / 1000) }
end

local function body_in_time(session, work)
  local limit = work.step.timeout_ms
  if not limit then return body(session, work) end
  local deadline = task.now() + limit
  local how, why = task.deadline(limit + TIMEOUT_GRACE_MS, body, session, work,
                                 deadline)
  if how == nil and type(why) == "table" and why.kind == "timeout"
     and task.now() >= deadline then
    why = late(session, work.step, limit)
  end
  return how, why
end

-- Leaving ------------------------------------------------------------------------

--- Pays the gaps of a step that came to rest, done or undone.
function M.close_gaps(session, step)
  for _, owed in ipairs(session.state:debts("gap", step.id)) do
    run_context.pay(session, owed)
  end
end

local function leave(session, step, state, fields, started)
  fields.step, fields.state = step.id, state
  fields.took_ms = started and math.floor(task.now() - started)
  session:record("step.leave", fields)
end

local STOPPING = { unsure = true, ["in doubt"] = true }

local function leave_failed(session, step, why, started)
  local state = type(why) == "table" and STOPPING[why.kind] and "stopped"
    or "failed"
  leave(session, step, state, { error = plain.error(why) }, started)
  return { kind = state, step = step, err = why, because = answer.why(why) }
end

local function leave_done(session, step, how, started)
  effects.settle_step(session, step, "found")
  M.close_gaps(session, step)
  leave(session, step, "done", { how = how }, started)
  return { kind = "done", step = step }
end

-- Approval -----------------------------------------------------------------------

-- An approval given for this plan still counts; also for a step that was begun
-- under it and did not come to an end.
local function approved_before(session, step, planned)
  local given = session.state:step(step.id).approval.given
  if not given then return false end
  local known = session.state:step(step.id)
  local last = known.intents[#known.intents]
  if last and last.seq > given.seq then return true end
  local asked = known.approval.asked
  return asked and asked.plan == planned.hash
end

-- A step that is so already changes nothing, so nobody is asked about it; the
-- line is asked about always.
local function approve(session, step)
  if not step.approve then return true end
  while true do
    local planned = plan.step(session, step, {})
    if planned.status == "found" and step.kind ~= "ponr" then return true end
    if approved_before(session, step, planned) then return true end
    local said = approval.ask(session, step, planned)
    if said ~= "given" then
      if said ~= "waiting" then            -- a waiting question stays open
        leave(session, step, "stopped", { because = "approval " .. said })
      end
      return nil, { kind = said, step = step, because = "approval " .. said }
    end
    local now = plan.step(session, step, {})
    if now.hash == planned.hash then return true end
    session:record("approval.void", { step = step.id,
      because = "the plan changed while the approval was asked" })
  end
end

-- The line -----------------------------------------------------------------------

local function may_cross(session, step)
  local gaps, doubt = session.state:debts "gap", session.state:in_doubt()
  if #gaps > 0 then
    return reach.failure("%s cannot be crossed inside a gap (%s)", step.title,
                   gaps[1].title)
  elseif #doubt > 0 then
    return reach.failure("%s cannot be crossed with an effect in doubt (%s)",
                   step.title, doubt[1].summary or doubt[1].primitive)
  end
  return true
end

local function cross(session, work)
  local step = work.step
  local ok, why = may_cross(session, step)
  if not ok then return leave_failed(session, step, why) end
  local how
  how, why = body_in_time(session, work)
  if not how then return leave_failed(session, step, why) end
  session:record("ponr.crossed", { step = step.id, title = step.title }, true)
  leave(session, step, "done", { how = "crossed" })
  return { kind = "done", step = step }
end

-- One pass -----------------------------------------------------------------------

local function is_wanted(session, step)
  local when = step.when
  if when == nil or when == true then return true end
  if when == false then return false end
  local said, why = answer.ask(session, step, when)
  if not said then return nil, why end
  return said.ok
end

local function pass(session, work, group)
  local step = work.step
  local wanted, why = is_wanted(session, step)
  if wanted == nil then
    session:record("step.enter", { step = step.id, title = step.title })
    return leave_failed(session, step, why)
  elseif not wanted then
    session:record("step.skip", { step = step.id, title = step.title,
                                  because = "its `when` says no" })
    return { kind = "skipped", step = step }
  end
  local ok, outcome = needs.ready(session, step)
  if not ok then return outcome end
  local known = session.state:step(step.id)
  local begun_asking = known.state == "asking"
  if not begun_asking then
    session:record("step.enter", { step = step.id, title = step.title,
                                   group = group })
  end
  ok, outcome = approve(session, step)
  if not ok then return outcome end
  ok, outcome = needs.ready(session, step)     -- the wait may have been long
  if not ok then return outcome end
  if step.kind == "ponr" then return cross(session, work) end
  local started = task.now()
  local how
  how, why = body_in_time(session, work)
  if not how then return leave_failed(session, step, why, started) end
  return leave_done(session, step, how, started)
end

--- Whether nothing is left to do for a step in this drive.
function M.is_over(session, step)
  local known = session.state:step(step.id, step.title)
  if known.passed then return true end
  if known.state ~= "done" then return false end
  if step.lasts == "run" then
    return known.proved.drive == session.state.drive
  end
  return true
end

--- Takes a step as far as it goes.
---@async
---@param group? string  title of the parallel it belongs to
---@return tranship.Outcome
function M.attempt(session, step, group)
  local known = session.state:step(step.id, step.title)
  if known.crossed and known.state ~= "done" then
    session:record("step.leave", { step = step.id, state = "done",
                                   how = "crossed" })
  end
  if M.is_over(session, step) then return { kind = "done", step = step } end
  local how, work, outcome, why = session.interrupt:run(step, false,
    function(work) return pass(session, work, group) end)
  if how == "ended" then
    if not outcome then err.raise(why) end
    return outcome
  end
  if known.entered and not known.left and known.state ~= "asking"
     and not session:is_mute() then
    session:record("step.leave", { step = step.id, state = "stopped",
                                   because = "interrupted" })
  end
  return { kind = "interrupted", step = step, after = work and work.after,
           because = "interrupted" }
end

return M
