--- What becomes of a turn that cannot be ended, because records came after the
-- writers had been proved stopped. The old leg was fenced; on word of the run it
-- is opened again: to copy those records and then turn (the writers were proved
-- stopped once more), or to go on the way it was, the turn called off. Either
-- way the partition is mapped from here on, as the fence took an offset.

local log = require "vm.log"
local ledger = require "mirror.topic.ledger"

local M = {}

--- The highest epoch that a turn has fenced the leg with, or nil.
function M.fenced_with(flow, leg)
  local part = flow.engine.ledger:partition(flow.topic, flow.partition)
  local epoch
  for number, turn in pairs(part.turns) do
    if number > leg.leg and turn.old_epoch > leg.epoch then
      epoch = math.max(epoch or 0, turn.old_epoch)
    end
  end
  return epoch
end

--- Has a turn that was asked for after this leg shut it already?
function M.is_fenced(flow, leg) return M.fenced_with(flow, leg) ~= nil end

--- "copy": late records are copied first; "call off": the writer stays.
function M.wish(flow, leg, wanted)
  if wanted.writer == leg.writer then return "call off" end
  if wanted.late and leg.reopened ~= wanted.time and M.is_fenced(flow, leg) then
    return wanted.late
  end
end

--- How far the leg has been copied: nothing was in flight when it was fenced.
function M.copied(flow, leg)
  local at = flow.at
  return at and at.leg == leg.leg and at.source
    or leg.since[ledger.sides(leg)]
end

--- The leg that goes on from the two log positions, under what was announced.
local function next_of(leg, wanted, said, copied, log_end)
  local reads, writes = ledger.sides(leg)
  local here = { [reads] = copied, [writes] = log_end }
  local why = "records came after its writers had been proved stopped"
  local next_leg = {}
  for name, value in pairs(leg) do next_leg[name] = value end
  next_leg.since = { [reads] = copied, [writes] = log_end, sequence = 0 }
  if wanted.writer == leg.writer then
    next_leg.leg, next_leg.pid, next_leg.epoch = wanted.leg, said.pid, said.epoch
    next_leg.start, next_leg.kind = here, "mapped"
    next_leg.mapped_at, next_leg.mapped_why = nil, nil
    next_leg.why = leg.mapped_why or leg.why or "a turn was called off"
  else
    next_leg.epoch, next_leg.reopened = said.old_epoch, wanted.time
    if ledger.is_same(leg) then
      next_leg.mapped_at, next_leg.mapped_why = here, why
    end
  end
  next_leg.transactions = nil
  return next_leg
end

--- A turn that was called off before anything was shut: the leg has another
-- number from here on, and is what it was.
---@async
---@return "again"|nil verdict, tranship.Err?
function M.renumber(flow, leg, wanted)
  local reads, writes = ledger.sides(leg)
  local at = flow.at and flow.at.leg == leg.leg and flow.at
    or { source = leg.since[reads], target = leg.since[writes],
      sequence = leg.since.sequence }
  local same = ledger.is_same(leg)
  local new = {}
  for name, value in pairs(leg) do new[name] = value end
  new.leg, new.kind = wanted.leg, same and "same" or "mapped"
  new.why = not same and (leg.mapped_why or leg.why) or nil
  new.mapped_at, new.mapped_why = nil, nil
  new.start = { [reads] = at.source, [writes] = at.target }
  new.since = { [reads] = at.source, [writes] = at.target,
    sequence = at.sequence, stable = at.stable }
  local ok, why = flow:begin_leg(new)
  if not ok then return nil, why end
  return "again"
end

--- Opens the leg again; `said` was announced, and its fence is written.
---@async
---@return "again"|nil verdict, tranship.Err?
function M.begin(flow, leg, wanted, said)
  local _, writes = ledger.sides(leg)
  local log_end, why = flow:side(writes):log_end(flow:name_on(writes),
    flow.partition)
  if not log_end then return nil, why end
  local new = next_of(leg, wanted, said, M.copied(flow, leg), log_end)
  local ok
  ok, why = flow:begin_leg(new)
  if not ok then return nil, why end
  flow.owned_epoch = new.epoch
  log.info(("%s: leg %d goes on from offsets %d and %d"):format(flow.id,
    new.leg, new.since.from, new.since.to))
  return "again"
end

return M
