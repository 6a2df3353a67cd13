--- What becomes of a run when a step did not end well: `on_failure`.

local undo = require "runbook.drive.undo"

local M = {}

---@class tranship.Verdict  how a drive ends
---@field exit integer      exit code, before debts are counted
---@field outcome string    done stopped waiting undone "going back" "undo failed"
---@field step? tranship.Step
---@field because? string
---@field err? tranship.Err

local function stop(outcome, exit, name)
  return { exit = exit or 1, outcome = name or "stopped", step = outcome.step,
           err = outcome.err, because = outcome.because }
end

local function go_back(session, scope, step, outcome)
  undo.begin(session, scope, step, outcome.because)
  local verdict = undo.back(session)
  verdict.failed = outcome.step
  return verdict
end

local function pass_over(session, step)
  session:record("step.passed", { step = step.id })
  return nil, "go on"
end

local handle = {}

handle["stop"] = function(_, _, outcome) return stop(outcome) end

handle["go on"] = function(session, step) return pass_over(session, step) end

handle["undo this"] = function(session, step, outcome)
  return go_back(session, "this", step, outcome)
end

handle["undo all"] = function(session, _, outcome)
  return go_back(session, "all", nil, outcome)
end

handle["undo to"] = function(session, step, outcome)
  return go_back(session, "to", step.on_failure.step, outcome)
end

handle["ask"] = function(session, step, outcome)
  if not session.terminal then return stop(outcome, 6, "waiting") end
  local choice = session:choose(step,
    ("%s did not hold: %s"):format(step.id, outcome.because or "?"),
    { "retry", "undo this", "go on", "stop" })
  if choice == "retry" then return nil, "again" end
  if choice == "go on" then return pass_over(session, step) end
  if choice == "undo this" then
    return go_back(session, "this", step, outcome)
  end
  return stop(outcome)
end

-- A rescue is tried once per step and drive: what it did not cure, it does not
-- cure the second time.
handle["rescue"] = function(session, step, outcome, walk)
  local rescue = step.on_failure
  session.rescued = session.rescued or {}
  if session.rescued[step.id] then return stop(outcome) end
  session.rescued[step.id] = true
  for _, inner in ipairs(rescue.steps) do
    local verdict = walk(session, inner)
    if verdict then return verdict end
  end
  if rescue.next == "retry" then return nil, "again" end
  if rescue.next == "go on" then return pass_over(session, step) end
  return stop(outcome)
end

local function kind_of(step)
  local on_failure = step.on_failure
  if type(on_failure) == "table" then return on_failure.kind end
  return on_failure or "stop"
end

local function interrupted(session, outcome)
  local step = outcome.step
  if outcome.after == "undo this" then
    session.interrupt:calm()
    return go_back(session, "this", step, outcome)
  end
  if session.interrupt.level == 0 then         -- a group cancelled it
    return nil, "again"
  end
  return stop(outcome, 6, "interrupted")
end

--- Decides: a verdict that ends the drive, or nil and "again" or "go on".
---@async
---@param outcome tranship.Outcome
---@param walk fun(session, step): tranship.Verdict?  takes a rescue step
---@return tranship.Verdict? verdict
---@return "again"|"go on"|nil next
function M.handle(session, outcome, walk)
  local kind = outcome.kind
  if kind == "interrupted" then return interrupted(session, outcome) end
  if kind == "denied" then return stop(outcome) end
  if kind == "expired" or kind == "waiting" then
    return stop(outcome, 6, "waiting")
  end
  if kind == "stopped" then
    local doubt = outcome.err and outcome.err.kind == "in doubt"
    return stop(outcome, doubt and 7 or 1)
  end
  local step = outcome.step
  return handle[kind_of(step)](session, step, outcome, walk)
end

return M
