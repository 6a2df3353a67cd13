-- Every message of the table, called on a real broker, in every version that
-- both know; and what a connection refuses.
local test = ...
local task = require "vm.task"
local wire = require "vm.wire"
local broker = dofile "tests/support/broker.lua"
local check = broker.check

-- Calls that are safe in any version the broker offers: name -> fields for a
-- version. Messages that need a state of their own have cases below.
local calls = {
  ApiVersions = function(v)
    return v >= 3 and { ClientSoftwareName = "tranship",
      ClientSoftwareVersion = "1" } or {}
  end,
  Metadata = function() return { Topics = { { Name = "t" } } } end,
  DescribeCluster = function() return {} end,
  DescribeTopicPartitions = function()
    return { Topics = { { Name = "t" } }, ResponsePartitionLimit = 10 }
  end,
  DescribeLogDirs = function()
    return { Topics = { { Topic = "t", Partitions = { 0 } } } }
  end,
  DescribeClientQuotas = function()
    return { Components = { { EntityType = "client-id", MatchType = 2 } } }
  end,
  ListOffsets = function()
    return { ReplicaId = -1, Topics = { { Name = "t", Partitions = {
      { PartitionIndex = 0, Timestamp = -1 } } } } }
  end,
  OffsetForLeaderEpoch = function(v)
    return { ReplicaId = v >= 3 and -2 or nil, Topics = { { Topic = "t",
      Partitions = { { Partition = 0, LeaderEpoch = 0 } } } } }
  end,
  DescribeProducers = function()
    return { Topics = { { Name = "t", PartitionIndexes = { 0 } } } }
  end,
  DescribeTransactions = function()
    return { TransactionalIds = { "nobody" } }
  end,
  ListTransactions = function() return {} end,
  FindCoordinator = function(v)
    return v >= 4 and { CoordinatorKeys = { "g" } } or { Key = "g" }
  end,
  ListGroups = function() return {} end,
  DescribeGroups = function() return { Groups = { "g" } } end,
  ConsumerGroupDescribe = function() return { GroupIds = { "g" } } end,
  OffsetFetch = function(v)
    if v >= 8 then return { Groups = { { GroupId = "g" } } } end
    return { GroupId = "g", Topics = v < 2 and {} or nil }
  end,
  InitProducerId = function() return { TransactionTimeoutMs = 1000 } end,
  AlterClientQuotas = function()
    return { ValidateOnly = true, Entries = { { Entity = { {
      EntityType = "client-id", EntityName = "c" } }, Ops = { {
      Key = "producer_byte_rate", Value = 2.5e6 } } } } }
  end,
}

local function versions(conn)
  local answer = check(conn:call("ApiVersions", calls.ApiVersions(3)))
  local offered = {}
  for _, api in ipairs(answer.ApiKeys) do
    offered[api.ApiKey] = { api.MinVersion, api.MaxVersion }
  end
  return offered
end

local function offset_of(conn, at, isolation)
  local answer = check(conn:call("ListOffsets", { ReplicaId = -1,
    IsolationLevel = isolation or 0, Topics = { { Name = "t", Partitions = {
      { PartitionIndex = 0, Timestamp = at } } } } }))
  return answer.Topics[1].Partitions[1].Offset
end

local function produce(conn, version, topic, records, id)
  local answer = check(conn:call("Produce", { TransactionalId = id, Acks = -1,
    TimeoutMs = 10000, TopicData = { {
      Name = version < 13 and "t" or nil,
      TopicId = version >= 13 and topic.TopicId or nil,
      PartitionData = { { Index = 0, Records = records } } } } },
    { version = version }))
  return answer.Responses[1].PartitionResponses[1]
end

-- A coordinator may be made only now, or still be busy.
local function patient(conn, name, fields, options, code_of)
  for _ = 1, 300 do
    local answer = check(conn:call(name, fields, options))
    local code = code_of(answer)
    if code == 0 then return answer end
    local err = wire.error(code, name .. " v"
      .. (options and options.version or "?"))
    if not err.retriable then error(err, 0) end
    task.sleep(20)
  end
  error(name .. " stayed unavailable", 0)
end

local function error_code(answer) return answer.ErrorCode or 0 end

