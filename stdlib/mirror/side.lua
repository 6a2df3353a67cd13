--- One cluster as the engine and the proofs see it: leaders, log ends, producer
-- ids, control markers. Speaks to partition leaders over vm.wire; addresses
-- are found from the bootstrap list and forgotten when a leader moved.

local task = require "vm.task"
local wire = require "vm.wire"
local err = require "base.err"

local M = {}
M.__index = M
M.__name = "bridge.side"

local TIMEOUT_MS = 15000
local EARLIEST, LATEST = -2, -1
local UNCOMMITTED, COMMITTED = 0, 1

--- Codes after which another broker, or the same one later, may answer well:
-- unknown topic, leader not there, not leader, timed out, replica not there,
-- network, coordinator loading, not there, moved, epochs in motion.
local MOVED = {
  [3] = true, [5] = true, [6] = true, [7] = true, [9] = true, [13] = true,
  [14] = true, [15] = true, [16] = true, [74] = true, [75] = true,
}
local NO_GROUP = 69 -- GROUP_ID_NOT_FOUND
local DENIED = { [29] = true, [30] = true, [31] = true, [53] = true }
local CONCURRENT = 51      -- CONCURRENT_TRANSACTIONS: the last one still ends
local TRANSACTION = 1      -- a coordinator's kind of key
local TRIES, PAUSE_MS = 100, 25

--- An err for a broker's code.
local function refused(self, code, what)
  return err.new {
    kind = DENIED[code] and "denied" or MOVED[code] and "unavailable"
      or "conflict",
    origin = "kafka", code = code, retriable = MOVED[code] or false,
    message = ("%s on %s: %s"):format(what, self.name, wire.error_name(code)),
  }
end

--- A side that knows its bootstrap list; nothing is connected yet.
---@param spec { name: string, bootstrap: string, login?: userdata, read_only?: boolean }
function M.new(spec)
  return setmetatable({
    name = spec.name, bootstrap = spec.bootstrap, login = spec.login,
    read_only = spec.read_only,
    _conns = {}, _topics = {},
  }, M)
end

local function connect(self, host, port)
  local address = host .. ":" .. port
  local conn = self._conns[address]
  if conn and conn:is_open() then return conn end
  if conn then conn:close() end
  local why
  conn, why = wire.connect {
    host = host, port = port, login = self.login,
    read_only = self.read_only or false,
    timeout_ms = TIMEOUT_MS,
  }
  if not conn then return nil, why end
  self._conns[address] = conn
  return conn, nil, address
end

local function drop(self, host, port)
  local address = host .. ":" .. port
  local conn = self._conns[address]
  self._conns[address] = nil
  if conn then conn:close() end
end

local function call_at(self, host, port, name, body)
  local conn, why = connect(self, host, port)
  if not conn then return nil, why end
  local answer
  answer, why = conn:call(name, body)
  if not answer then
    drop(self, host, port)
    return nil, why
  end
  return answer
end

--- Asks any broker of the bootstrap list; or any other that was known last,
-- for a list may have aged.
local function call_any(self, name, body)
  local answer, why
  for host, port in self.bootstrap:gmatch "([^,%s]+):(%d+)" do
    answer, why = call_at(self, host, math.tointeger(port), name, body)
    if answer then return answer end
  end
  for _, broker in pairs(why and self.brokers or {}) do
    answer = call_at(self, broker.host, broker.port, name, body)
    if answer then return answer end
  end
  return nil, why or err.new {
    kind = "invalid", origin = "bridge",
    message = ("%s has no address in %q"):format(self.name, self.bootstrap),
  }
end

--- Asks the coordinator of a consumer group.
---@async
---@return table? answer, tranship.Err?
function M:call_coordinator(group, name, body)
  local found, why = call_any(self, "FindCoordinator",
    { KeyType = 0, CoordinatorKeys = { group } })
  if not found then return nil, why end
  local at = found.Coordinators[1]
  if at.ErrorCode ~= 0 then
    return nil, refused(self, at.ErrorCode, "coordinator of " .. group)
  end
  return call_at(self, at.Host, at.Port, name, body)
end

