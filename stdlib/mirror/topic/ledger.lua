--- What the bridge's topic says, folded: one plain object, no I/O.
-- Both faces hold one: the run to see what was reached, the engine to see
-- what is wanted. Offsets are always kept per cluster side, `from` and `to`,
-- whatever way a leg copies.

local err = require "base.err"
local record = require "mirror.topic.record"

local M = {}
M.__index = M

--- An empty ledger.
function M.new()
  return setmetatable({
    topics = {}, groups = {}, shadows = {}, claims = {}, goodbyes = {}, gone = {},
    loans = {}, position = 0, problems = {}, _taken = {},
  }, M)
end

local function entry(ledger, name)
  local topic = ledger.topics[name]
  if not topic then
    topic = { name = name, partitions = {} }
    ledger.topics[name] = topic
  end
  return topic
end

--- What nothing has been said of takes no memory: bridges have ten thousands of
-- partitions, and few of them have turned or have transactions.
local NOTHING = setmetatable({}, { __newindex = function() error "read only" end })
local Partition = { __index = {
  legs = NOTHING, turns = NOTHING, segments = NOTHING, producers = NOTHING,
} }

local function partition_of(ledger, name, number)
  local partitions = entry(ledger, name).partitions
  local part = partitions[number]
  if not part then
    part = setmetatable({ last = 0 }, Partition)
    partitions[number] = part
  end
  return part
end

--- A table within another, made when it is first written to.
local function within(parent, key)
  local found = rawget(parent, key) or {}
  parent[key] = found
  return found
end

local fold = {}

for _, kind in ipairs { "bridge", "wanted", "engine", "ask" } do
  fold[kind] = function(ledger, said) ledger[kind] = said.value end
end

function fold.group(ledger, said)
  ledger.groups[said.value.group] = said.value
end

function fold.shadow(ledger, said)
  ledger.shadows[said.value.group] = said.value
end

--- A number belongs to the instance whose claim of it is first in the log.
function fold.claim(ledger, said)
  local number, instance = said.value.number, said.value.instance
  ledger.claim = said.value
  ledger.claims[number] = ledger.claims[number] or instance
  ledger.goodbyes[instance] = nil
end

--- `gone`: numbers of claims whose engines have ended in order.
function fold.goodbye(ledger, said)
  local instance = said.value.instance
  ledger.goodbye, ledger.goodbyes[instance] = said.value, true
  for number, claimant in pairs(ledger.claims) do
    if claimant == instance then ledger.gone[number] = true end
  end
end

function fold.loan(ledger, said)
  ledger.loans[said.topic] = said.value.state == "taken" and said.value or nil
end

function fold.want(ledger, said)
  entry(ledger, said.topic).want = said.value
end

--- The first word counts: what was written after it is copied.
function fold.origin(ledger, said)
  local topic = entry(ledger, said.topic)
  topic.origin = topic.origin or said.value
end

--- Does `held` say all that was said?
local function is_held(value, held)
  for name, field in pairs(value) do
    if name ~= "format" and held[name] ~= field then return false end
  end
  return true
end

--- Whoever has taken a partition under a later claim is believed, not the one
-- before. The engine that has said it holds it already: one table for both.
function fold.at(ledger, said)
  local part = partition_of(ledger, said.topic, said.partition)
  local known = part.at
  local before, now = known and known.claim or 0, said.value.claim or 0
  if before > now then return end
  local held = ledger.held_at and ledger.held_at(said.topic, said.partition)
  part.at = held and is_held(said.value, held) and held or said.value
  if now > before then
    ledger._taken[said.topic .. "/" .. said.partition] = true
  end
end

--- Ids of the partitions that another claim has spoken of since this was asked.
function M:taken()
  local taken = self._taken
  self._taken = {}
  return taken
end

--- Keeps `value` under `number` unless a later claim has spoken already.
local function newest(map, number, generation, value)
  local known = map[number]
  if known and known.generation > generation then return end
  value.generation = generation
  map[number] = value
end

function fold.turn(ledger, said)
  local part = partition_of(ledger, said.topic, said.partition)
  newest(within(part, "turns"), said.path[2], said.path[3], said.value)
end

--- One table for the ids of all partitions of a topic, as long as they are the same.
local function shared_ids(topic, ids)
  local known = topic.ids
  if not known or known.from ~= ids.from or known.to ~= ids.to then
    topic.ids = ids
  end
  return topic.ids
