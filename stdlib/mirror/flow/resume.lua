--- Where a partition's copy goes on: never by guess.
-- The target's log is the state. The last progress record gives a pair of
-- positions and a sequence; from there the copier walks the source and counts
-- committed records up to the target's log end. That stretch must hold the same
-- records on both sides, and as many as the leader remembers of the leg's
-- producer id, else somebody else wrote.

local halt = require "mirror.flow.halt"
local ledger = require "mirror.topic.ledger"
local prepare = require "mirror.flow.prepare"
local transactions = require "mirror.flow.transactions"
local verdicts = require "mirror.flow.verdicts"

local M = {}

local SEQUENCES = 1 << 31
local TRIES = 5
local WINDOW = 10000         -- offsets more than records are looked at first
local PARTS = 64             -- chunks that a search divides a range into

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

--- The newest pair that is known to hold for this leg and epoch. A leg that
-- went on mapped begins anew: older progress does not count for it.
local function checkpoint(flow, leg, reads, writes)
  local at = flow.at
  if at and at.leg == leg.leg and at.epoch == leg.epoch and at.source
    and at.source >= leg.since[reads] and at.target >= leg.since[writes] then
    return at
  end
  return {
    source = leg.since[reads], target = leg.since[writes],
    sequence = leg.since.sequence, stable = leg.since.stable,
  }
end

--- Target log end, the leg's next sequence if the leader remembers it, and all
-- producers that it remembers; read until all of it belongs together.
local function look(flow, leg, side)
  local cluster, name = flow:side(side), flow:name_on(side)
  local log_end, why = cluster:log_end(name, flow.partition)
  local list
  for _ = 1, TRIES do
    if not log_end then return nil, why end
    list, why = cluster:producers(name, flow.partition)
    if not list then return nil, why end
    local again
    again, why = cluster:log_end(name, flow.partition)
    if again == log_end then
      for _, one in ipairs(list) do
        if one.id == leg.pid and one.epoch == leg.epoch
          and one.sequence >= 0 then
          return log_end, (one.sequence + 1) % SEQUENCES, list
        end
      end
      return log_end, nil, list
    end
    log_end = again
  end
  return log_end, nil, list
end

--- Digests of the records in a range that the leg copies, `chunk` each.
local function digests(flow, side, from, to, chunk)
  return flow:side(side):digests {
    topic = flow:name_on(side), partition = flow.partition,
    from = from, to = to, chunk = chunk,
    isolation = ledger.keeps(flow.leg) and "uncommitted" or "committed",
  }
end

--- A digest of `count` data records from `offset` on; all up to `stop`
-- without a count. Looks at ever larger windows, as offsets may have gaps.
local function contents(flow, side, offset, stop, count)
  local window = count and 2 * count + WINDOW or stop - offset
  while true do
    local to = math.min(offset + window, stop)
    local found, why = digests(flow, side, offset, to, count)
    if not found then return nil, why end
    local first = found[1] or { records = 0 }
    if not count or first.records >= count or to >= stop then return first end
    window = window * 8
  end
end

--- Offsets of the first record that differs, on the reading and the writing
-- side; each range { from, to } holds it, and `count` records at most.
local function first_difference(flow, here, there, count)
  local reads, writes = ledger.sides(flow.leg)
  while count > 1 and here.from < here.to do
    local size = (count + PARTS - 1) // PARTS
    local mine, why = digests(flow, writes, there.from, there.to, size)
    if not mine then return nil, why end
    local theirs
    theirs, why = digests(flow, reads, here.from, here.to, size)
    if not theirs then return nil, why end
    local at
    for index, chunk in ipairs(mine) do
      at = (theirs[index] or {}).hash ~= chunk.hash and index
      if at then break end
    end
    if not at then break end
    there, count = mine[at], mine[at].records
    here = theirs[at] or { from = here.to, to = here.to }
  end
  return here.from, there.from
end

local function halted(reason, flow, from, log_end, format, ...)
  local _, writes = ledger.sides(flow.leg)
  return nil, halt.new(reason, { side = writes, from = from, to = log_end },
    "%s: the target's offsets %d to %d " .. format, flow.id, from,
    log_end - 1, ...)
end

--- The end of what the leg copies from the source.
local function readable(flow, source)
  return ledger.keeps(flow.leg) and source.stop or source.stable
end