--- Topics as the cluster describes them, by name: id, partitions by number
-- with leader and epoch. Without `names`, all topics.
---@async
---@return table?, tranship.Err?
function M:describe(names)
  local wanted
  if names then
    wanted = {}
    for index, name in ipairs(names) do wanted[index] = { Name = name } end
  end
  local answer, why = call_any(self, "Metadata", {
    Topics = wanted, AllowAutoTopicCreation = false,
  })
  if not answer then return nil, why end
  self.id = answer.ClusterId
  self.brokers = {}
  for _, broker in ipairs(answer.Brokers) do
    self.brokers[broker.NodeId] = { host = broker.Host, port = broker.Port }
  end
  local topics = {}
  for _, topic in ipairs(answer.Topics) do
    if topic.ErrorCode == 0 then
      local found = {
        name = topic.Name, id = topic.TopicId, internal = topic.IsInternal,
        partitions = {}, count = #topic.Partitions,
      }
      for _, part in ipairs(topic.Partitions) do
        found.partitions[part.PartitionIndex] = {
          leader = part.LeaderId, epoch = part.LeaderEpoch,
          replicas = #part.ReplicaNodes,
        }
      end
      topics[topic.Name] = found
      self._topics[topic.Name] = found
    elseif topic.Name then
      self._topics[topic.Name] = nil
    end
  end
  return topics
end

--- All groups of all brokers, whatever their protocol, by name:
-- { group, protocol_type, state } each.
---@async
function M:groups()
  local topics, why = self:describe {}
  if not topics then return nil, why end
  local list = {}
  for _, broker in pairs(self.brokers) do
    local answer
    answer, why = call_at(self, broker.host, broker.port, "ListGroups", {})
    if not answer then return nil, why end
    if answer.ErrorCode ~= 0 then
      return nil, refused(self, answer.ErrorCode, "the list of groups")
    end
    for _, one in ipairs(answer.Groups) do
      list[#list + 1] = { group = one.GroupId, state = one.GroupState,
        protocol_type = one.ProtocolType }
    end
  end
  table.sort(list, function(a, b) return a.group < b.group end)
  return list
end

--- Where a partition is served now: { host, port, login, epoch, topic_id }.
---@async
function M:leader(topic, partition)
  local found = self._topics[topic]
  local part = found and found.partitions[partition]
  if not part or not self.brokers[part.leader] then
    local answer, why = self:describe { topic }
    if not answer then return nil, why end
    found = answer[topic]
    part = found and found.partitions[partition]
    if not found then
      return nil, err.new {
        kind = "not found", origin = "kafka", code = 3,
        message = ("%s has no topic %s"):format(self.name, topic),
      }
    end
  end
  local broker = part and self.brokers[part.leader]
  if not broker then
    return nil, err.new {
      kind = "unavailable", origin = "kafka", code = 5, retriable = true,
      message = ("%s: %s/%d has no leader"):format(self.name, topic, partition),
    }
  end
  return {
    host = broker.host, port = broker.port, login = self.login,
    epoch = part.epoch, topic_id = found.id,
  }
end

--- Forgets what is known of a topic, so that the next call asks again.
function M:forget(topic) self._topics[topic] = nil end

--- Asks the leader of a partition.
local function call(self, topic, partition, name, body)
  local leader, why = self:leader(topic, partition)
  if not leader then return nil, why end
  local answer
  answer, why = call_at(self, leader.host, leader.port, name, body)
  if not answer then self:forget(topic) end
  return answer, why
end

--- The one partition of an answer that lists topics and partitions.
local function only(self, topic, list, inner, what)
  local part = list and list[1] and list[1][inner] and list[1][inner][1]
  if not part then
    return nil, err.new {
      kind = "protocol", origin = "kafka",
      message = what .. " on " .. self.name .. ": answer without a partition",
    }
  elseif part.ErrorCode ~= 0 then
    if MOVED[part.ErrorCode] then self:forget(topic) end
    return nil, refused(self, part.ErrorCode, what)
  end
  return part
end

local function offset_at(self, topic, partition, timestamp, isolation)
  local answer, why = call(self, topic, partition, "ListOffsets", {
    ReplicaId = -1, IsolationLevel = isolation,
    Topics = { {
      Name = topic,
      Partitions = { {
        PartitionIndex = partition, CurrentLeaderEpoch = -1,
        Timestamp = timestamp,
      } },
    } },
  })
  if not answer then return nil, why end
  local part
  part, why = only(self, topic, answer.Topics, "Partitions",
    ("log of %s/%d"):format(topic, partition))
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

