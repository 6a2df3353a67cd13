--- A flow in the copier: handed over, told of, decided about, taken out again. A
-- part of mirror.flow.

local sys = require "vm.sys"
local halt = require "mirror.flow.halt"
local ledger = require "mirror.topic.ledger"
local limits = require "mirror.flow.limits"
local loan_topic = require "mirror.flow.loan_topic"
local prepare = require "mirror.flow.prepare"
local reasons = require "mirror.flow.reasons"
local resume = require "mirror.flow.resume"
local turn = require "mirror.flow.turn"
local watch = require "mirror.flow.watch"

local M = {}

--- Counts what was appended, and why the copier stopped.
local function count(flow, event)
  if event.kind == "hole" then return end -- nothing was appended
  local engine = flow.engine
  if event.records > 0 then
    flow.copied_records = flow.copied_records + event.records
    flow.copied_bytes = flow.copied_bytes + event.bytes
    engine.progressed = sys.time()
  end
  local reason = event.kind == "stopped" and event.reason
  if not reason or reason == "asked" then return end
  local counts = engine.counts
  local map = reasons.is_refusal[reason] and counts.refusals or counts.stops
  map[reason] = (map[reason] or 0) + 1
end

--- Takes in what the copier says has been acknowledged.
local function take_in(flow, event)
  if not event.source_offset then return end
  local leg, at = flow.leg, flow.at
  count(flow, event)
  flow:keep(leg, event.segments)
  local last_end, last_epoch = event.source_end, event.source_epoch
  flow.at = {
    leg = leg.leg, epoch = leg.epoch, state = "copying",
    source = event.source_offset, target = event.target_offset,
    sequence = event.sequence, stable = event.stable_offset or at.stable,
    source_end = last_end and last_end >= 0 and last_end or at.source_end,
    source_epoch = last_epoch and last_epoch >= 0 and last_epoch
      or at.source_epoch,
  }
  flow.engine:touch(flow)
end

local on = {}

function on.wanted(flow)
  if flow:is_turning(flow.leg) then return turn.when_drained(flow) end
end

on.progress = on.wanted

function on.leave() return "leave" end

function on.check(flow, seen)
  local ok, why = prepare.clean(flow)
  if not ok then return nil, why end
  local doubt = seen.log_end and watch.suspect(flow, seen)
  if not doubt then return end
  flow:land()
  if doubt == "foreign" then return "again" end -- resume says what it is
  return resume.cut_back(flow, seen.log_end, flow.at.target)
end

function on.hole(flow, event)
  local at = flow.at
  local next_leg, rest, log_end, leg, sequence = prepare.markers(flow, flow.leg,
    event, at.sequence)
  if next_leg then
    flow.leg = next_leg
    flow.at = {
      leg = next_leg.leg, epoch = next_leg.epoch, state = "copying",
      source = event.to, target = event.to, sequence = rest,
      stable = at.stable, source_end = at.source_end, source_epoch = at.source_epoch,
    }
    flow.engine:touch(flow)
    return flow.engine:go_on(flow, {
      target_offset = event.to, producer_epoch = next_leg.epoch,
      sequence = rest,
    })
  elseif type(rest) ~= "string" then
    return nil, rest
  end
  flow:land()
  local ok, why = flow:go_on_mapped(leg, event.from, log_end, sequence, rest)
  if not ok then return nil, why end
  return "again"
end

function on.stopped(flow, event)
  flow.engine:landed(flow)
  local act = reasons[event.reason]
  if act then return act(flow, event, flow.leg) end
  return nil, halt.new(event.reason, nil, "%s: %s", flow.id,
    tostring(event.err or event.reason))
end

--- Hands the partition to the copier.
local function launch(flow, leg, start)
  local reads, writes = ledger.sides(leg)
  local ends = {}
  for _, side in ipairs { reads, writes } do
    local leader, why = flow:side(side):leader(flow:name_on(side),
      flow.partition)
    if not leader then return nil, why end
    ends[side] = {
      host = leader.host, port = leader.port, login = leader.login,
      topic = flow:name_on(side), partition = flow.partition,
    }
    if side == reads then
      ends[side].topic_id, ends[side].leader_epoch = leader.topic_id,
        leader.epoch
      ends[side].last_epoch = flow.at.source_epoch
    end
  end
  start.source, start.target = ends[reads], ends[writes]
  local ok, why = loan_topic.give_back(flow, reads)
  if not ok then return nil, why end
  ok, why = loan_topic.keep_time(flow, writes)
  if not ok then return nil, why end
  local of_source = limits.of(flow.engine, reads, flow:name_on(reads))
  why = of_source.why
  if why and why.kind ~= "denied" then return nil, why end
  start.compacted = of_source.compacted
  local most = limits.of(flow.engine, writes, flow:name_on(writes)).batch_bytes
  start.max_batch_bytes = flow.most_bytes and most > 0
    and math.min(most, flow.most_bytes) or flow.most_bytes or most
  return flow.engine:launch(flow, start)
end

--- Takes the partition out of the copier, with all that it acknowledged.
---@async
function M:land()
  local id = self.run_id
  if not id then return end
  local last = self.engine:land(self)
  local mark, others = {}, {}
  self.inbox:push(mark)
  local event = self.inbox:pop()
  while event ~= mark do
    if event.id == id then
      take_in(self, event)
    else
      others[#others + 1] = event
    end
    event = self.inbox:pop()
  end
  if last then take_in(self, last) end
  for _, other in ipairs(others) do self.inbox:push(other) end
end

--- Copies along a leg: gives a verdict, or nil and why.
---@async
function M:copy(leg)
  local start, why = resume.position(self, leg)
  if not start then return nil, why end
  leg = self.engine.ledger:leg(self.topic, self.partition) -- or mapped by now
  local before = self.at and self.at.leg == leg.leg and self.at or leg.since
  self.leg = leg
  self.at = {
    leg = leg.leg, epoch = leg.epoch, source = start.source_offset,
    target = start.target_offset, sequence = start.sequence,
    stable = before.stable, source_end = before.source_end, source_epoch = before.source_epoch,
  }
  local ok
  ok, why = launch(self, leg, start)
  if not ok then return nil, why end
  self:say "copying"
  self.engine:has_begun(self)
  return self:go_on(on.wanted(self))
end

--- Copies on: acts on what it is told until something has to be decided anew, or
-- until there is nothing to do (verdict "rest", and the copier keeps the partition).
---@async
function M:go_on(verdict, why)
  while not verdict and not why do
    if self.inbox:is_empty() then return "rest" end
    local event = self.inbox:pop()
    take_in(self, event)
    if (event.records or 0) > 0 then self.backoff = nil end
    verdict, why = on[event.kind](self, event)
  end
  self:land()
  return verdict, why
end

return M