--- What the target got since the last progress record must be what the source
-- holds from there on, and, while the leader remembers the leg's producer id
-- and that alone wrote, as many records as that id appended. Gives the source
-- position behind them.
local function check_tail(flow, from, log_end, sequence, source)
  local reads, writes = ledger.sides(flow.leg)
  local there, why = contents(flow, writes, from.target, log_end)
  if not there then return nil, why end
  if sequence and not transactions.any(flow, flow.leg) then
    local appended = (sequence - from.sequence) % SEQUENCES
    if appended ~= there.records then
      return halted("foreign", flow, from.target, log_end, "hold %d records, "
        .. "but this leg appended %d: somebody else writes to the target",
        there.records, appended)
    end
  end
  if not ledger.is_same(flow.leg)
    and there.records ~= log_end - from.target then
    return halted("foreign", flow, from.target, log_end, "hold %d records "
      .. "only: somebody else wrote markers to the target", there.records)
  end
  if there.records == 0 or source.start > from.source then
    return from.source -- of a retention gap the copier tells
  end
  local here
  here, why = contents(flow, reads, from.source, readable(flow, source),
    there.records)
  if not here then return nil, why end
  if here.hash == there.hash then return here.to end
  local source_at, target_at = first_difference(flow,
    { from = from.source, to = readable(flow, source) },
    { from = from.target, to = log_end }, there.records)
  if not source_at then return nil, target_at end
  return halted("diverged", flow, target_at, log_end, "are not what the "
    .. "source holds from offset %d on: somebody else writes to the target, "
    .. "or the source's log was cut back and written anew", source_at)
end

--- Same offsets are over when markers passed their hole: the target's log end
-- lies beyond a record that is still to be copied. The leg goes on mapped.
local function passed_hole(flow, leg, from, at, log_end, source, sequence)
  local reads = ledger.sides(leg)
  local left, why = contents(flow, reads, at, math.min(log_end,
    readable(flow, source)))
  if not left then return nil, why end
  if left.records == 0 and log_end <= source.stop then return false end
  if ledger.keeps(leg) then
    sequence = sequence or from.sequence -- unknown: any will do
  else
    local count
    count, why = contents(flow, reads, from.source, at)
    if not count then return nil, why end
    sequence = (from.sequence + count.records) % SEQUENCES
  end
  local ok
  ok, why = flow:go_on_mapped(leg, at, log_end, sequence,
    ("late control markers reached offset %d"):format(log_end))
  if not ok then return nil, why end
  return true
end

--- The target no longer holds what it had acknowledged.
---@return nil, tranship.Halt
function M.cut_back(flow, at, acknowledged)
  local _, writes = ledger.sides(flow.leg)
  return nil, halt.new("diverged", { side = writes, from = at,
    to = acknowledged }, "%s: the target's log was cut back to offset %d, but "
    .. "records up to %d had been acknowledged (a leader that lacked them was "
    .. "elected, or a disk was lost)", flow.id, at, acknowledged - 1)
end

--- What copier:start needs to go on with `leg`.
---@async
---@return table? start, tranship.Err|tranship.Halt?
function M.position(flow, leg)
  flow.leg = leg
  local cut_at = flow.cut_at -- where a batch landed that belonged further on
  flow.cut_at = nil
  local ok, why = same_topics(flow, leg)
  if not ok then return nil, why end
  local reads, writes = ledger.sides(leg)
  local from = checkpoint(flow, leg, reads, writes)
  local keeps, same = ledger.keeps(leg), ledger.is_same(leg)
  local producers, log_end, sequence
  if keeps then
    producers, log_end, sequence = transactions.position(flow, leg,
      function() return look(flow, leg, writes) end)
    if not producers then return nil, log_end end
  else
    log_end, sequence = look(flow, leg, writes)
    if not log_end then return nil, sequence end
  end
  if leg.filled_from and log_end <= leg.start[writes] then
    log_end, why = prepare.fill(flow, leg, writes, log_end)
    if not log_end then return nil, why end
    ok, why = prepare.cut(flow, leg, writes)
    if not ok then return nil, why end
  end
  ok, why = prepare.clean(flow, true)
  if not ok then return nil, why end
  if log_end < from.target then
    return M.cut_back(flow, math.min(log_end, cut_at or log_end), from.target)
  end
  if log_end > from.target then
    local source, at, passed
    source, why = flow:side(reads):bounds(flow:name_on(reads), flow.partition)
    if not source then return nil, why end
    at, why = check_tail(flow, from, log_end, sequence, source)
    if not at and halt.is(why) and cut_at then
      return M.cut_back(flow, cut_at, from.target)
    elseif not at then
      return nil, why
    end
    if keeps then
      ok, why = verdicts.check(flow, from, at, source)
      if not ok then return nil, why end
    end
    if same and at >= source.start then
      passed, why = passed_hole(flow, leg, from, at, log_end, source, sequence)
      if passed == nil then return nil, why end
      if passed then
        return M.position(flow, flow.engine.ledger:leg(flow.topic,
          flow.partition))
      end
    end
  end
  return {
    same = same, source_offset = from.source, target_offset = from.target,
    log_end = log_end, sequence = from.sequence,
    producer_id = leg.pid, producer_epoch = leg.epoch,
    transactions = keeps, producers = producers,
  }
end

return M
