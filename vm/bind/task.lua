--- The Lua half of vm.task: everything that is a matter of who wakes whom.
-- All of it stands on tickets (see ticket.c): `ticket()` gives the running
-- task the right to be woken once, `park(ticket)` waits for that.

local M = ...

local err = require "vm.err"
local methods = M.methods
M.methods = nil

local park, ticket, timer = M.park, M.ticket, M.timer

--- Waits for the task's end.
---@async
---@return true|nil, ... results, or nil and the err it ended with
function methods:join()
  if not self:is_done() then
    local mine = ticket()
    self:tell(mine)
    park(mine)
  end
  return self:outcome()
end

--- Waits for a time.
---@async
---@param ms integer
function M.sleep(ms)
  local mine = ticket()
  local _ <close> = timer(ms, mine)
  park(mine)
  return true
end

local function after_join(is_ok, ...)
  if is_ok then return ... end
  return nil, (...)
end

--- Runs `fn(...)` as a child task that is cancelled when `ms` have passed.
---@async
---@return any ... what fn returned, or nil and an err (timeout, or fn's own)
function M.deadline(ms, fn, ...)
  local child <close> = M.spawn(fn, ...)
  local mine = ticket()
  child:tell(mine)
  local _ <close> = timer(ms, mine)
  park(mine)
  if child:is_done() then return after_join(child:outcome()) end
  return nil, err.new {
    kind = "timeout", origin = "task", code = 0, retriable = true,
    fatal = false, message = ("not done within %d ms"):format(ms),
  }
end

--- Runs functions side by side, at most `at_once` at a time. The first failure
-- cancels the others; so does cancelling the caller.
---@async
---@param list function[]
---@param options? { at_once?: integer }
---@return any[]|nil results first result of each, in the order of `list`
---@return table|nil err
function M.together(list, options)
  local at_once = options and options.at_once or list.at_once or #list
  local tasks, results, failure = {}, {}, nil
  local _ <close> = setmetatable({}, { __close = function()
    for _, one in pairs(tasks) do one:cancel() end
  end })
  local next_one, running = 1, 0
  while running > 0 or next_one <= #list do
    while running < at_once and next_one <= #list do
      tasks[next_one] = M.spawn(list[next_one])
      next_one, running = next_one + 1, running + 1
    end
    local mine = ticket()
    for _, one in pairs(tasks) do one:tell(mine) end
    park(mine)
    for i = 1, next_one - 1 do
      local one = tasks[i]
      if one and one:is_done() then
        tasks[i], running = nil, running - 1
        local is_ok, value = one:outcome()
        if is_ok then
          results[i] = value
        else
          failure = failure or value
        end
      end
    end
    if failure then return nil, failure end
  end
  return results
end

---@class tranship.Flag
local Flag = {}
Flag.__index = Flag
Flag.__name = "flag"

local function wake_all(waiting, value)
  for i = 1, #waiting do waiting[i]:wake(value) end
end

--- Wakes all who wait, with `value` (true when left out); it stays set.
function Flag:set(value)
  if value == nil then value = true end
  self._set, self._value = true, value
  local waiting = self._waiting
  self._waiting = {}
  wake_all(waiting, value)
end

--- Waits until the flag is set.
---@async
---@return any value
function Flag:wait()
  if self._set then return self._value end
  local mine = ticket()
  self._waiting[#self._waiting + 1] = mine
  return park(mine)
end

function Flag:is_set() return self._set end

function Flag:clear() self._set, self._value = false, nil end

--- A thing that happens once (or again after clear) and many may wait for.
---@return tranship.Flag
function M.flag()
  return setmetatable({ _set = false, _waiting = {} }, Flag)
end

---@class tranship.Queue
local Queue = {}
Queue.__index = Queue
Queue.__name = "queue"

--- Adds a value, or hands it to the one who waits longest.
function Queue:push(value)
  assert(value ~= nil, "a queue holds values, not nil")
  assert(not self._closed, "the queue is closed")
  self._last = self._last + 1
  self[self._last] = value
  self:_wake()
end

function Queue:_wake()
  local waiting = self._waiting
  while #waiting > 0 do
    if table.remove(waiting, 1):wake() then return end
  end
end

--- The oldest value; waits for one. nil once the queue is closed and empty.
---@async
function Queue:pop()
  while self._first > self._last do
    if self._closed then return nil end
    self:_wait()
  end
  local value = self[self._first]
  self[self._first] = nil
  self._first = self._first + 1
  return value
end

function Queue:is_empty() return self._first > self._last end

-- A wake-up may be spent on a task that is cancelled before it runs; closing
-- hands it on, so that no value lies there while somebody waits for it.
function Queue:_wait()
  local mine = ticket()
  local _ <close> = setmetatable({}, { __close = function()
    if not mine:is_live() and self._first <= self._last then self:_wake() end
  end })
  table.insert(self._waiting, mine)
  park(mine)
end

function Queue:close()
  self._closed = true
  local waiting = self._waiting
  self._waiting = {}
  wake_all(waiting)
end

---@return tranship.Queue
function M.queue()
  return setmetatable(
    { _first = 1, _last = 0, _closed = false, _waiting = {} }, Queue)
end

return M
