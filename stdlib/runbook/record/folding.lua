--- What each kind of record does to the state of a run (see state.lua). A
-- handler gets the state and the record; it reads nothing else.

---@type table<string, fun(state: tranship.RunState, record: tranship.Record)>
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

return on
