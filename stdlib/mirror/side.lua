--- One cluster as the engine and the proofs see it: leaders, log ends, producer
-- ids, control markers. Speaks to partition leaders over vm.wire; addresses
-- are found from the bootstrap list and forgotten when a leader moved.

local task = require "vm.task"
local err = require "base.err"
local ask = require "mirror.side.ask"
local gather = require "mirror.side.gather"

local M = {}
M.__index = M
M.__name = "bridge.side"

local NOBODY = -1 -- leads
local KEEP_MS = 10000 -- versions

local function has(part)
  for name, method in pairs(part) do M[name] = method end
end
has(require "mirror.side.log")
has(require "mirror.side.producers")
has(require "mirror.side.groups")

--- A side that knows its bootstrap list; nothing is connected yet.
---@param spec { name: string, bootstrap: string, login?: userdata, read_only?: boolean }
function M.new(spec)
  return setmetatable({
    name = spec.name, bootstrap = spec.bootstrap, login = spec.login,
    read_only = spec.read_only,
    _conns = {}, _topics = {}, _led = {}, _refused = {}, _asked = 1,
    _all = { mark = 0 }, _lines = {},
  }, M)
end

--- One table for all lists of the same brokers: there are many of few.
local function sharing()
  local known = {}
  return function(brokers)
    local text = table.concat(brokers, ",")
    known[text] = known[text] or brokers
    return known[text]
  end
end

--- What is known of the partitions of a topic's leaders.
local function led_of(self, name, id)
  local led = self._led[name]
  if not led or led.id ~= id then
    led = { id = id, partitions = {} }
    self._led[name] = led
  end
  return led.partitions
end

--- What a broker says of a partition; what was said before, if that was newer.
-- A broker that lags behind still tells of an older leader epoch (KIP-320): then
-- another one is asked next.
local function believed(self, topic, part, shared)
  local led = led_of(self, topic.Name, topic.TopicId)
  local before = led[part.PartitionIndex]
  if before and part.LeaderEpoch < before.epoch then
    self._lags, before.told = true, part.LeaderEpoch
    return before
  end
  local said = {
    leader = part.LeaderId, epoch = part.LeaderEpoch,
    replicas = shared(part.ReplicaNodes), in_sync = shared(part.IsrNodes),
  }
  led[part.PartitionIndex] = said
  return said
end

--- Takes over that there was a leader of this epoch, from somebody who saw what
-- it wrote: nobody is believed who tells of an older one.
function M:has_led(topic, id, partition, epoch)
  local led = led_of(self, topic, id)
  local known = led[partition]
  if known and known.epoch >= epoch then return end
  led[partition] = { leader = NOBODY, epoch = epoch, replicas = {}, in_sync = {} }
  self._topics[topic] = nil
end

--- Topics as the cluster describes them, by name: id, partitions by number
-- with leader, epoch, replicas and those in sync. Without `names`, all topics: an
-- answer that is the same as the last one, byte by byte, is not read again.
---@async
---@return table?, tranship.Err?
function M:describe(names)
  local wanted
  if names then
    wanted = {}
    for index, name in ipairs(names) do wanted[index] = { Name = name } end
  end
  local answer, more = ask.any(self, "Metadata", {
    Topics = wanted, AllowAutoTopicCreation = false,
  }, not names and { unless = self._all.mark } or nil)
  if answer == nil then return nil, more end
  if not answer then return self._all.topics end
  self.id, self._lags = answer.ClusterId, nil
  self.brokers = {}
  for _, broker in ipairs(answer.Brokers) do
    self.brokers[broker.NodeId] = { host = broker.Host, port = broker.Port }
  end
  local topics, shared = {}, sharing()
  for _, topic in ipairs(answer.Topics) do
    if topic.ErrorCode == 0 then
      local found = {
        name = topic.Name, id = topic.TopicId, internal = topic.IsInternal,
        partitions = {}, count = #topic.Partitions,
      }
      for _, part in ipairs(topic.Partitions) do
        found.partitions[part.PartitionIndex] = believed(self, topic, part,
          shared)
      end
      topics[topic.Name] = found
      self._topics[topic.Name] = found
    elseif topic.Name then
      self._topics[topic.Name] = nil
    end
    if topic.Name then
      self._refused[topic.Name] = topic.ErrorCode ~= 0 and topic.ErrorCode or nil
    end
  end
  if self._lags then self._asked = self._asked + 1 end
  if not names then
    self._all = { mark = self._lags and 0 or more, topics = topics }
  end
  return topics
end

--- Who leads a partition as far as that is known: the broker, the partition and
-- its topic as they were described; or nil.
function M:known_leader(topic, partition)
  local found = self._topics[topic]
  local part = found and found.partitions[partition]
  local broker = part and self.brokers[part.leader]
  if broker then return broker, part, found end
end

local function told(self, broker, part, found)
  return broker and {
    host = broker.host, port = broker.port, login = self.login,
    epoch = part.epoch, topic_id = found.id,
  }
end

--- Where a partition is served now: { host, port, login, epoch, topic_id }.
---@async
function M:leader(topic, partition)
  local leader = told(self, self:known_leader(topic, partition))
  if leader then return leader end
  local answer, why = self:describe { topic }
  if not answer then return nil, why end
  if not answer[topic] and ask.DENIED[self._refused[topic]] then
    return nil, ask.refused(self, self._refused[topic], "topic " .. topic)
  elseif not answer[topic] then
    return nil, err.new {
      kind = "not found", origin = "kafka", code = 3,
      message = ("%s has no topic %s"):format(self.name, topic),
    }
  end
  leader = told(self, self:known_leader(topic, partition))
  if leader then return leader end
  local part = answer[topic].partitions[partition]
  return nil, err.new {
    kind = "unavailable", origin = "kafka", code = 5, retriable = true,
    message = ("%s: %s/%d has no leader%s"):format(self.name, topic, partition,
      part and part.told and (" that is known: its brokers tell of epoch %d, and "
        .. "one of epoch %d has been seen"):format(part.told, part.epoch) or ""),
  }
end

--- Forgets where a topic is served, so that the next call asks again, and
-- another broker: the last one may lag behind.
function M:forget(topic)
  self._topics[topic] = nil
  self._asked = self._asked + 1
end

--- The newest version of each request that a broker takes, by number; as it was
-- a while ago, at most.
---@async
function M:versions()
  local known = self._versions
  if known and task.now() < known.until_ms then return known.newest end
  local answer, why = ask.any(self, "ApiVersions", {
    ClientSoftwareName = "tranship", ClientSoftwareVersion = "1",
  })
  if not answer then return nil, why end
  if answer.ErrorCode ~= 0 then
    return nil, ask.refused(self, answer.ErrorCode, "versions")
  end
  local newest = {}
  for _, one in ipairs(answer.ApiKeys) do
    newest[one.ApiKey] = one.MaxVersion
  end
  self._versions = { newest = newest, until_ms = task.now() + KEEP_MS }
  return newest
end

function M:close()
  gather.close(self)
  for _, conn in pairs(self._conns) do conn:close() end
  self._conns = {}
end

return M
