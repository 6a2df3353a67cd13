--- Where a partition's copy goes on: never by guess.
-- The target's log is the state. The last progress record gives a pair of
-- positions and a sequence; from there the copier walks the source and counts
-- committed records up to the target's log end. The leader's memory of the
-- leg's producer id must agree with that count, else somebody else wrote.

local halt = require "mirror.halt"
local ledger = require "mirror.ledger"
local prepare = require "mirror.prepare"

local M = {}

local SEQUENCES = 1 << 31
local TRIES = 5

--- Are these still the topics the leg was made for?
local function same_topics(flow, leg)
  local ids, why = flow:topic_ids()
  if not ids then return nil, why end
  for _, side in ipairs { "from", "to" } do
    if ids[side] ~= leg.ids[side] then
      return nil, halt.new("topic_id", nil, "%s: topic %s on %s was made "
        .. "again: its id is %s, this leg began with %s", flow.id,
        flow:name_on(side), flow:side(side).name, ids[side], leg.ids[side])
    end
  end
  return true
end

--- The newest pair that is known to hold for this leg and epoch.
local function checkpoint(flow, leg, reads, writes)
  local at = flow.at
  if at and at.leg == leg.leg and at.epoch == leg.epoch and at.source then
    return at
  end
  return {
    source = leg.since[reads], target = leg.since[writes],
    sequence = leg.since.sequence,
  }
end

--- Target log end and, if the leader remembers the leg, its next sequence;
-- read until both belong together.
local function look(flow, leg, side)
  local cluster, name = flow:side(side), flow:name_on(side)
  local log_end, why = cluster:log_end(name, flow.partition)
  for _ = 1, TRIES do
    if not log_end then return nil, why end
    local list
    list, why = cluster:producers(name, flow.partition)
    if not list then return nil, why end
    local again
    again, why = cluster:log_end(name, flow.partition)
    if again == log_end then
      for _, one in ipairs(list) do
        if one.id == leg.pid and one.epoch == leg.epoch
          and one.sequence >= 0 then
          return log_end, (one.sequence + 1) % SEQUENCES
        end
      end
      return log_end
    end
    log_end = again
  end
  return log_end
end

local function foreign(flow, writes, from, log_end, appended)
  return nil, halt.new("foreign", { side = writes, from = from, to = log_end },
    "%s: the target holds offsets %d to %d since the last progress, but this "
    .. "leg appended %s records there: somebody else writes to the target",
    flow.id, from, log_end - 1, appended)
end

--- A mapped leg appends nothing but its records: counts must agree.
local function check_mapped(flow, writes, from, log_end, sequence)
  if log_end == from.target then return true end
  if not sequence then
    if from.sequence > 0 then return true end -- aged: the walk decides
    return foreign(flow, writes, from.target, log_end, "no")
  end
  local appended = (sequence - from.sequence) % SEQUENCES
  if appended == log_end - from.target then return true end
  return foreign(flow, writes, from.target, log_end, appended)
end

--- What copier:start needs to go on with `leg`.
---@async
---@return table? start, tranship.Err|tranship.Halt?
function M.position(flow, leg)
  local ok, why = same_topics(flow, leg)
  if not ok then return nil, why end
  local reads, writes = ledger.sides(leg)
  local from = checkpoint(flow, leg, reads, writes)
  local log_end, sequence = look(flow, leg, writes)
  if not log_end then return nil, sequence end
  local same = ledger.is_same(leg)
  if leg.filled_from and log_end <= leg.start[writes] then
    log_end, why = prepare.fill(flow, leg, writes, log_end)
    if not log_end then return nil, why end
    ok, why = prepare.cut(flow, leg, writes)
    if not ok then return nil, why end
  end
  if log_end < from.target then
    return nil, halt.new("diverged", { side = writes, from = log_end,
      to = from.target }, "%s: the target's log ends at offset %d, but "
      .. "records up to %d were acknowledged: it was truncated", flow.id,
      log_end, from.target - 1)
  end
  if not same then
    ok, why = check_mapped(flow, writes, from, log_end, sequence)
    if not ok then return nil, why end
  end
  return {
    same = same, source_offset = from.source, target_offset = from.target,
    log_end = log_end, sequence = from.sequence,
    producer_id = leg.pid, producer_epoch = leg.epoch,
  }
end

return M
