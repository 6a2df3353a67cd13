--- The copy of one partition, which owns its legs and its place in the copier. It
-- takes one message at a time from its inbox: what the copier reports, what the
-- run wants. What may pass is tried again with growing waits; what may not is a
-- halt, and stays one until somebody acts. A flow has a task while it has something
-- to do: of ten thousand partitions most rest at any time.

local task = require "vm.task"
local log = require "vm.log"
local lazy = require "base.lazy"
local halt = require "mirror.flow.halt"
local ledger = require "mirror.topic.ledger"
local prepare = require "mirror.flow.prepare"
local takeover = lazy "mirror.mm2.takeover"
local turn = require "mirror.flow.turn"
local waits = require "mirror.flow.waits"

local M = {}
M.__index = M
M.__name = "bridge.flow"

local function has(part)
  for name, method in pairs(part) do M[name] = method end
end
has(require "mirror.flow.copying")
has(require "mirror.flow.said")

M.copied_records, M.copied_bytes = 0, 0 -- until there are some

local BACKOFF_MS = { first = 50, most = 5000 }
local WORTH_A_WARNING_MS = 1000 -- what is made just now is not there at once

--- A leader of the source wrote what was copied last, and whoever copied it saw
-- that: what it knew of leaders is known here from the beginning.
local function learn_epoch(flow)
  local at, leg = flow.at, flow.engine.ledger:leg(flow.topic, flow.partition)
  if not (at and at.source_epoch and leg and at.leg == leg.leg) then return end
  local reads = ledger.sides(leg)
  flow:side(reads):has_led(flow:name_on(reads), leg.ids[reads], flow.partition,
    at.source_epoch)
end

--- A flow of topic (as the source names it) and partition; `run` starts it.
function M.new(engine, topic, partition)
  local part = engine.ledger:partition(topic, partition)
  local flow = setmetatable({
    engine = engine, topic = topic, partition = partition,
    id = topic .. "/" .. partition,
    at = part and part.at or nil, generation = engine.generation,
  }, M)
  learn_epoch(flow)
  return flow
end

--- Tells the flow something. One that rests gets a task again; one that has not
-- begun will see for itself when it does, but for this: that it need not begin.
function M:tell(event)
  if self.inbox then
    self.inbox:push(event)
  elseif self.run_id then
    self.engine:wake(self)
    self.inbox:push(event)
  else
    self.left = self.left or event.kind == "leave"
  end
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

--- Does the run want another leg than this one?
function M:is_turning(leg)
  local wanted = self.engine.ledger.topics[self.topic]
  wanted = wanted and wanted.want
  return wanted and wanted.leg > leg.leg and wanted
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

local function prepared(flow)
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
  if turn.is_under_way(flow) then return "turn" end
  return flow:copy(leg)
end

local function once(flow)
  local go_on = flow.run_id and flow.go_on or prepared
  local verdict, why = go_on(flow)
  if verdict == "turn" then return turn.begin(flow) end
  return verdict, why
end

local function wait(flow, ms)
  task.deadline(ms, function()
    repeat
      local event = flow.inbox:pop()
      flow.left = flow.left or event.kind == "leave"
    until flow.left
  end)
end

--- Until the run wants something else, or the cause of the halt is gone.
local function wait_for_orders(flow, why)
  flow.may_be_cured = why.is_cured ~= nil
  repeat
    local event = flow.inbox:pop()
    flow.left = event.kind == "leave"
  until flow.left or event.kind == "wanted"
    or event.kind == "check" and why.is_cured and why.is_cured()
  flow.may_be_cured = nil
end

--- The flow's life, until there is nothing to do.
---@async
function M:run()
  while not self.left do
    if not self.run_id then self.began = task.now() end
    local verdict, why = once(self)
    self.engine:has_begun(self)
    if verdict == "leave" then
      self.left = true
    elseif verdict == "rest" then
      self.inbox, self.task = nil, nil
      return true
    elseif halt.is(why) then
      log.error(tostring(why))
      self:say("stopped", why.text, why.reason, why.range)
      wait_for_orders(self, why)
    elseif why then
      local lasted = task.now() - self.began > BACKOFF_MS.most
      local ms = not lasted and self.backoff or BACKOFF_MS.first
      self.backoff = math.min(ms * 2, BACKOFF_MS.most)
      local reason
      why, reason = waits.explained(self, why)
      local tell = ms < WORTH_A_WARNING_MS and log.info or log.warn
      tell(("%s: %s; again in %d ms"):format(self.id, tostring(why), ms))
      self.engine.counts.retries = self.engine.counts.retries + 1
      self:say("waiting", tostring(why), reason)
      wait(self, ms)
    end
  end
end

return M
