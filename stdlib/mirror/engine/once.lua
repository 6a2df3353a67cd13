--- "Once": the engine ends when everything has been copied that was there when
-- it began. What is written meanwhile may be copied too, or not.

local task = require "vm.task"
local err = require "base.err"
local ledger = require "mirror.topic.ledger"

local M = {}

local LOOK_MS = 50

--- Where each flow has to come, by its id. A flow that has no leg yet, or
-- whose source cannot be asked now, is looked at again.
local function set_goals(engine, goals)
  local complete = true
  for id, one in pairs(engine.flows) do
    if not goals[id] and one.leg then
      local reads = ledger.sides(one.leg)
      local bounds = one:side(reads):bounds(one:name_on(reads), one.partition)
      goals[id] = bounds and bounds.stable
    end
    local at = one.at
    complete = complete and (goals[id] or at and at.state == "stopped")
  end
  return complete
end

--- Is everything there, or stopped? And what those say that have stopped.
local function look(engine, goals)
  local stopped = {}
  for id, one in pairs(engine.flows) do
    local at = one.at
    if at and at.state == "stopped" then
      stopped[#stopped + 1] = at.text
    elseif not at or not at.source or at.source < goals[id] then
      return false
    end
  end
  table.sort(stopped)
  return true, stopped
end

--- Ends the engine when it has caught up. Runs in a task of its own.
---@async
function M.watch(engine)
  engine.looked:wait()
  local goals = {}
  while not set_goals(engine, goals) do task.sleep(LOOK_MS) end
  local over, stopped = look(engine, goals)
  while not over do
    task.sleep(LOOK_MS)
    over, stopped = look(engine, goals)
  end
  if #stopped == 0 then
    engine.done:set "caught up"
    return true
  end
  return nil, err.new {
    kind = "conflict", origin = "bridge",
    message = ("%d partitions have stopped: %s"):format(#stopped,
      table.concat(stopped, "; ")),
  }
end

return M