--- A producer id nobody else has.
---@async
function M:init_producer_id()
  local answer, why = call_any(self, "InitProducerId", {
    TransactionTimeoutMs = 60000,
  })
  if not answer then return nil, why end
  if answer.ErrorCode ~= 0 then
    return nil, refused(self, answer.ErrorCode, "a producer id")
  end
  return answer.ProducerId
end

--- The newest version of each request that a broker takes, by number.
---@async
function M:versions()
  local answer, why = call_any(self, "ApiVersions", {
    ClientSoftwareName = "tranship", ClientSoftwareVersion = "1",
  })
  if not answer then return nil, why end
  if answer.ErrorCode ~= 0 then
    return nil, refused(self, answer.ErrorCode, "versions")
  end
  local newest = {}
  for _, one in ipairs(answer.ApiKeys) do
    newest[one.ApiKey] = one.MaxVersion
  end
  return newest
end

--- Coordinators of transactional ids: { host, port } by id.
---@async
function M:coordinators(ids)
  if #ids == 0 then return {} end
  for _ = 1, TRIES do
    local answer, why = call_any(self, "FindCoordinator",
      { KeyType = TRANSACTION, CoordinatorKeys = ids })
    if not answer then return nil, why end
    local places, code = {}, nil
    for _, one in ipairs(answer.Coordinators) do
      places[one.Key] = { host = one.Host, port = one.Port }
      if one.ErrorCode ~= 0 then code = one.ErrorCode end
    end
    if not code then return places end
    if not MOVED[code] then
      return nil, refused(self, code, "coordinator of " .. ids[1])
    end
    task.sleep(PAUSE_MS)
  end
  return nil, refused(self, 15, "coordinator of " .. ids[1])
end

--- Asks the coordinator of `name` until it has an answer to give.
local function call_coordinator(self, name, message, body)
  local code
  for _ = 1, TRIES do
    local places, why = self:coordinators { name }
    if not places then return nil, why end
    local answer
    answer, why = call_at(self, places[name].host, places[name].port, message,
      body)
    if not answer then return nil, why end
    code = answer.ErrorCode
    if code ~= CONCURRENT and not MOVED[code] then return answer end
    task.sleep(PAUSE_MS)
  end
  return { ErrorCode = code }
end

--- A producer id under a transactional id. What is open under it is aborted,
-- and whoever used it before is shut out.
---@async
---@return { id: integer, epoch: integer }?, tranship.Err?
function M:init_transactional(name, timeout_ms)
  local answer, why = call_coordinator(self, name, "InitProducerId", {
    TransactionalId = name, TransactionTimeoutMs = timeout_ms,
  })
  if not answer then return nil, why end
  if answer.ErrorCode ~= 0 then
    return nil, refused(self, answer.ErrorCode, "transactional id " .. name)
  end
  return { id = answer.ProducerId, epoch = answer.ProducerEpoch }
end

--- States of transactional ids, { state, id, epoch } or { code } by id, and
-- where their coordinators are.
---@async
function M:describe_transactions(ids)
  local places, why = self:coordinators(ids)
  if not places then return nil, why end
  local by_place, said = {}, {}
  for _, id in ipairs(ids) do
    local address = places[id].host .. ":" .. places[id].port
    local group = by_place[address] or { at = places[id], ids = {} }
    by_place[address] = group
    table.insert(group.ids, id)
  end
  for _, group in pairs(by_place) do
    local answer
    answer, why = call_at(self, group.at.host, group.at.port,
      "DescribeTransactions", { TransactionalIds = group.ids })
    if not answer then return nil, why end
    for _, one in ipairs(answer.TransactionStates) do
      if MOVED[one.ErrorCode] or DENIED[one.ErrorCode] then
        return nil, refused(self, one.ErrorCode,
          "transactional id " .. one.TransactionalId)
      end
      said[one.TransactionalId] = one.ErrorCode == 0 and {
        state = one.TransactionState, id = one.ProducerId,
        epoch = one.ProducerEpoch,
      } or { code = one.ErrorCode }
    end
  end
  return said, places
end

