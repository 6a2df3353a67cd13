--- The copy of one partition: a task that owns its legs and its place in the
-- copier. It takes one message at a time from its inbox: what the copier
-- reports, what the run wants. What may pass is tried again with growing
-- waits; what may not is a halt, and stays one until somebody acts.

local task = require "vm.task"
local log = require "vm.log"
local sys = require "vm.sys"
local lazy = require "base.lazy"
local err = require "base.err"
local claim = require "mirror.claim"
local halt = require "mirror.halt"
local ledger = require "mirror.ledger"
local limits = require "mirror.limits"
local loan_topic = require "mirror.loan_topic"
local prepare = require "mirror.prepare"
local reasons = require "mirror.reasons"
local record = require "mirror.record"
local resume = require "mirror.resume"
local survey = require "mirror.survey"
local takeover = lazy "mirror.mm2.takeover"
local transactions = require "mirror.transactions"
local turn = require "mirror.turn"
local waits = require "mirror.waits"

local M = {}
M.__index = M
M.__name = "bridge.flow"

local BACKOFF_MS = { first = 50, most = 5000 }

--- A flow of topic (as the source names it) and partition; `run` starts it.
function M.new(engine, topic, partition)
  local part = engine.ledger:partition(topic, partition)
  return setmetatable({
    engine = engine, topic = topic, partition = partition,
    id = topic .. "/" .. partition, inbox = task.queue(),
    at = part and part.at or nil, unsaved = {}, tries = {},
    copied = { records = 0, bytes = 0 }, generation = engine.generation,
  }, M)
end

--- The side "from" or "to".
function M:side(name) return self.engine.sides[name] end

function M:name_on(side)
  return side == "from" and self.topic or self.engine:on_target(self.topic)
end

--- The ids of the topic on both sides now.
---@async
function M:topic_ids()
  local ids = {}
  for _, side in ipairs { "from", "to" } do
    local leader, why = self:side(side):leader(self:name_on(side),
      self.partition)
    if not leader then return nil, why end
    ids[side] = leader.topic_id
  end
  return ids
end

function M:forget()
  for _, side in ipairs { "from", "to" } do
    self:side(side):forget(self:name_on(side))
  end
end

--- Writes records of this partition and reads back that it is still ours:
-- no newer engine, and no other member of the group, has taken it.
---@async
function M:announce(list)
  local ok, why = self.engine:announce(list)
  if not ok then return nil, why end
  if claim.is_lost(self) then
    self.lost, self.left = true, true
    return nil, err.new { kind = "closed", origin = "bridge",
      message = self.id .. " has been taken by another engine" }
  end
  return true
end

--- Records a leg, and reads back that no newer engine has taken over.
---@async
function M:announce_leg(leg)
  local key = record.key.leg(self.topic, self.partition, leg.leg,
    self.generation)
  local ok, why = self:announce { { key, leg } }
  if not ok then return nil, why end
  return leg
end

--- A copy of `leg` under the next epoch, from offset `at` (same on both sides).
function M:raised(leg, at)
  local next_leg = {}
  for name, value in pairs(leg) do next_leg[name] = value end
  next_leg.epoch = leg.epoch + 1
  next_leg.since = {
    from = at, to = at, sequence = 0, stable = self.at and self.at.stable,
  }
  return next_leg
end

--- From here on the leg is mapped, and why.
function M:go_on_mapped(leg, source, target, sequence, why)
  local ok, problem = transactions.none_open(self, leg, why)
  if not ok then return nil, problem end
  local reads, writes = ledger.sides(leg)
  local mapped = {}
  for name, value in pairs(leg) do mapped[name] = value end
  mapped.mapped_at = { [reads] = source, [writes] = target }
  mapped.mapped_why = why
  mapped.since = { [reads] = source, [writes] = target, sequence = sequence }
  log.warn(("%s goes on mapped from source offset %d: %s")
    :format(self.id, source, why))
  self.at = nil
  return self:announce_leg(mapped)
end

--- Notes the flow's state; the engine writes it with its next flush.
function M:say(state, text, reason, range)
  local at = {}
  for name, value in pairs(self.at or {}) do at[name] = value end
  at.state, at.text, at.reason, at.range = state, text, reason, range
  self.at = at
  self.engine:touch(self)
end

--- Keeps acknowledged runs for the next flush; neighbours become one.
function M:keep(leg, runs)
  if ledger.is_same(leg) then return end
  for _, run in ipairs(runs or {}) do
    local last = self.open_run
    if last and last.leg == leg.leg and run.source == last.source + last.count
      and run.target == last.target + last.count then
      last.count = last.count + run.count
    else
      last = {
        leg = leg.leg, source = run.source, target = run.target,
        count = run.count,
      }
      self.open_run = last
    end
    self.unsaved[last.source] = last
  end
end

