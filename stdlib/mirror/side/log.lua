--- The log of a partition on a side: its bounds, what it holds, and the few
-- things that a bridge writes to it besides the copier.

local digest = require "vm.digest"
local ask = require "mirror.side.ask"
local gather = require "mirror.side.gather"

local M = {}

local EARLIEST, LATEST = -2, -1
local UNCOMMITTED, COMMITTED = 0, 1
local EVERYTHING = 1 << 40 -- records in one chunk

--- A leader that was deposed and does not know it yet must not answer: it is
-- told which epoch is meant.
local function place(partition, epoch, timestamp)
  return { PartitionIndex = partition, CurrentLeaderEpoch = epoch,
    Timestamp = timestamp }
end

local OFFSETS = { name = "ListOffsets", inner = "Partitions", what = "log of" }

function OFFSETS.body(topics, isolation)
  return { ReplicaId = -1, IsolationLevel = isolation, Topics = topics }
end

local function offset_at(self, topic, partition, timestamp, isolation)
  local part, why = gather.one(self, OFFSETS, topic, partition, function(leader)
    return place(partition, leader.epoch, timestamp)
  end, isolation)
  return part and part.Offset, why
end

--- The log's bounds: { start, stop, stable } (stop: the next offset).
---@async
function M:bounds(topic, partition)
  local start, why = offset_at(self, topic, partition, EARLIEST, UNCOMMITTED)
  if not start then return nil, why end
  local stable, stop
  stable, why = offset_at(self, topic, partition, LATEST, COMMITTED)
  if not stable then return nil, why end
  stop, why = offset_at(self, topic, partition, LATEST, UNCOMMITTED)
  if not stop then return nil, why end
  return { start = start, stop = stop, stable = stable }
end

--- The next offset a partition will give.
---@async
function M:log_end(topic, partition)
  return offset_at(self, topic, partition, LATEST, UNCOMMITTED)
end

--- The first offset that a partition holds.
---@async
function M:log_start(topic, partition)
  return offset_at(self, topic, partition, EARLIEST, UNCOMMITTED)
end

--- What to ask each leader: { broker, topics, index } where `index` gives the place
-- in the list by topic and partition.
local function by_leader(self, list, timestamp)
  local asked, tried = {}, {}
  for number, one in ipairs(list) do
    local broker, part = self:known_leader(one.topic, one.partition)
    if not broker and not tried[one.topic] then
      tried[one.topic] = true
      self:leader(one.topic, one.partition)
      broker, part = self:known_leader(one.topic, one.partition)
    end
    if broker then
      local group = asked[broker] or { topics = {}, index = {} }
      asked[broker] = group
      local index = group.index[one.topic]
      if not index then
        index = { places = {} }
        group.index[one.topic] = index
        table.insert(group.topics, { Name = one.topic,
          Partitions = index.places })
      end
      index[one.partition] = number
      table.insert(index.places, place(one.partition, part.epoch, timestamp))
    end
  end
  return asked
end

--- Offsets of many partitions, each leader asked once. What cannot be told now is
-- left out, and looked up anew the next time.
local function offsets_at(self, list, timestamp)
  local found = {}
  for broker, group in pairs(by_leader(self, list, timestamp)) do
    local answer = ask.at(self, broker.host, broker.port, "ListOffsets",
      OFFSETS.body(group.topics, UNCOMMITTED))
    for _, topic in ipairs(answer and answer.Topics or {}) do
      local places = group.index[topic.Name] or {}
      for _, part in ipairs(topic.Partitions) do
        local number = places[part.PartitionIndex]
        if number and part.ErrorCode == 0 then
          found[number] = part.Offset
        elseif ask.MOVED[part.ErrorCode] then
          self:forget(topic.Name)
        end
      end
    end
    for _, topic in ipairs(answer and {} or group.topics) do
      self:forget(topic.Name)
    end
  end
  return found
end

--- The next offsets of partitions { topic, partition }, by their place in the
-- list; the first offsets that they hold.
---@async
---@return table<integer, integer>
function M:log_ends(list) return offsets_at(self, list, LATEST) end
function M:log_starts(list) return offsets_at(self, list, EARLIEST) end

--- Digests of what a partition holds in [from, to), with the options of
-- vm.digest: one of all its committed records unless they say otherwise, and
-- none for an empty range.
---@async
---@param range digest.options  but for where it is read
---@return digest.chunks?, tranship.Err?
function M:digests(range)
  if range.from >= range.to then return {} end
  local leader, why = self:leader(range.topic, range.partition)
  if not leader then return nil, why end
  local options = {
    host = leader.host, port = leader.port, login = leader.login,
    mode = "records", chunk = not range.mode and EVERYTHING or nil,
  }
  for name, value in pairs(range) do options[name] = value end
  return digest.range(options)
end

--- Writes `count` control markers under a producer id, each one offset long
-- and unseen by readers. With a higher epoch than before they also shut the
-- partition to everything that still comes under the old one.
---@async
---@return true|nil, tranship.Err?
function M:markers(topic, partition, producer, count)
  local marker = {
    ProducerId = producer.id, ProducerEpoch = producer.epoch,
    TransactionResult = false, CoordinatorEpoch = 0,
    Topics = { { Name = topic, PartitionIndexes = { partition } } },
  }
  local list = {}
  for index = 1, count do list[index] = marker end
  local answer, why = ask.leader(self, topic, partition, "WriteTxnMarkers",
    { Markers = list })
  if not answer then return nil, why end
  for _, one in ipairs(answer.Markers) do
    local part
    part, why = ask.only(self, topic, one.Topics, "Partitions",
      ("marker on %s/%d"):format(topic, partition))
    if not part then return nil, why end
  end
  return true
end

--- Appends one batch as it is.
---@async
---@return integer? base_offset, tranship.Err?
function M:append(topic, partition, bytes)
  local part, why = ask.part(self, topic, partition, "Produce", {
    Acks = -1, TimeoutMs = ask.TIMEOUT_MS,
    TopicData = { {
      Name = topic, PartitionData = { { Index = partition, Records = bytes } },
    } },
  }, "append to", "PartitionResponses", "Responses")
  return part and part.BaseOffset, why
end

--- Moves the log start of a partition up to `before`.
---@async
function M:delete_records(topic, partition, before)
  local part, why = ask.part(self, topic, partition, "DeleteRecords", {
    TimeoutMs = ask.TIMEOUT_MS,
    Topics = { {
      Name = topic,
      Partitions = { { PartitionIndex = partition, Offset = before } },
    } },
  }, "delete records of")
  return part and true, why
end

return M