--- Producers the partition's leader remembers:
-- { id, epoch, sequence, time, coordinator_epoch, transaction? } each.
---@async
function M:producers(topic, partition)
  local answer, why = call(self, topic, partition, "DescribeProducers", {
    Topics = { { Name = topic, PartitionIndexes = { partition } } },
  })
  if not answer then return nil, why end
  local part
  part, why = only(self, topic, answer.Topics, "Partitions",
    ("producers of %s/%d"):format(topic, partition))
  if not part then return nil, why end
  local list = {}
  for index, one in ipairs(part.ActiveProducers) do
    list[index] = {
      id = one.ProducerId, epoch = one.ProducerEpoch,
      sequence = one.LastSequence, time = one.LastTimestamp,
      coordinator_epoch = one.CoordinatorEpoch,
      transaction = one.CurrentTxnStartOffset >= 0
        and one.CurrentTxnStartOffset or nil,
    }
  end
  return list
end

--- Transactions of these producers, by producer id: { transactional_id, state,
-- started, timeout_ms }, as far as we may see them. Brokers before 3.0 say none.
---@async
---@param ids integer[]
---@return table<integer, table>
function M:transactions(ids)
  local found = {}
  for _, broker in pairs(self:describe {} and self.brokers or {}) do
    local listed = call_at(self, broker.host, broker.port, "ListTransactions",
      { StateFilters = {}, ProducerIdFilters = ids })
    for _, one in ipairs(listed and listed.TransactionStates or {}) do
      local known = { transactional_id = one.TransactionalId,
        state = one.TransactionState }
      local described = call_at(self, broker.host, broker.port,
        "DescribeTransactions", { TransactionalIds = { one.TransactionalId } })
      local state = described and described.TransactionStates[1]
      if state and state.ErrorCode == 0 then
        known.started = state.TransactionStartTimeMs
        known.timeout_ms = state.TransactionTimeoutMs
      end
      found[one.ProducerId] = known
    end
  end
  return found
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
  local answer, why = call(self, topic, partition, "WriteTxnMarkers",
    { Markers = list })
  if not answer then return nil, why end
  for _, one in ipairs(answer.Markers) do
    local part
    part, why = only(self, topic, one.Topics, "Partitions",
      ("marker on %s/%d"):format(topic, partition))
    if not part then return nil, why end
  end
  return true
end

--- Appends one batch as it is.
---@async
---@return integer? base_offset, tranship.Err?
function M:append(topic, partition, bytes)
  local answer, why = call(self, topic, partition, "Produce", {
    Acks = -1, TimeoutMs = TIMEOUT_MS,
    TopicData = { {
      Name = topic, PartitionData = { { Index = partition, Records = bytes } },
    } },
  })
  if not answer then return nil, why end
  local part
  part, why = only(self, topic, answer.Responses, "PartitionResponses",
    ("append to %s/%d"):format(topic, partition))
  return part and part.BaseOffset, why
end

--- Moves the log start of a partition up to `before`.
---@async
function M:delete_records(topic, partition, before)
  local answer, why = call(self, topic, partition, "DeleteRecords", {
    TimeoutMs = TIMEOUT_MS,
    Topics = { {
      Name = topic,
      Partitions = { { PartitionIndex = partition, Offset = before } },
    } },
  })
  if not answer then return nil, why end
  local part
  part, why = only(self, topic, answer.Topics, "Partitions",
    ("delete records of %s/%d"):format(topic, partition))
  return part and true, why
end

--- A group as its coordinator describes it, whatever its protocol is for (that
-- of Connect's workers, too): { state, members = { { client_id, host } } }.
---@async
function M:group(id)
  local found, why = call_any(self, "FindCoordinator",
    { KeyType = 0, CoordinatorKeys = { id } })
  if not found then return nil, why end
  local at = found.Coordinators[1]
  if at.ErrorCode ~= 0 then
    return nil, refused(self, at.ErrorCode, "coordinator of group " .. id)
  end
  local answer
  answer, why = call_at(self, at.Host, at.Port, "DescribeGroups",
    { Groups = { id } })
  if not answer then return nil, why end
  local group = answer.Groups[1]
  if group.ErrorCode == NO_GROUP then return { state = "Dead", members = {} } end
  if group.ErrorCode ~= 0 then
    return nil, refused(self, group.ErrorCode, "group " .. id)
  end
  local members = {}
  for index, one in ipairs(group.Members) do
    members[index] = { client_id = one.ClientId, host = one.ClientHost }
  end
  return { state = group.GroupState, members = members }
end

function M:close()
  for _, conn in pairs(self._conns) do conn:close() end
  self._conns = {}
end

return M
