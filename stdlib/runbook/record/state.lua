--- What a run is, folded from its journal, one record after the other.
-- The engine keeps no other memory of a run: it writes a record, and the
-- record changes this state, so a resumed run knows exactly what the dead one
-- knew. Folding never looks at the world.

local folding = require "runbook.record.folding"

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

--- Applies one record; kinds it does not know change nothing.
---@param record tranship.Record
function State:apply(record)
  self.records, self.last = record.seq, record
  local handler = folding[record.kind]
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