local function check_reads(t, conn, offered)
  local all, called = wire.messages(), 0
  for name, fields in pairs(calls) do
    local msg = all[name]
    local range = t.ok(offered[msg.key], name .. " is not offered")
    t.ok(msg.version >= range[1] and msg.version <= range[2],
      name .. ": our version is not the broker's")
    for v = math.max(msg.min, range[1]), math.min(msg.max, range[2]) do
      patient(conn, name, fields(v), { version = v }, error_code)
      called = called + 1
    end
  end
  t.ok(called > 50)
end

local function check_fields(t, conn, topic)
  t.equal(#topic.TopicId, 22)
  local meta = check(conn:call("Metadata", { Topics = { {
    TopicId = topic.TopicId } } }))
  t.equal(meta.Topics[1].Name, "t")
  t.equal(meta.Topics[1].TopicId, topic.TopicId)
  t.equal(#meta.Topics[1].Partitions, 1)
  t.equal(meta.Brokers[1].Host, "127.0.0.1")
  t.equal(#check(conn:call("Metadata", {})).Brokers, 1) -- nil topics: all
  local described = check(conn:call("ConsumerGroupDescribe",
    { GroupIds = { "g" } }))
  t.equal(described.Groups[1].GroupId, "g")
  t.equal(wire.error_name(described.Groups[1].ErrorCode), "GROUP_ID_NOT_FOUND")
  local dirs = check(conn:call("DescribeLogDirs", {}))
  t.ok(dirs.Results[1].Topics[1].Partitions[1].PartitionSize)
end

local function check_log(t, conn, topic, offered)
  local range = offered[0]
  local sent = 0
  for v = math.max(3, range[1]), math.min(13, range[2]) do
    local answer = produce(conn, v, topic, broker.batch {
      { key = "k", value = "v" .. v, timestamp = 1700000000000 },
      { value = "w", timestamp = 1700000000001 } })
    t.equal(answer.ErrorCode, 0, "Produce v" .. v)
    t.equal(answer.BaseOffset, sent)
    sent = sent + 2
  end
  t.equal(offset_of(conn, -1), sent)
  local bytes
  for v = 4, math.min(18, offered[1][2]) do
    local answer = check(conn:call("Fetch", { MaxWaitMs = 100, MinBytes = 1,
      IsolationLevel = 1, Topics = { {
        Topic = v < 13 and "t" or nil,
        TopicId = v >= 13 and topic.TopicId or nil,
        Partitions = { { Partition = 0, FetchOffset = 0,
          PartitionMaxBytes = 1 << 20 } } } } }, { version = v }))
    local part = answer.Responses[1].Partitions[1]
    t.equal(part.ErrorCode, 0, "Fetch v" .. v)
    t.equal(part.LastStableOffset, sent)
    t.equal(#part.Records, bytes or #part.Records)
    bytes = #part.Records
  end
  local bad = broker.batch { { value = "x" } }
  bad = bad:sub(1, -2) .. "\1" -- headers: one, and then nothing
  local answer = produce(conn, 9, topic, bad)
  t.equal(wire.error_name(answer.ErrorCode), "CORRUPT_MESSAGE")
end

local function check_markers(t, conn)
  local before = offset_of(conn, -1)
  local id = check(conn:call("InitProducerId", { TransactionTimeoutMs = 1000 }))
  for v = 1, 2 do
    local answer = check(conn:call("WriteTxnMarkers", { Markers = { {
      ProducerId = id.ProducerId, ProducerEpoch = id.ProducerEpoch + v,
      TransactionResult = true,
      Topics = { { Name = "t", PartitionIndexes = { 0 } } } } } },
      { version = v }))
    t.equal(answer.Markers[1].Topics[1].Partitions[1].ErrorCode, 0)
  end
  t.equal(offset_of(conn, -1), before + 2)
  local answer = check(conn:call("DescribeProducers", { Topics = { {
    Name = "t", PartitionIndexes = { 0 } } } }))
  local found
  for _, p in ipairs(answer.Topics[1].Partitions[1].ActiveProducers) do
    if p.ProducerId == id.ProducerId then found = p end
  end
  t.equal(t.ok(found).ProducerEpoch, id.ProducerEpoch + 2)
  t.equal(found.LastSequence, -1)
end

local function check_transaction(t, conn, topic)
  patient(conn, "FindCoordinator", { KeyType = 1, CoordinatorKeys = { "tx" } },
    nil, function(answer) return answer.Coordinators[1].ErrorCode end)
  local id = patient(conn, "InitProducerId", { TransactionalId = "tx",
    TransactionTimeoutMs = 20000 }, nil, error_code)
  local before = offset_of(conn, -1)
  patient(conn, "AddPartitionsToTxn", { V3AndBelowTransactionalId = "tx",
    V3AndBelowProducerId = id.ProducerId,
    V3AndBelowProducerEpoch = id.ProducerEpoch,
    V3AndBelowTopics = { { Name = "t", Partitions = { 0 } } } }, nil,
    function(answer)
      return answer.ResultsByTopicV3AndBelow[1].ResultsByPartition[1]
        .PartitionErrorCode
    end)
  local sent = produce(conn, 9, topic, broker.batch({ { value = "in tx" } }, {
    pid = id.ProducerId, epoch = id.ProducerEpoch, sequence = 0,
    transactional = true }), "tx")
  t.equal(sent.ErrorCode, 0)
  t.equal(offset_of(conn, -1, 1), before) -- the last stable offset
  local states = check(conn:call("DescribeTransactions",
    { TransactionalIds = { "tx" } })).TransactionStates
  t.equal(states[1].TransactionState, "Ongoing")
  t.equal(states[1].ProducerId, id.ProducerId)
  local listed = check(conn:call("ListTransactions",
    { StateFilters = { "Ongoing" } })).TransactionStates
  t.equal(listed[1].TransactionalId, "tx")
  -- Version 5 answers with the next epoch (where the cluster has it).
  local ended = patient(conn, "EndTxn", { TransactionalId = "tx",
    ProducerId = id.ProducerId, ProducerEpoch = id.ProducerEpoch,
    Committed = true }, { version = 5 }, error_code)
  t.equal(ended.ProducerEpoch, id.ProducerEpoch + 1)
  for _ = 1, 200 do
    if offset_of(conn, -1, 1) == before + 2 then return end
    task.sleep(20)
  end
  t.fail("the transaction did not end")
end

local function check_delete(t, conn)
  local answer = check(conn:call("DeleteRecords", { TimeoutMs = 10000,
    Topics = { { Name = "t", Partitions = { { PartitionIndex = 0,
      Offset = 3 } } } } }))
  local part = answer.Topics[1].Partitions[1]
  t.equal(part.ErrorCode, 0)
  t.equal(part.LowWatermark, 3)
  t.equal(offset_of(conn, -2), 3)
end

-- One member alone: joined, synced, alive, gone; in every version.
local function check_group(t, conn, offered)
  local function last(key, most) return math.min(most, offered[key][2]) end
  for step = 0, 7 do
    local v = math.min(2 + step, last(11, 9))
    local function join(id)
      return check(conn:call("JoinGroup", { GroupId = "alone",
        SessionTimeoutMs = 10000, RebalanceTimeoutMs = 10000, MemberId = id,
        ProtocolType = "mine", Protocols = { { Name = "p", Metadata = "m" } } },
        { version = v }))
    end
    local joined = join ""
    if wire.error_name(joined.ErrorCode) == "MEMBER_ID_REQUIRED" then
      joined = join(joined.MemberId)
    end
    t.equal(joined.ErrorCode, 0, "JoinGroup v" .. v)
    t.equal({ joined.Leader, #joined.Members, joined.Members[1].Metadata },
      { joined.MemberId, 1, "m" })
    local me = { GroupId = "alone", GenerationId = joined.GenerationId,
      MemberId = joined.MemberId }
    local beat = math.min(1 + step, last(12, 4))
    local sync = math.min(1 + step, last(14, 5))
    local synced = check(conn:call("SyncGroup", { GroupId = "alone",
      GenerationId = joined.GenerationId, MemberId = joined.MemberId,
      ProtocolType = sync >= 5 and "mine" or nil,
      ProtocolName = sync >= 5 and "p" or nil, Assignments = { {
        MemberId = joined.MemberId, Assignment = "yours" } } },
      { version = sync }))
    t.equal({ synced.ErrorCode, synced.Assignment }, { 0, "yours" })
    t.equal(check(conn:call("Heartbeat", me, { version = beat })).ErrorCode, 0)
    local left = check(conn:call("LeaveGroup", { GroupId = "alone",
      Members = { { MemberId = joined.MemberId } } },
      { version = math.min(3 + step, last(13, 5)) }))
    t.equal({ left.ErrorCode, left.Members[1].ErrorCode }, { 0, 0 })
    t.equal(wire.error_name(check(conn:call("Heartbeat", me)).ErrorCode),
      "UNKNOWN_MEMBER_ID")
  end
end

local function check_refusals(t, b)
  local conn <close> = b:connect { read_only = true }
  t.fails("read only", conn:call("DeleteRecords", { TimeoutMs = 1 }))
  t.fails("read only", conn:call("InitProducerId"))
  t.fails("read only", conn:call("WriteTxnMarkers"))
  t.ok(conn:call("Metadata", {}))
  t.raises("no message 'Metdata'", conn.call, conn, "Metdata")
  t.raises("no field 'Topic'", conn.call, conn, "Metadata",
    { Topic = {} })
  t.raises("Name is a string, not a number", conn.call, conn, "Metadata",
    { Topics = { { Name = 5 } } })
  t.raises("Topics is a table, not a string", conn.call, conn, "Metadata",
    { Topics = "t" })
  t.raises("AllowAutoTopicCreation is never asked for", conn.call, conn,
    "Metadata", { AllowAutoTopicCreation = true })
  t.raises("an id of 22 characters", conn.call, conn, "Metadata",
    { Topics = { { TopicId = "short" } } })
  t.raises("versions 0 to", conn.call, conn, "Metadata", {}, { version = 99 })
  t.raises("is out of its range", conn.call, conn, "ListOffsets",
    { ReplicaId = 1 << 40 })
  t.raises("unknown option", conn.call, conn, "Metadata", {}, { verson = 1 })
  conn:close()
  t.raises("closed", conn.call, conn, "Metadata")
end

local function check_together(t, conn)
  local at_once = {}
  for i = 1, 50 do
    at_once[i] = function()
      local v = i % 4
      return conn:call("ApiVersions", calls.ApiVersions(v), { version = v })
    end
  end
  local results = check(task.together(at_once))
  for i = 1, 50 do
    t.equal(results[i].ErrorCode, 0)
    t.equal(results[i].ThrottleTimeMs ~= nil, i % 4 > 0) -- its own answer
  end
end

--- An answer whose mark is known is not opened; another one is.
local function check_marks(t, conn, topic)
  local asked = { Topics = { { Name = topic } } }
  local answer, mark = conn:call("Metadata", asked, { unless = 0 })
  t.equal({ #answer.Topics, math.type(mark) }, { 1, "integer" })
  t.equal({ conn:call("Metadata", asked, { unless = mark }) }, { false, mark })
  local other, its_mark = conn:call("Metadata", {}, { unless = mark })
  t.ok(#other.Topics > 0 and its_mark ~= mark)
  t.equal(select("#", conn:call("Metadata", asked)), 1)
end

test("every message does its work on a real broker", function(t)
  broker.with(function(b)
    local conn <close> = b:connect()
    local offered = versions(conn)
    local topic = b:topic("t", 1)
    patient(conn, "FindCoordinator", { CoordinatorKeys = { "g" } }, nil,
      function(answer) return answer.Coordinators[1].ErrorCode end)
    task.sleep(200)
    check_together(t, conn)
    check_marks(t, conn, "t")
    check_reads(t, conn, offered)
    check_fields(t, conn, topic)
    check_log(t, conn, topic, offered)
    check_markers(t, conn)
    check_transaction(t, conn, topic)
    check_delete(t, conn)
    check_group(t, conn, offered)
    check_refusals(t, b)
  end)
end)

test("nobody there is an answer, mistakes raise", function(t)
  local lost <close> = wire.connect { host = "127.0.0.1", port = 1 }
  local err = t.fails("unavailable", lost:call("Metadata"))
  t.match(err, "refused")
  t.ok(err.retriable)
  t.raises("host is missing", wire.connect, { port = 1 })
  t.raises("port is missing", wire.connect, { host = "x" })
  t.equal(wire.error(45, "batch").kind, "conflict")
  t.match(wire.error(45, "batch"), "OUT_OF_ORDER_SEQUENCE_NUMBER")
  t.equal(wire.error_name(31), "CLUSTER_AUTHORIZATION_FAILED")
end)
