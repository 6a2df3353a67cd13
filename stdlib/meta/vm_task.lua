---@meta
--- Tasks: coroutines on the loop. A cancelled one is never resumed, so pcall
--- cannot hold it; its closers run, and cannot wait.

---@class vm.task
local M = {}

---@class tranship.Task
local Task = {}

--- Waits for its end.
---@async
---@return true|nil, any ... its results, or nil and the err it ended with
function Task:join() end

--- Ends it; one that runs ends at its next wait.
function Task:cancel() end

--- The same as cancel, for `<close>`.
function Task:close() end

---@return boolean
function Task:is_done() end

--- Wakes the ticket when the task is done.
---@param ticket tranship.Ticket
function Task:tell(ticket) end

--- What join returns, of a task that is done.
---@return true|nil, any ...
function Task:outcome() end

---@class tranship.Ticket
local Ticket = {}

--- Wakes who parked with it; false if that was done already.
---@param value? any
---@return boolean
function Ticket:wake(value) end

---@return boolean
function Ticket:is_live() end

--- Starts `fn(...)` as a task; it runs in the loop's next round.
---@param fn function
---@return tranship.Task
function M.spawn(fn, ...) end

---@async
---@param ms integer
function M.sleep(ms) end

--- Monotonic milliseconds.
---@return integer
function M.now() end

--- Monotonic microseconds, for measurements.
---@return integer
function M.now_us() end

--- A table of the running task; children start with a shallow copy.
---@return table
function M.locals() end

---@return tranship.Task|nil
function M.running() end

--- Runs `fn(...)`, and cancels it when the time is over.
---@async
---@param ms integer
---@param fn function
---@return any ... what fn returned, or nil and an err
function M.deadline(ms, fn, ...) end

--- Runs functions side by side; the first failure cancels the others.
---@async
---@param list function[]
---@param options? { at_once?: integer }
---@return any[]|nil results, tranship.Err? err
function M.together(list, options) end

---@return tranship.Flag
function M.flag() end

---@return tranship.Queue
function M.queue() end

--- The right to wake the running task once.
---@return tranship.Ticket
function M.ticket() end

--- Waits until the ticket is woken; returns what it was woken with.
---@async
---@param ticket tranship.Ticket
---@return any
function M.park(ticket) end

--- Wakes a ticket with nil after a time; close it when the wait is over.
---@param ms integer
---@param ticket tranship.Ticket
---@return { close: fun(self) }
function M.timer(ms, ticket) end

return M
