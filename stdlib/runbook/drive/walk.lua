--- Forward through a runbook: items in the order they are written; only
-- `parallel` overlaps.

local task = require "vm.task"
local closing = require "base.closing"
local failure = require "runbook.drive.failure"
local step_of = require "runbook.drive.step"

local M = {}

local ENDED_WELL = { done = true, skipped = true }

-- Acts on an outcome until the step is through or the drive ends.
local function follow(session, step, outcome, group)
  while not ENDED_WELL[outcome.kind] do
    local verdict, next_one = failure.handle(session, outcome, M.step)
    if verdict then return verdict end
    if next_one == "go on" and outcome.step == step then return nil end
    outcome = step_of.attempt(session, step, group)
  end
end

local function leave_out(session, step)
  local chosen, because = session.selected(step)
  if chosen then return false end
  local known = session.state:step(step.id, step.title)
  if known.state ~= "done" and known.state ~= "skipped" then
    session:record("step.skip", { step = step.id, title = step.title,
                                  because = because, unselected = true })
  end
  return true
end

local function ask_first(session, step)
  if not session.ask_each or step_of.is_over(session, step) then return end
  local choice = session:choose(step, ("step %s, %s"):format(step.id,
                                step.title), { "go", "stop" })
  if choice == "stop" then
    return { exit = 6, outcome = "waiting", step = step,
             because = "stopped before this step, as asked" }
  end
end

--- Takes one step to its end, with whatever its failure asks for.
---@async
---@return tranship.Verdict? verdict  nil: go on with the next
function M.step(session, step, group)
  if leave_out(session, step) then return nil end
  local verdict = ask_first(session, step)
  if verdict then return verdict end
  return follow(session, step, step_of.attempt(session, step, group), group)
end

-- A group: at most `at_once` side by side. After the first failure no more are
-- started; what runs is finished, unless the group says to cancel it.
local function run_members(session, group)
  local outcomes, running, failed = {}, {}, false
  local queue = {}
  for _, step in ipairs(group.steps) do
    if not leave_out(session, step) then queue[#queue + 1] = step end
  end
  local on_first = group.on_first_failure or ""
  local function worker()
    while #queue > 0 and not failed do
      local step = table.remove(queue, 1)
      local outcome = step_of.attempt(session, step, group.title)
      outcomes[#outcomes + 1] = { step = step, outcome = outcome }
      if not ENDED_WELL[outcome.kind] and not on_first:find "go on" then
        failed = true
        if on_first:find "cancel" then session.interrupt:cancel_others(step) end
      end
    end
  end
  for i = 1, math.min(group.at_once or #queue, #queue) do
    running[i] = task.spawn(worker)
  end
  local _ <close> = closing(running)
  for _, one in ipairs(running) do
    local ok, why = one:join()
    if not ok then error(why, 0) end
  end
  return outcomes
end

local function left_over(group, outcomes)
  local ended = {}
  for _, one in ipairs(outcomes) do ended[one.step] = true end
  for _, step in ipairs(group.steps) do
    if not ended[step] then return true end
  end
end

--- Takes a parallel group to its end.
---@async
---@return tranship.Verdict?
function M.group(session, group)
  local outcomes = run_members(session, group)
  for _, one in ipairs(outcomes) do
    local verdict = follow(session, one.step, one.outcome, group.title)
    if verdict then return verdict end
  end
  -- A failure may have kept others from starting; it is cured by now.
  if left_over(group, outcomes) then
    for _, step in ipairs(group.steps) do
      local verdict = M.step(session, step, group.title)
      if verdict then return verdict end
    end
  end
end

--- Goes through the whole book.
---@async
---@return tranship.Verdict
function M.forward(session)
  for _, item in ipairs(session.book.items) do
    local verdict
    if item.kind == "parallel" then verdict = M.group(session, item)
    else verdict = M.step(session, item) end
    if verdict then return verdict end
  end
  return { exit = 0, outcome = "done" }
end

return M
