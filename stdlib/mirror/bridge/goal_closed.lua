--- "The bridge is closed": everything copied that it carries, the engine ended,
-- and the bridge's topic says so. Undone, it is opened again and goes on where it
-- stopped. What cannot be copied to its end is left out by `except`.

local goal = require "runbook.goal"
local effect = require "base.effect"
local err = require "base.err"
local lazy = require "base.lazy"
local answer = require "mirror.answer"
local names = require "mirror.names"
local stopping = lazy "mirror.bridge.stopping"
local turning = lazy "mirror.bridge.turning"

local function check(g)
  local bridge = g.bridge
  local seen, why = effect.observe("bridge/" .. bridge.name .. "/closed",
    function()
      local stopped, problem = stopping.is_stopped(bridge)
      if stopped == nil then return nil, problem end
      return { ok = stopped, seen = stopped and "closed" or "open",
        want = "closed", text = ("bridge %s is %s"):format(bridge.name,
          stopped and "closed" or "open") }
    end)
  return seen, why
end

local function apply(g)
  local bridge = g.bridge
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  local topics = book and book.bridge and names.carried(bridge, book:names())
    or answer.is_planning() and bridge.topics or nil
  local ok
  ok, why = turning.drain(bridge, topics)
  if ok == nil then
    return nil, err.wrap(why, "closing waits for all topics but those that `except` "
      .. "in the bridge leaves out")
  end
  return stopping.stop(bridge, "closed")
end

return {
  name = "closed",
  title = "{bridge} is closed",
  takes = { { name = "bridge", kind = "bridge", desc = "the bridge" } },
  check = check,
  apply = apply,
  verify = check,
  undo = function(g)
    return goal.make(require "mirror.bridge.goal_open",
      { bridge = g.bridge, as = g.bridge._as })
  end,
}
