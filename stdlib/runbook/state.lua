--- What a run is, folded from its journal, one record after the other.
-- The engine keeps no other memory of a run: it writes a record, and the
-- record changes this state, so a resumed run knows exactly what the dead one
-- knew. Folding never looks at the world.

local M = {}

---@class tranship.StepState
---@field id string
---@field state string  pending skipped checking asking applying verifying
---  done failed stopped undoing undone kept paid "undo failed"
---@field how? string   found, applied, settled, proved
---@field entered? integer  seq of the first entry since it was last undone
---@field left? integer     seq of the last leave
---@field proved? { time: integer, drive: integer }
---@field intents table[]   effects begun here, oldest first
---@field sealed? boolean   behind a crossed point of no return

---@class tranship.RunState
local State = {}
State.__index = State

function M.new()
  return setmetatable({
    direction = "forward", drive = 0, records = 0,
    steps = {}, order = {}, owed = {}, doubt = {}, remembered = {},
    signals = {}, stops = {},
  }, State)
end

--- The state of one step; made on first sight.
---@return tranship.StepState
function State:step(id, title)
  local step = self.steps[id]
  if not step then
    step = { id = id, title = title, state = "pending", intents = {},
             undo_intents = {}, approval = {}, tries = 0 }
    self.steps[id] = step
    self.order[#self.order + 1] = step
  end
  if title and not step.title then step.title = title end
  return step
end

local on = {}

on["run.open"] = function(self, rec)
  self.open = rec
end

on["run.drive"] = function(self, rec)
  self.drive = self.drive + 1
  self.driver = rec
  self.stopped, self.closed = nil, nil
end

-- A way back that is at its end ends with the drive: a process that dies in
-- between must not turn round by itself.
local function face_forward(self)
  if self.undone then
    self.direction, self.undo, self.undone = "forward", nil, nil
  end
end

on["run.stop"] = function(self, rec)
  self.stopped = rec
  self.stops[#self.stops + 1] = rec
  face_forward(self)
end

on["run.close"] = function(self, rec)
  self.closed = rec
  self.stopped = rec
  face_forward(self)
end

on.baseline = function(self, rec) self.baseline = rec.value end

on["step.skip"] = function(self, rec)
  local step = self:step(rec.step, rec.title)
  step.state, step.because, step.unselected =
    "skipped", rec.because, rec.unselected
end

on["step.enter"] = function(self, rec)
  local step = self:step(rec.step, rec.title)
  if not step.entered then step.entered = rec.seq end
  step.state, step.proving = "checking", rec.proof
  step.group = rec.group or step.group
  step.entered_at, step.error = rec.time, nil
  if not rec.proof then step.left = nil end
  step.unproved = nil
  step.first_at = step.first_at or rec.time
  step.passed = nil
end

on["check.answer"] = function(self, rec)
  local step = self:step(rec.step)
  step.seen = rec.answer
  if rec.when == "before" then
    step.state = rec.answer.ok and "verifying" or "applying"
  elseif rec.when == "after" then
    step.state = "verifying"
  end
end

on["verify.answer"] = function(self, rec)
  local step = self:step(rec.step)
  if step.state ~= "undoing" and step.state ~= "done" then
    step.state = "verifying"
  end
  step.seen = rec.answer
  step.unproved = step.unproved or {}
  step.unproved[rec.question or "?"] = not rec.answer.ok and rec or nil
end

on["step.retry"] = function(self, rec)
  local step = self:step(rec.step)
  step.tries, step.error = step.tries + 1, rec.error
end

on["step.leave"] = function(self, rec)
  local step = self:step(rec.step)
  step.state, step.how, step.error = rec.state, rec.how, rec.error
  if not step.proving then step.left = rec.seq end
  step.left_at, step.took_ms, step.proving = rec.time, rec.took_ms, nil
  step.because = rec.because
  if rec.state == "done" then
    step.proved = { time = rec.time, drive = self.drive }
  end
  step.approval = {}
end

on["step.passed"] = function(self, rec) self:step(rec.step).passed = true end

-- Approvals ------------------------------------------------------------------

on["approval.asked"] = function(self, rec)
  local step = self:step(rec.step)
  step.state = "asking"
  step.approval = { asked = rec }
end

on["approval.given"] = function(self, rec)
  local step = self:step(rec.step)
  step.approval.given, step.approved = rec, rec
end

local function approval_over(self, rec)
  local step = self:step(rec.step)
  step.approval = { over = rec }
end
on["approval.denied"] = approval_over
on["approval.expired"] = approval_over
on["approval.void"] = approval_over

-- Effects --------------------------------------------------------------------

on["effect.intent"] = function(self, rec)
  local step = self:step(rec.step)
  local list = rec.undoing and step.undo_intents or step.intents
  list[#list + 1] = rec
  self.doubt[rec.seq] = rec
end

on["effect.outcome"] = function(self, rec)
  if not rec.unknown then self.doubt[rec.intent] = nil end
end

on["effect.settled"] = function(self, rec) self.doubt[rec.intent] = nil end

local function clear_doubt(self, id)
  for seq, intent in pairs(self.doubt) do
    if intent.step == id then self.doubt[seq] = nil end
  end
end

-- Debts ----------------------------------------------------------------------

on["owed.open"] = function(self, rec)
  self.owed[#self.owed + 1] = rec
end

on["owed.paid"] = function(self, rec)
  for at, owed in ipairs(self.owed) do
    if owed.seq == rec.owed then return table.remove(self.owed, at) end
  end
end

on.remember = function(self, rec) self.remembered[rec.key] = { rec.value } end

-- The way back ---------------------------------------------------------------

on["undo.begin"] = function(self, rec)
  self.direction, self.undo = "back", rec
end

on["undo.end"] = function(self, rec) self.undone = rec end

on["undo.enter"] = function(self, rec)
  local step = self:step(rec.step)
  step.state, step.undo_at = "undoing", rec.time
end

on["undo.leave"] = function(self, rec)
  local step = self:step(rec.step)
  step.state, step.error = rec.state, rec.error
  step.undo_took_ms = rec.took_ms
  if rec.state == "undo failed" then return end
  clear_doubt(self, step.id)
  step.undone_intents = step.intents
  step.entered, step.left, step.proved, step.how = nil, nil, nil, nil
  step.intents, step.undo_intents, step.tries = {}, {}, 0
  step.passed, step.approval = nil, {}
end

on["ponr.crossed"] = function(self, rec)
  self.crossed = rec
  self:step(rec.step).crossed = true
  for _, step in pairs(self.steps) do
    if step.entered then step.sealed = true end
  end
end

on.signal = function(self, rec) self.signals[#self.signals + 1] = rec end

on.settle = function(self, rec)
  local step = self:step(rec.step)
  clear_doubt(self, step.id)
  step.error = nil
  if rec.as == "done" then
    step.state, step.how, step.left = "done", "settled", rec.seq
    step.entered = step.entered or rec.seq
    step.proved = { time = rec.time, drive = self.drive }
  elseif rec.as == "undone" then
    step.state, step.entered, step.left = "undone", nil, nil
    step.intents, step.undo_intents = {}, {}
  else
    step.state, step.left = "pending", nil
  end
end

--- Applies one record; kinds it does not know change nothing.
---@param record tranship.Record
function State:apply(record)
  self.records, self.last = record.seq, record
  local handler = on[record.kind]
  if handler then handler(self, record) end
  return record
end

--- Folds a whole journal.
---@param records tranship.Record[]
---@return tranship.RunState
function M.fold(records)
  local state = M.new()
  for _, record in ipairs(records) do state:apply(record) end
  return state
end

--- The question of a step that said no last, as its record; nil if none did.
function State:said_no(id)
  local last
  for _, rec in pairs(self:step(id).unproved or {}) do
    if not last or rec.seq > last.seq then last = rec end
  end
  return last
end

--- Effects in doubt, oldest first; of one step if `id` is given.
function State:in_doubt(id)
  local list = {}
  for _, intent in pairs(self.doubt) do
    if not id or intent.step == id then list[#list + 1] = intent end
  end
  table.sort(list, function(a, b) return a.seq < b.seq end)
  return list
end

--- What is owed: "gap" or "loan" or all; of one step if `id` is given.
function State:debts(kind, id)
  local list = {}
  for _, owed in ipairs(self.owed) do
    if (not kind or owed.debt == kind) and (not id or owed.step == id) then
      list[#list + 1] = owed
    end
  end
  return list
end

-- Half-done steps count as left last: they are undone first.
local function leaving(step) return step.left or math.maxinteger end

--- Steps that were entered and not undone, last one first: the way back.
-- Loans are left out: they are paid at the end of every drive.
---@param book? tranship.Book  with it, loans are known
function State:way_back(book)
  local list = {}
  for id, step in pairs(self.steps) do
    local declared = book and book.by_id[id]
    local loan = declared and declared.lasts == "run"
    if step.entered and not step.sealed and not loan then
      list[#list + 1] = step
    end
  end
  table.sort(list, function(a, b)
    if leaving(a) ~= leaving(b) then return leaving(a) > leaving(b) end
    return a.entered > b.entered
  end)
  return list
end

--- One word for the whole run, for lists.
function State:word()
  if self.closed then return self.closed.outcome end
  if self.stopped then return self.stopped.outcome end
  return self.direction == "back" and "going back" or "running"
end

return M
