--- A person's word in the journal: how a step ended, or that a run is given up.
-- Nothing in a journal is ever edited; this adds to it.

local run_context = require "runbook.drive.run_context"
local runs = require "runbook.record.runs"
local sys = require "vm.sys"
local version = require "runbook.record.version"

local M = {}

local function enter(session)
  session:record("run.drive", { how = "settle", operator = session.operator,
                                pid = sys.pid(), build = version.BUILD })
end

local function leave(session, before)
  session:record("run.stop", {
    exit = before and before.exit or 6, outcome = "settled",
    step = before and before.step, because = "settled by " .. session.operator,
  }, true)
end

local PAYS = { done = true, undone = true }

--- Journals how a step ended; a step at rest owes nothing.
---@async
---@param as "done"|"not-done"|"undone"
---@param against? boolean  the step's check says otherwise
function M.step(session, step, as, because, against)
  local before = session.state.stopped
  enter(session)
  session:record("settle", {
    step = step.id, as = as, because = because, who = session.operator,
    against_check = against or nil,
  }, true)
  if PAYS[as] then
    for _, owed in ipairs(session.state:debts(nil, step.id)) do
      if owed.debt == "gap" or as == "undone" then
        run_context.pay(session, owed)
      end
    end
  end
  leave(session, before)
end

--- Closes a run as it is.
---@async
function M.give_up(session, because)
  enter(session)
  session:record("run.close", { exit = 0, outcome = "given up",
                                because = because, who = session.operator },
                 true)
  runs.release(session.folder)
end

return M
