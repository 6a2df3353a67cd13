--- Beside a drive with a live view: redraws it each second, and asks how far
-- the bridges are behind. Nothing here decides anything.

local task = require "vm.task"
local closing = require "base.closing"

local M = {}

local TICK_MS, LAG_EVERY_MS, LAG_LIMIT_MS = 1000, 5000, 4000

local function footer(session)
  local owed, back = {}, {}
  for _, one in ipairs(session.state:debts()) do owed[#owed + 1] = one.title end
  for _, step in ipairs(session.state:way_back(session.book)) do
    back[#back + 1] = step.id
  end
  return { owed = owed, way_back = back, lag = session.lag }
end

local function lag_of(session, bridge)
  local answer = task.deadline(LAG_LIMIT_MS, function()
    return session:reading(nil, bridge.lag, bridge, {})
  end)
  return type(answer) == "table" and math.type(answer.seen) == "integer"
    and answer.seen or nil
end

-- The sum over all bridges that answer; a bridge not open yet has no lag.
local function ask_lag(session)
  local sum
  for _, bridge in ipairs(session.book.bridges or {}) do
    local seen
    if type(bridge.lag) == "function" then
      local ok, lag = pcall(lag_of, session, bridge)
      seen = ok and lag
    end
    if seen then sum = (sum or 0) + seen end
  end
  session.lag = sum
end

local function every(ms, fn)
  return task.spawn(function()
    while true do
      task.sleep(ms)
      fn()
    end
  end)
end

--- Keeps the view of a session fresh until closed.
---@return table closer
function M.start(session)
  local view, tasks = session.view, {}
  if view then
    tasks[1] = every(TICK_MS, function()
      view:footer(footer(session))
      view:tick()
    end)
    if view.mode == "tty" then
      tasks[2] = every(LAG_EVERY_MS, function() ask_lag(session) end)
    end
  end
  return closing(tasks)
end

return M
