-- KafkaMirrorMaker2 in both layouts, and what is said about bad ones.
local test = ...
local json = require "vm.json"
local lint = require "strimzi.mirror_maker_lint"
local maker = require "strimzi.mirror_maker"

local function spec(version)
  return {
    name = "road", version = version, topics = "apps\\..*", groups = ".*", tasks = 4,
    largest_record = 5000000, replicas = 2,
    source = { alias = "old", bootstrap = "old:443", ca = "old-ca",
      login = { type = "tls", secret = "migration" } },
    target = { alias = "new", bootstrap = "new:9093", ca = "bus-cluster-ca-cert",
      login = { type = "scram-sha-512", secret = "mm", user = "mm" } },
  }
end

local function texts(resource, world, level)
  local out = {}
  for _, one in ipairs(lint.findings(resource, world)) do
    if not level or one.level == level then out[#out + 1] = one.rule .. ": " .. one.text end
  end
  return table.concat(out, "\n")
end

test("both layouts say the same", function(t)
  local new, old = maker.resource(spec "v1"), maker.resource(spec "v1beta2")
  t.equal(new.spec.target.groupId, "road-mirrormaker2")
  t.equal(new.spec.target.offsetStorageTopic, "__road-mirrormaker2-offsets")
  t.equal(new.spec.mirrors[1].source.authentication.certificateAndKey.secretName, "migration")
  t.equal(old.spec.connectCluster, "new")
  t.equal(old.spec.clusters[2].config["offset.storage.topic"], "__road-mirrormaker2-offsets")
  t.equal(old.spec.mirrors[1].sourceCluster, "old")
  local one, two = maker.flows(new)[1], maker.flows(old)[1]
  for _, field in ipairs { "group", "storage", "connectors", "topics", "tasks", "connect" } do
    t.equal(one[field], two[field], field)
  end
  t.equal(new.spec.mirrors[1].sourceConnector.config["replication.policy.class"],
    new.spec.mirrors[1].checkpointConnector.config["replication.policy.class"])
end)

test("what is generated has no finding", function(t)
  local world = { topics = { "apps.a" }, partitions = 12, largest_record = 5000000, brokers = 1,
    topic_operator = true, user_operator = true }
  for _, version in ipairs { "v1", "v1beta2" } do
    t.equal(texts(maker.resource(spec(version)), world), "")
  end
  t.equal({ lint.staleness(maker.flows(maker.resource(spec "v1"))[1]) }, { 130, 190 })
end)

--- The resource of the blog post's demo, as far as it matters here.
local function demo()
  return { spec = { connectCluster = "target", clusters = {
    { alias = "source", bootstrapServers = "s:443",
      config = { ["config.storage.replication.factor"] = 3 } },
    { alias = "target", bootstrapServers = "t:9092", config = {} } },
    mirrors = { { sourceCluster = "source", targetCluster = "target",
      topicsPattern = ".*", groupsBlacklistPattern = "x",
      sourceConnector = { tasksMax = 1, config = {
        ["replication.policy.separator"] = "", ["sync.topic.acls.enabled"] = "true",
        ["replication.policy.class"] = "io.strimzi.kafka.connect.mirror.IdentityReplicationPolicy",
        ["replication.factor"] = 3, ["add.source.alias.to.metrics"] = true } },
      checkpointConnector = { config = {} } } } } }
end

test("the demo's own resource: everything at once", function(t)
  local said = texts(demo(), { largest_record = 52428800, partitions = 26, brokers = 1,
    topics = { "apps.heartbeats" }, topic_operator = true, user_operator = true })
  for _, pattern in ipairs {
    "shared: replication.policy.class is io.strimzi",
    "shared: replication.policy.separator is  on the source connector and not set",
    "policy: Source connector: io.strimzi.*went away with Strimzi 0.46",
    "removed: Source connector: Kafka 4 has no add.source.alias.to.metrics",
    "removed: groupsBlacklistPattern is gone: it is groupsExcludePattern",
    "offsets: sync.group.offsets.enabled is not true",
    "isolation: consumer.isolation.level is not read_committed",
    "size: a topic takes records of 52428800 bytes, and the copy's producer 1048576",
    "operators: sync.topic.configs.enabled must be false",
    "operators: sync.topic.acls.enabled must be false",
    "names: topic apps.heartbeats ends in heartbeats",
    "connect: topicsPattern %.%* also takes mirrormaker2%-cluster%-configs",
    "connect: config.storage.replication.factor on the source's config does nothing",
    "replicas: replication.factor is 3, and target has 1 brokers",
    "replicas: one task copies 26 partitions",
  } do t.match(said, pattern) end
end)

test("each rule by itself", function(t)
  local function with(change, world, level)
    local made = maker.resource(spec "v1")
    change(made.spec.mirrors[1], made.spec)
    return texts(made, world, level)
  end
  t.match(with(function(m) m.checkpointConnector = nil end), "no group's offsets arrive")
  t.match(with(function(m) m.sourceConnector.config["emit.offset-syncs.enabled"] = false end),
    "nothing to translate by")
  t.match(with(function(m) m.checkpointConnector.config["emit.checkpoints.enabled"] = "false" end),
    "no offsets are translated")
  t.match(with(function(m) m.checkpointConnector.config["offset-syncs.topic.location"] = nil end),
    "offset%-syncs.topic.location is target on the source connector and not set")
  t.match(with(function(m) m.sourceConnector.config["exactly.once.support"] = "required" end, {},
    "error"), "needs exactly.once.source.support")
  t.match(with(function(m) m.source.alias = "new" end), "one alias, new")
  t.match(with(function(_, s) s.target.statusStorageTopic = s.target.configStorageTopic end),
    "for two purposes")
  t.match(with(function(_, s)
    local back = json.decode(json.encode(s.mirrors[1]))
    back.source.alias = "new"
    s.mirrors[2] = back
  end), "one alias")
  local names = maker.names "road"
  t.match(with(function() end, { others = { { name = "KafkaConnect x", bootstrap = "new:9093",
    group = names.group, storage = { offset = names.offset } } } }),
    "KafkaConnect x has the group road%-mirrormaker2, too.*keeps its offsets in")
  t.equal(with(function() end, { others = { { name = "x", bootstrap = "elsewhere:9093",
    group = names.group, storage = { offset = names.offset } } } }), "")
  local both = demo()
  both.spec.mirrors[2] = { sourceCluster = "target", targetCluster = "source" }
  t.match(texts(both), "copied in both directions under one name")
  t.match(texts(both), "its Connect lives on target, and it copies to source")
end)