end

--- A leg that begins anew, on a topic that was made again, forgets all before.
function fold.leg(ledger, said)
  local part = partition_of(ledger, said.topic, said.partition)
  if said.value.anew then
    part.legs, part.turns, part.segments, part.producers = nil, nil, nil, nil
  end
  if said.value.ids then
    said.value.ids = shared_ids(ledger.topics[said.topic], said.value.ids)
  end
  newest(within(part, "legs"), said.path[2], said.path[3], said.value)
  part.last = math.max(part.last, said.path[2])
end

function fold.txn(ledger, said)
  local part = partition_of(ledger, said.topic, said.partition)
  local leg, id = said.path[2], said.path[3]
  within(within(part, "producers"), leg)[id] = said.value
end

function fold.seg(ledger, said)
  local part = partition_of(ledger, said.topic, said.partition)
  local leg, start = said.path[2], said.path[3]
  local runs = within(within(part, "segments"), leg)
  -- What was acknowledged stays true: of two runs the longer one says more.
  local known = runs[start]
  if not known or known.count < said.value.count then
    runs[start] = said.value
  end
end

--- Takes a record in. Unreadable ones are kept in `problems`, never guessed.
function M:fold(rec)
  self.position = rec.offset + 1
  local said, why = record.decode(rec)
  if why then
    self.problems[#self.problems + 1] = why
  elseif said and fold[said.kind] then
    local ok, problem = pcall(fold[said.kind], self, said)
    if not ok then
      self.problems[#self.problems + 1] = err.new { kind = "invalid",
        origin = "bridge", message = ("record %s at offset %d is none of a "
          .. "bridge: %s"):format(rec.key, rec.offset, tostring(problem)) }
    end
  end
end

--- The partition's record, or nil when it has none yet.
function M:partition(topic, number)
  local found = self.topics[topic]
  return found and found.partitions[number]
end

--- The newest leg of a partition, or nil.
function M:leg(topic, number)
  local part = self:partition(topic, number)
  return part and part.legs[part.last]
end

--- The first leg of a partition, or nil.
function M:first_leg(topic, number)
  local part = self:partition(topic, number)
  for index = 1, part and part.last or 0 do
    if part.legs[index] then return part.legs[index] end
  end
end

--- Which side writes a topic now: "from", "to", or "turning" in between.
-- A topic without legs belongs to those who always wrote it.
function M:writer(topic)
  local found = self.topics[topic]
  if not found then return "from" end
  local wanted = found.want
  local seen
  for _, part in pairs(found.partitions) do
    local leg = part.legs[part.last]
    if leg then
      if wanted and leg.leg < wanted.leg then return "turning" end
      if seen and seen ~= leg.writer then return "turning" end
      seen = leg.writer
    end
  end
  return seen or (wanted and wanted.writer) or "from"
end

--- The highest leg number of any partition of the topic, wanted ones included.
function M:leg_number(topic)
  local found = self.topics[topic]
  local number = found and found.want and found.want.leg or 0
  for _, part in pairs(found and found.partitions or {}) do
    number = math.max(number, part.last)
  end
  return number
end

--- The segments of a leg, by source offset: { {source, target, count}, ... }.
function M:segments(topic, number, leg)
  local part = self:partition(topic, number)
  local list = {}
  for _, run in pairs(part and part.segments[leg] or {}) do
    list[#list + 1] = run
  end
  table.sort(list, function(a, b) return a.source < b.source end)
  return list
end

--- Sides of a leg: where it reads and where it writes.
function M.sides(leg)
  if leg.writer == "from" then return "from", "to" end
  return "to", "from"
end

--- Does the leg still hold one offset for both sides?
function M.is_same(leg)
  return leg.kind == "same" and not leg.mapped_at
end

--- Are transactions copied as such, also those that are still open?
function M.keeps(leg)
  return leg.transactions == true and M.is_same(leg)
end

--- Names of all topics known, sorted.
function M:names()
  local names = {}
  for name in pairs(self.topics) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Partition numbers of a topic, sorted.
function M:numbers(topic)
  local numbers = {}
  local found = self.topics[topic]
  for number in pairs(found and found.partitions or {}) do
    numbers[#numbers + 1] = number
  end
  table.sort(numbers)
  return numbers
end

return M
