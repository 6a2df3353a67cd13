--- Ctrl-C once, twice, three times; SIGTERM counts as once.
-- Once: the effect in flight ends, open gaps are closed, then the work stops.
-- Twice: work is cancelled where it stands; its effect becomes in doubt.
-- Three times: the process ends. A timeout of a step is like twice, for that
-- step alone.
--
-- Each step under way is a `work`: a task that holds itself back from being
-- stopped while an effect is in flight or a gap is open.

local sys = require "vm.sys"
local task = require "vm.task"

local M = {}

local EXIT_KILLED = 130

---@class tranship.Work
---@field step tranship.Step
---@field stopped? string  why it was stopped: "asked" or "cancelled"
---@field after? string    what the operator chose in a gap: "undo this", "leave"
local Work = {}
Work.__index = Work

---@class tranship.Interrupt
---@field level integer  how often it was asked
local Interrupt = {}
Interrupt.__index = Interrupt

--- `on_signal(level, name)` is told of each; `ask_gap(work)` lets the operator
-- choose what to do with an open gap and returns finish, undo this or leave.
function M.new(on_signal, ask_gap)
  return setmetatable({ level = 0, _works = {}, _on_signal = on_signal,
                        _ask_gap = ask_gap, asked = task.flag() }, Interrupt)
end

--- Listens to signals until closed; returns something to close.
function Interrupt:listen()
  local signals = sys.signals { "INT", "TERM" }
  local listener = task.spawn(function()
    for name in signals.next, signals do self:raise(name) end
  end)
  return setmetatable({}, { __close = function()
    listener:cancel()
    signals:close()
  end })
end

--- Counts a signal and acts on it.
function Interrupt:raise(name)
  self.level = self.level + 1
  if self.level >= 3 then os.exit(EXIT_KILLED, false) end -- luacheck: ignore
  self._on_signal(self.level, name)
  self.asked:set(true)
  for work in pairs(self._works) do
    if work.shielded and self.level < 2 then goto continue end
    if self.level >= 2 then
      work:cancel "cancelled"
    elseif work.gaps > 0 then
      task.spawn(function() self:_choose(work) end)
    else
      work:settle()
    end
    ::continue::
  end
end

--- Cancels the work of every other step, as a parallel group may ask.
function Interrupt:cancel_others(step)
  for work in pairs(self._works) do
    if work.step ~= step then work:cancel "cancelled" end
  end
end

--- After "undo this": the operator chose to go on, back. The next signal
-- counts as the first again.
function Interrupt:calm() self.level = 0 end

function Interrupt:_choose(work)
  local choice = self._ask_gap(work)
  if work.stopped or work.over or choice == "finish" then return end
  work.after = choice
  work:settle(true)
end

--- Runs `fn(work)` as stoppable work of a step.
-- `shielded` work (paying what is owed) is stopped by the second signal only.
---@async
---@return string outcome  "ended", "asked" or "cancelled"
---@return ... results of fn; or nil, err
function Interrupt:run(step, shielded, fn)
  local work = setmetatable({ step = step, shielded = shielded, inflight = 0,
                              gaps = 0, _interrupt = self }, Work)
  if self.level >= 1 and not shielded then return "asked" end
  self._works[work] = true
  work.task = task.spawn(fn, work)
  local _ <close> = setmetatable({}, { __close = function()
    work.over = true
    self._works[work] = nil
    if not work.task:is_done() then work.task:cancel() end
  end})
  local results = table.pack(work.task:join())
  if work.stopped then return work.stopped, work end
  if not results[1] then return "ended", work, nil, results[2] end
  return "ended", work, table.unpack(results, 2, results.n)
end

local function must_stop(work)
  return work.after or work._interrupt.level >= 1 and not work.shielded
end

--- Stops now, from outside this work's own task or from within.
function Work:cancel(why)
  if self.stopped or self.over then return end
  self.stopped = why
  task.spawn(function() self.task:cancel() end)
end

--- Stops if it was asked and nothing holds the work back.
function Work:settle(in_gap)
  if self.inflight == 0 and (in_gap or self.after or self.gaps == 0)
     and must_stop(self) then
    self:cancel "asked"
    return true
  end
end

--- Called before an effect: never returns if the work has to stop.
---@async
function Work:may_go_on()
  if self:settle() or self.stopped then task.flag():wait() end
end

local function hold(work, field)
  work[field] = work[field] + 1
  return setmetatable({}, { __close = function()
    work[field] = work[field] - 1
    if not work.stopped then work:settle() end
  end })
end

--- Holds the work back while an effect is in flight; close to release.
function Work:effect_in_flight() return hold(self, "inflight") end

--- Holds the work back while a gap is open.
function Work:gap_open() return hold(self, "gaps") end

return M
