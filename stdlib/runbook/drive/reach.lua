--- Making one goal so: check, apply, check again; with tries after errors that
-- may pass. Forward and on the way back it is the same.

local err = require "base.err"
local sys = require "vm.sys"
local task = require "vm.task"
local answer = require "runbook.drive.answer"
local effects = require "runbook.drive.effects"
local plain = require "runbook.record.plain"
local run_context = require "runbook.drive.run_context"

local M = {}

local CHECK_AGAIN_MS = { 0, 100, 400, 1500 }   -- worlds that settle late
local JITTER = 0.2

--- A failure of a step, as `nil, err`.
function M.failure(format, ...)
  return nil, err.new { kind = "failed", origin = "step",
                        message = format:format(...) }
end

local function check(session, step, n, goal, run, when)
  local said, why = answer.ask(session, step, goal.check, goal, run)
  if not said then return nil, why end
  session:record("check.answer", { step = step.id, goal = goal.title, n = n,
                                   when = when, answer = said })
  if said.unsure and not said.ok then
    return nil, err.new { kind = "unsure", origin = "check",
      message = ("%s: %s; a person has to look"):format(goal.title, said.unsure) }
  end
  return said
end

local function check_after(session, step, n, goal, run)
  local said, why
  for _, pause in ipairs(CHECK_AGAIN_MS) do
    if pause > 0 then task.sleep(pause) end
    said, why = check(session, step, n, goal, run, "after")
    if not said then return nil, why end
    if said.ok then return true end
  end
  return M.failure("%s: apply ended, check still says no (%s)", goal.title,
                 answer.text(said))
end

local function borrow(session, step)
  if step.lasts ~= "run" then return end
  if #session.state:debts("loan", step.id) > 0 then return end
  session:record("owed.open", { step = step.id, debt = "loan",
                                title = step.title }, true)
end

--- Makes one goal so: "found", "applied", or nil and why not.
---@async
---@param n integer  which goal of the step
function M.goal(session, work, n, goal, undoing)
  local step = work.step
  local run = run_context.new(session, work, step, goal)
  if goal:has "check" then
    local said, why = check(session, step, n, goal, run,
                            undoing and "undo" or "before")
    if not said then return nil, why end
    if said.ok then return "found" end
    if not goal:has "apply" then
      return M.failure("%s: %s", goal.title, answer.text(said))
    end
  end
  if not goal:has "apply" then return "found" end
  if not undoing then borrow(session, step) end
  local within = session:context(undoing and "undo" or "run", step, {
    perform = effects.performer(session, work, n, undoing),
  })
  local done, why = answer.call(within, goal.apply, goal, run)
  if done == nil and why then return nil, why end
  if goal:has "check" then
    local ok
    ok, why = check_after(session, step, n, goal, run)
    if not ok then return nil, why end
  end
  return "applied"
end

local function pause_before(retry, try)
  local wait = retry.wait_ms or 0
  if retry.up_to_ms then
    wait = math.min(wait * 2 ^ (try - 1), retry.up_to_ms)
  end
  local spread = sys.random(1):byte() / 255 * 2 - 1
  return math.max(0, math.floor(wait * (1 + JITTER * spread)))
end

--- Calls `fn` again after errors that may pass, as often as the step allows.
---@async
function M.with_retry(session, step, fn)
  local retry = step.retry or { times = 0 }
  local try = 0
  while true do
    local value, why = fn()
    if value ~= nil then return value end
    local may = type(why) == "table" and why.retriable and not session:is_mute()
    if not may or try >= retry.times then return nil, why end
    try = try + 1
    local wait = pause_before(retry, try)
    session:record("step.retry", { step = step.id, try = try, wait_ms = wait,
                                   error = plain.error(why) })
    task.sleep(wait)
  end
end

return M
