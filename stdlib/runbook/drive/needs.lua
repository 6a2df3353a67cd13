--- What a step rests on: its needs, done and fresh, and on resume the proof
-- that what was done is still so.

local effects = require "runbook.drive.effects"
local answer = require "runbook.drive.answer"
local plain = require "runbook.record.plain"
local proof = require "runbook.drive.proof"
local run_context = require "runbook.drive.run_context"
local shape = require "runbook.drive.shape"
local sys = require "vm.sys"
local task = require "vm.task"

local M = {}

--- Whether a proof still counts: proved by this process, and not too long ago.
-- A person's word counts until the step is proved again.
function M.is_fresh(session, step)
  local known = session.state:step(step.id)
  local proved = known.proved
  if known.how == "settled" then return true end
  if not proved or proved.drive ~= session.state.drive then return false end
  return not step.good_for_ms or sys.time() - proved.time <= step.good_for_ms
end

local function blocked(step, need, why)
  return nil, {
    kind = "stopped", step = step, because =
      ("%s needs %s, %s"):format(step.id, need.id, why),
  }
end

-- Asks the questions of a step again; a step-wide steady held once and is not
-- held a second time, the questions' own are.
local function prove_again(session, need)
  local proved = task.flag()
  session.proving[need.id] = proved
  local _ <close> = setmetatable({}, { __close = function()
    session.proving[need.id] = nil
    proved:set()
  end })
  session:record("step.enter", { step = need.id, title = need.title,
                                 proof = true })
  local proofs = answer.proofs(need, {}, function(goal)
    return run_context.new(session, nil, need, goal)
  end)
  local ok, why = proof.prove(session, need, proofs,
                              { limit_ms = need.timeout_ms })
  session:record("step.leave", {
    step = need.id, state = ok and "done" or "failed", how = "proved",
    error = plain.error(why),
  })
  if ok then return true end
  return nil, { kind = "failed", step = need, err = why }
end

-- A step left out by --only, --skip or --from counts if it is so now.
local function is_so(session, step, need)
  for _, goal in ipairs(shape.goals(need)) do
    if goal:has "check" then
      local run = run_context.new(session, nil, need, goal)
      local said, why = answer.ask(session, need, goal.check, goal, run)
      if not said then return blocked(step, need, tostring(why)) end
      if not said.ok then
        return blocked(step, need, "which was left out and is not so: "
                       .. answer.text(said))
      end
    end
  end
  if shape.is_attestation(need) then return prove_again(session, need) end
  return true
end

-- Of steps side by side one proves what all of them need; the others wait for it.
local function ready_one(session, step, need)
  while session.proving[need.id] do session.proving[need.id]:wait() end
  local known = session.state:step(need.id, need.title)
  if known.state == "done" or known.sealed and known.left then
    if shape.is_attestation(need) and not M.is_fresh(session, need) then
      return prove_again(session, need)
    end
    return true
  elseif known.state == "skipped" then
    if known.unselected then return is_so(session, step, need) end
    if need.optional or not step.needs_given then return true end
    return blocked(step, need, "which was skipped")
  elseif known.passed then
    return true
  end
  return blocked(step, need, "which is " .. known.state)
end

--- All needs of a step are done and fresh, after proving again what is stale.
---@async
---@return true?, tranship.Outcome? outcome
function M.ready(session, step)
  for _, need in ipairs(step.needs or {}) do
    local ok, outcome = ready_one(session, step, need)
    if not ok then return nil, outcome end
  end
  return true
end

-- Drift -----------------------------------------------------------------------

local STANDS = { done = true }
local BEGUN = { checking = true, asking = true, applying = true,
                verifying = true, done = true, failed = true, stopped = true,
                undoing = true, ["undo failed"] = true }

--- The step that speaks about `goal`'s subject now, if it is a later one.
function M.superseded(session, book, step, goal)
  local at
  for index, other in ipairs(book.all_steps) do
    if other == step then at = index end
    local known = session.state.steps[other.id]
    if at and other ~= step and known and BEGUN[known.state]
       and (known.entered or known.state == "done") then
      for _, later in ipairs(shape.goals(other)) do
        if shape.covers(later.subject, goal.subject) then return other end
      end
    end
  end
  -- A step may also hold two goals about one subject: the last one counts.
  local after
  for _, other in ipairs(shape.goals(step)) do
    if after and shape.covers(other.subject, goal.subject) then return step end
    if other == goal then after = true end
  end
end

--- Checks every done step that nothing later speaks about. A step that is no
-- longer so has drifted.
---@async
---@return { step: tranship.Step, goal: string, answer: tranship.Answer }[] drifted
---@return tranship.Err? err  a check could not be asked
function M.drift(session, book)
  local drifted = {}
  for _, step in ipairs(book.all_steps) do
    local known = session.state.steps[step.id]
    if known and STANDS[known.state] and step.lasts ~= "run" then
      for n, goal in ipairs(shape.goals(step)) do
        if goal:has "check" and not M.superseded(session, book, step, goal) then
          local run = run_context.new(session, nil, step, goal)
          local said, why = answer.ask(session, step, goal.check, goal, run)
          if not said then return nil, why end
          session:record("check.answer", {
            step = step.id, goal = goal.title, n = n, when = "drift",
            answer = said,
          })
          if said.ok then
            effects.settle_step(session, step, "found")
          else
            drifted[#drifted + 1] =
              { step = step, goal = goal.title, answer = said }
          end
        end
      end
    end
  end
  return drifted
end

return M
