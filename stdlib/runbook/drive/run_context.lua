--- The `run` that goal functions receive: gaps, what to remember, the baseline.

local json = require "vm.json"
local sys = require "vm.sys"
local goals = require "runbook.goal"
local plain = require "runbook.record.plain"

local M = {}

---@class tranship.Run
---@field id string
local Run = { __name = "run" }
Run.__index = Run

--- The run as one goal of a step sees it.
---@param work? tranship.Work  what may open gaps; none in check and verify
function M.new(session, work, step, goal)
  return setmetatable({ id = session.id, _session = session, _work = work,
                        _step = step, _goal = goal, _random = 0 }, Run)
end

local function open_gap(session, step, title)
  for _, owed in ipairs(session.state:debts("gap", step.id)) do
    if owed.title == title then return owed end
  end
  return session:record("owed.open",
                        { step = step.id, debt = "gap", title = title }, true)
end

--- Pays a debt: it is owed no longer.
function M.pay(session, owed)
  session:record("owed.paid", {
    owed = owed.seq, step = owed.step, debt = owed.debt, title = owed.title,
    took_ms = sys.time() - owed.time,
  })
end

--- Marks time in which something is down. The gap is timed and owed: it stays
-- open when `fn` fails, until the step is done or undone.
---@async
---@param title string  "{app} is down"
---@param fn fun(): any
function Run:gap(title, fn)
  local session, work = self._session, self._work
  if not work then return fn() end
  title = goals.fill(title, self._goal and self._goal.args or {})
  local _ <close> = work:gap_open()
  local owed = open_gap(session, self._step, title)
  local out = table.pack(fn())
  if out.n < 2 or out[1] ~= nil then M.pay(session, owed) end
  return table.unpack(out, 1, out.n)
end

local function key_of(self, name)
  local goal = self._goal and self._goal.title or ""
  return ("%s/%s/%s"):format(self._step.id, goal, name)
end

--- A value read once and needed later: the first call computes and journals
-- it, every later one (also after a crash) gives the same.
---@async
---@param name string
---@param fn fun(): any, tranship.Err?  plain data
function Run:remember(name, fn)
  local session, key = self._session, key_of(self, name)
  local known = session.state.remembered[key]
  if known then return plain.copy(known[1]) end
  local value, why = fn()
  if value == nil then return nil, why end
  if not self._work then return value end      -- planning remembers nothing
  session:record("remember",
                 { step = self._step.id, key = key, value = value }, true)
  return value
end

--- How the world was when the run began: replica counts, group positions.
---@return table
function Run:baseline()
  return plain.copy(self._session.state.baseline or {})
end

--- Wall time in milliseconds.
function Run:now() return sys.time() end

--- A number from 1 to n; journalled, so that a repeated apply gets the same.
---@async
function Run:random(n)
  self._random = self._random + 1
  return self:remember("random " .. self._random, function()
    local bytes = sys.random(7)
    local number = 0
    for i = 1, #bytes do number = number << 8 | bytes:byte(i) end
    return number % n + 1
  end)
end

--- Writes a line into the journal.
---@async
function Run:log(...)
  if not self._work then return end             -- checks and plans leave no trace
  local parts = table.pack(...)
  for i = 1, parts.n do
    local part = parts[i]
    parts[i] = type(part) == "table" and json.encode(plain.copy(part))
      or tostring(part)
  end
  self._session:record("log", { step = self._step.id,
                                text = table.concat(parts, " ") })
end

return M