--- Records that say where the flow is: segments first, then the position; and
-- the segments, to be given back if the records cannot be written.
function M:records()
  local list, runs = {}, self.unsaved
  for start, run in pairs(runs) do
    list[#list + 1] = {
      record.key.segment(self.topic, self.partition, run.leg, start,
        self.generation),
      { source = run.source, target = run.target, count = run.count },
    }
  end
  self.unsaved = {}
  if self.at and not self.lost then
    self.at.claim, self.at.warning = self.generation, self.warning
    list[#list + 1] = { record.key.at(self.topic, self.partition), self.at }
  end
  return list, runs
end

--- Takes back segments that could not be written.
function M:give_back(runs)
  for start, run in pairs(runs) do
    self.unsaved[start] = self.unsaved[start] or run
  end
  self.engine:touch(self)
end

--- Counts what was appended, and why the copier stopped.
function M:count(event)
  if event.kind == "hole" then return end -- nothing was appended
  local copied, engine = self.copied, self.engine
  copied.records = copied.records + event.records
  copied.bytes = copied.bytes + event.bytes
  if event.records > 0 then engine.progressed = sys.time() end
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
  flow:count(event)
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

function on.check(flow)
  local ok, why = prepare.clean(flow)
  if not ok then return nil, why end
  local doubt, log_end = survey.suspect(flow)
  if not doubt then return end
  flow:land()
  if doubt == "foreign" then return "again" end -- resume says what it is
  return resume.cut_back(flow, log_end, flow.at.target)
end

function on.hole(flow, event)
  local leg, at = flow.leg, flow.at
  local next_leg, rest, log_end = prepare.markers(flow, leg, event,
    at.sequence)
  if next_leg then
    flow.leg = next_leg
    flow.at = {
      leg = leg.leg, epoch = next_leg.epoch, state = "copying",
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
  local ok, why = flow:go_on_mapped(flow.leg, event.from, log_end,
    flow.at.sequence, rest)
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

--- Does the run want another leg than this one?
function M:is_turning(leg)
  local wanted = self.engine.ledger.topics[self.topic]
  wanted = wanted and wanted.want
  return wanted and wanted.leg > leg.leg and wanted
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

--- Copies until something has to be decided anew.
local function copy(flow, leg)
  local start, why = resume.position(flow, leg)
  if not start then return nil, why end
  leg = flow.engine.ledger:leg(flow.topic, flow.partition) -- or mapped by now
  local before = flow.at and flow.at.leg == leg.leg and flow.at or {}
  flow.leg = leg
  flow.at = {
    leg = leg.leg, epoch = leg.epoch, source = start.source_offset,
    target = start.target_offset, sequence = start.sequence,
    stable = before.stable, source_end = before.source_end, source_epoch = before.source_epoch,
  }
  local ok
  ok, why = launch(flow, leg, start)
  if not ok then return nil, why end
  flow:say "copying"
  local verdict
  verdict, why = on.wanted(flow)
  while not verdict and not why do
    local event = flow.inbox:pop()
    take_in(flow, event)
    if (event.records or 0) > 0 then flow.backoff = nil end
    verdict, why = on[event.kind](flow, event)
  end
  flow:land()
  return verdict, why
end

--- The first leg of ours: behind what another engine copied, or a fresh one.
---@param before? table  a leg that is over, as its topic is another now
local function first_leg(flow, before)
  local wanted = flow.engine.ledger.topics[flow.topic]
  wanted = wanted and wanted.want or { leg = 1, writer = "from" }
  if before then
    return prepare.first_leg(flow, math.max(wanted.leg, before.leg + 1),
      wanted.writer, true)
  end
  local other = flow.engine.policy.mirrormaker2
  if other and other.take_over and wanted.writer == "from" then
    local leg, why = takeover.leg(flow, wanted.leg)
    if leg ~= false then return leg, why end
  end
  return prepare.first_leg(flow, wanted.leg, wanted.writer)
end

local function once(flow)
  local leg = flow.engine.ledger:leg(flow.topic, flow.partition)
  local anew, why
  if leg and not leg.copied_by then
    anew, why = prepare.is_anew(flow, leg)
    if anew == nil then return nil, why end
  end
  if not leg or leg.copied_by or anew then
    leg, why = first_leg(flow, anew and leg)
    if not leg then return nil, why end
  end
  flow.leg = leg
  if turn.is_under_way(flow) then return turn.begin(flow) end
  local verdict
  verdict, why = copy(flow, leg)
  if verdict == "turn" then return turn.begin(flow) end
  return verdict, why
end

local function rest(flow, ms)
  task.deadline(ms, function()
    repeat
      local event = flow.inbox:pop()
      flow.left = flow.left or event.kind == "leave"
    until flow.left
  end)
end

--- Until the run wants something else, or the cause of the halt is gone.
local function wait_for_orders(flow, why)
  repeat
    local event = flow.inbox:pop()
    flow.left = event.kind == "leave"
  until flow.left or event.kind == "wanted"
    or event.kind == "check" and why.is_cured and why.is_cured()
end

--- The flow's life, in a task of its own.
---@async
function M:run()
  while not self.left do
    local began = task.now()
    local verdict, why = once(self)
    if verdict == "leave" then
      self.left = true
    elseif halt.is(why) then
      log.error(tostring(why))
      self:say("stopped", why.text, why.reason, why.range)
      wait_for_orders(self, why)
    elseif why then
      local lasted = task.now() - began > BACKOFF_MS.most
      local ms = not lasted and self.backoff or BACKOFF_MS.first
      self.backoff = math.min(ms * 2, BACKOFF_MS.most)
      local reason
      why, reason = waits.explained(self, why)
      log.warn(("%s: %s; again in %d ms"):format(self.id, tostring(why), ms))
      self.engine.counts.retries = self.engine.counts.retries + 1
      self:say("waiting", tostring(why), reason)
      rest(self, ms)
    end
  end
end

return M
