--- A run being driven by this process: its folder, lock, journal and state.
-- Everything that happens goes through `record`, which writes first and then
-- tells state, view and output.

local time = require "base.time"
local context = require "base.context"
local err = require "base.err"
local secret = require "vm.secret"
local sys = require "vm.sys"
local journal = require "runbook.record.journal"
local runs = require "runbook.record.runs"
local state = require "runbook.record.state"
local plain = require "runbook.record.plain"

local M = {}

local ACTS = { run = true, undo = true }            -- phases
local BEGINS = { ["check.answer"] = true, ["verify.answer"] = true,
  ["effect.intent"] = true }                          -- kinds of records

---@class tranship.Session
---@field folder tranship.RunFolder
---@field state tranship.RunState
---@field book tranship.Book
---@field interrupt tranship.Interrupt
---@field terminal? tranship.Terminal  where people can be asked
---@field read_only? boolean
---@field proving table<string, tranship.Flag>  needs that are being proved again, by step
local Session = {}
Session.__index = Session

--- Who drives: person, machine, process.
function M.operator()
  return ("%s@%s"):format(sys.user(), sys.hostname())
end

local function driver()
  return { operator = M.operator(), pid = sys.pid(),
           since = time.date(sys.time()) }
end

local function new(folder, lock, log, folded)
  local key = sys.read_file(folder.key)
  return setmetatable({
    id = folder.id, folder = folder, state = folded, _lock = lock,
    _journal = log, _key = key or "", _observers = {}, _heard = {},
    proving = {},
  }, Session)
end

--- Makes a new run's folder and takes its lock; nothing is journalled yet.
---@async
function M.create(root)
  local folder, why = runs.create(root)
  if not folder then return nil, why end
  local lock, log
  lock, why = runs.drive(folder, driver())
  if not lock then return nil, why end
  log, why = journal.create(folder.journal)
  if not log then lock:close() return nil, why end
  return new(folder, lock, log, state.new())
end

--- Takes the lock of a run that exists and folds its journal.
---@async
function M.open(folder)
  local lock, why = runs.drive(folder, driver())
  if not lock then return nil, why end
  local log, records = journal.open(folder.journal)
  if not log then lock:close() return nil, records end
  local self = new(folder, lock, log, state.fold(records))
  self.cut, self.records = log.cut, records
  return self
end

--- Calls `fn(record, state)` after each record.
function Session:observe(fn) self._observers[#self._observers + 1] = fn end

--- Writes a record, then lets it count. Raises if it cannot be written:
-- what is not journalled does not happen.
---@async
---@param sync? boolean  wait for the disk
---@return tranship.Record
function Session:record(kind, fields, sync)
  local record, why = self._journal:append(kind, fields, sync)
  if not record then err.raise(why) end
  if BEGINS[kind] then self._heard[record.step] = nil end
  self.state:apply(record)
  for _, observer in ipairs(self._observers) do observer(record, self.state) end
  return record
end

--- One line about what goes on now; shown, not journalled. What was said last of
-- an effect is kept until the next thing begins.
function Session:progress(step, text, phase)
  if not step then return end
  text = secret.redact(plain.line(text))
  if ACTS[phase] then self._heard[step.id] = text end
  if self.on_progress then self.on_progress(step, text) end
end

--- What goes on in a step that acts, as it was said last; nil if nothing was.
---@return string?
function Session:heard(step) return self._heard[step.id] end

--- Waits for a line at the terminal. A view shows the question itself; without
-- one the prompt does.
---@async
function Session:read_line(_, prompt)
  local view = self.view
  local line = self.terminal:line(not view and prompt or nil)
  if view and view.answered then view:answered() end
  return line
end

--- Asks until one of the choices is typed, in full or by its first letter.
---@async
---@param choices string[]
function Session:choose(step, question, choices)
  local asked = ("%s [%s]"):format(question, table.concat(choices, " / "))
  while true do
    if self.view then self.view:ask(asked) end
    local typed = self:read_line(step, asked .. " "):lower()
    for _, choice in ipairs(choices) do
      if typed == choice or typed == choice:sub(1, 1) then return choice end
    end
  end
end

--- The context in which goal functions of a step run.
---@param phase "check"|"plan"|"run"|"undo"
---@param more? table  perform, overlay, evidence
function Session:context(phase, step, more)
  local made = {
    phase = phase, state = self.folder.root, read_only = phase == "check",
    run = self.id, baseline = self.state.baseline,
    progress = function(text) self:progress(step, text, phase) end,
  }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

--- Runs `fn` where it may read the world and not change it.
---@async
function Session:reading(step, fn, ...)
  return context.with(self:context("check", step), fn, ...)
end

--- A fingerprint of a secret under this run's key, or the value as it is.
function Session:public(value)
  if type(value) == "userdata" and value.fingerprint then
    return { secret = value:fingerprint(self._key) }
  end
  return plain.copy(value)
end

--- True once the journal took no more records.
function Session:is_mute() return self._journal.failed ~= nil end

--- Seq and hash of the last record.
function Session:head() return self._journal.seq, self._journal.head end

function Session:close()
  if self._closed then return end
  self._closed = true
  self._journal:close()
  self._lock:close()
end

Session.__close = Session.close

--- Reads `<run>/archive` hash etc. from the opening record.
function Session:opened() return self.state.open end

--- A session that only reads: `record` leaves no trace. For plans.
---@param folded? tranship.RunState
function M.reader(root, folded)
  return setmetatable({
    id = "plan", folder = { root = root }, state = folded or state.new(),
    record = function() return {} end, progress = function() end, _key = "",
    is_mute = function() return false end, proving = {},
  }, Session)
end

return M
