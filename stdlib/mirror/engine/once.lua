--- "Once": the engine ends when everything has been copied that was there when
-- it began. What is written meanwhile may be copied too, or not.

local task = require "vm.task"
local err = require "base.err"
local ledger = require "mirror.topic.ledger"

local M = {}

local LOOK_MS = 50

local function has_stopped(flow) return flow.at and flow.at.state == "stopped" end

--- Where each flow has to come, by its id. A flow that has no leg yet, or
-- whose source cannot be asked now, is looked at again.
local function set_goals(flows, goals)
  for id, one in pairs(flows) do
    if not goals[id] and one.leg and not has_stopped(one) then
      local reads = ledger.sides(one.leg)
      local bounds = one:side(reads):bounds(one:name_on(reads), one.partition)
      goals[id] = bounds and bounds.stable
    end
  end
end

--- Is everything there, or stopped? And what those say that have stopped.
local function look(flows, goals)
  local stopped = {}
  for id, one in pairs(flows) do
    local at, goal = one.at, goals[id]
    if has_stopped(one) then
      stopped[#stopped + 1] = at.text
    elseif not (goal and at and at.source) or at.source < goal then
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
  if engine.nothing then
    return nil, err.new { kind = "not found", origin = "bridge",
      message = engine.nothing }
  end
  local flows, goals = {}, {}
  for id, one in pairs(engine.flows) do flows[id] = one end
  local over, stopped
  repeat
    task.sleep(LOOK_MS)
    set_goals(flows, goals)
    over, stopped = look(flows, goals)
  until over
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
