--- Proving that a step holds: every question yes, and yes unbroken for as long
-- as `steady` says.
--
-- With a `timeout` the questions are asked until it ends, and a break starts the
-- steady clock anew. Without one they get a minute to become yes for the first
-- time; a break after that is a failure at once.

local context = require "base.context"
local err = require "base.err"
local task = require "vm.task"
local answer = require "runbook.drive.answer"

local M = {}

local PATIENCE_MS = 60 * 1000
local SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS = 100, 1000

---@class tranship.Proof  { title: string, steady_ms: integer, fn: function }

local Proving = {}
Proving.__index = Proving

local function seconds(ms) return ("%.0fs"):format(ms / 1000) end

function Proving:note(proof, said)
  local before = self.said[proof]
  if not before or before.ok ~= said.ok or before.unsure ~= said.unsure then
    self.session:record("verify.answer", {
      step = self.step.id, question = proof.title, answer = said,
    })
    self.noted[proof] = said
  end
  self.said[proof] = said
end

-- The last observation is the evidence; write it if it was not written yet.
function Proving:note_last()
  for _, proof in ipairs(self.proofs) do
    local said = self.said[proof]
    if said and self.noted[proof] ~= said then
      self.session:record("verify.answer", {
        step = self.step.id, question = proof.title, answer = said,
      })
    end
  end
end

-- A question that could not be asked is neither yes nor no; only an error that
-- may pass is asked again.
local function ask(self, proof)
  local said, why = answer.ask(self.session, self.step, proof.fn)
  if said then return said end
  if not (type(why) == "table" and why.retriable) then return nil, why end
  return { ok = false, unsure = tostring(why) }
end

--- Asks every question once: true when all said yes, else the first that did not.
function Proving:round()
  local first_no
  for _, proof in ipairs(self.proofs) do
    local said, why = ask(self, proof)
    if not said then return nil, why end
    self:note(proof, said)
    if said.ok then
      self.since[proof] = self.since[proof] or task.now()
    else
      self.since[proof] = nil
      first_no = first_no or proof
    end
  end
  return not first_no, first_no
end

--- How long the yes must still hold, for the question that needs it longest.
function Proving:still_needed()
  local most = 0
  for _, proof in ipairs(self.proofs) do
    local steady = math.max(proof.steady_ms or 0, self.steady_ms)
    local held = task.now() - self.since[proof]
    if steady - held > most then most = steady - held end
  end
  return most
end

local function failed(self, proof, broke)
  self:note_last()
  local said = self.said[proof]
  return nil, err.new {
    kind = said.unsure and "unsure" or "not so", origin = "verify",
    message = ("%s: %s%s"):format(proof.title, answer.text(said),
      broke and " (it was so, and did not stay)" or ""),
  }
end

local function out_of_time(self, needed)
  self:note_last()
  return nil, err.new { kind = "timeout", origin = "verify",
    message = ("it is so, but the time is over %s before it was so for long "
      .. "enough"):format(seconds(needed)) }
end

--- Proves a step; `limit_ms` is what is left of its timeout.
---@async
---@param proofs tranship.Proof[]
---@param options { limit_ms?: integer, steady_ms?: integer }
---@return true?, tranship.Err? err
function M.prove(session, step, proofs, options)
  if #proofs == 0 then return true end
  local self = setmetatable({
    session = session, step = step, proofs = proofs, said = {}, noted = {},
    since = {}, steady_ms = options.steady_ms or 0,
  }, Proving)
  local give_up = task.now() + (options.limit_ms or PATIENCE_MS)
  local pause, held = SHORTEST_PAUSE_MS, false
  while true do
    local all, what = self:round()
    if all == nil then
      self:note_last()
      return nil, what
    elseif all then
      local needed = self:still_needed()
      if needed <= 0 then
        self:note_last()
        return true
      end
      if options.limit_ms and task.now() >= give_up then
        return out_of_time(self, needed)
      end
      held = true
      context.progress("holds; %s more", seconds(needed))
      local left = options.limit_ms and math.max(1, give_up - task.now())
      task.sleep(math.ceil(math.min(needed, LONGEST_PAUSE_MS, left or needed)))
    else
      local broke = held and not options.limit_ms
      if broke or task.now() >= give_up then return failed(self, what, broke) end
      context.progress("%s: %s", what.title, answer.text(self.said[what]))
      task.sleep(math.ceil(math.min(pause, math.max(1, give_up - task.now()))))
      pause = math.min(pause * 2, LONGEST_PAUSE_MS)
    end
  end
end

return M
