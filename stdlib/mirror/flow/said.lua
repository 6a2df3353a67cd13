--- What a flow writes into the bridge's topic: its legs, how far it is, which runs
-- were acknowledged. A part of mirror.flow.

local log = require "vm.log"
local err = require "base.err"
local claim = require "mirror.topic.claim"
local ledger = require "mirror.topic.ledger"
local record = require "mirror.topic.record"
local transactions = require "mirror.flow.transactions"

local M = {}

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

--- Records a leg that begins where the one before ends. How far that one came is
-- forgotten only then: if this fails, the next try has to know it.
---@async
function M:begin_leg(leg)
  local ok, why = self:announce_leg(leg)
  if not ok then return nil, why end
  self.at, self.open_run = nil, nil
  return leg
end

--- The leader epoch of what was copied last, if that ends at `source`: of any other
-- place the leader would say that its log was cut there.
local function epoch_at(flow, source)
  return flow.at and flow.at.source == source and flow.at.source_epoch or nil
end

--- A copy of `leg` under the next epoch, from offset `at` (same on both sides).
function M:raised(leg, at)
  local next_leg = {}
  for name, value in pairs(leg) do next_leg[name] = value end
  next_leg.epoch = leg.epoch + 1
  next_leg.since = {
    from = at, to = at, sequence = 0, stable = self.at and self.at.stable,
    source_epoch = epoch_at(self, at),
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
  mapped.since = { [reads] = source, [writes] = target, sequence = sequence,
    source_epoch = epoch_at(self, source) }
  log.warn(("%s goes on mapped from source offset %d: %s")
    :format(self.id, source, why))
  return self:begin_leg(mapped)
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
  self.unsaved = self.unsaved or {}
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
  local list, runs = {}, self.unsaved or {}
  for start, run in pairs(runs) do
    list[#list + 1] = {
      record.key.segment(self.topic, self.partition, run.leg, start,
        self.generation),
      { source = run.source, target = run.target, count = run.count },
    }
  end
  self.unsaved = nil
  if self.at and not self.lost then
    self.at.claim, self.at.warning = self.generation, self.warning
    list[#list + 1] = { record.key.at(self.topic, self.partition), self.at }
  end
  return list, runs
end

--- Takes back segments that could not be written.
function M:give_back(runs)
  self.unsaved = self.unsaved or {}
  for start, run in pairs(runs) do
    self.unsaved[start] = self.unsaved[start] or run
  end
  self.engine:touch(self)
end

return M
