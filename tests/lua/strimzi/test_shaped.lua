-- Resources derived from a source: a plain one, one of Strimzi's; what is left
-- behind is named.
local test = ...
local json = require "vm.json"
local config = require "strimzi.shaped_config"
local kafka = require "strimzi.shaped_kafka"
local pools_of = require "strimzi.shaped_pools"
local topics = require "strimzi.topic"
local users = require "strimzi.shaped_users"

local function target(more)
  local made = { name = "bus", version = "v1", namespace = "kafka", serves = {}, classes = {},
    pool = { storage = { type = "ephemeral" } } }
  for key, value in pairs(more or {}) do made[key] = value end
  return made
end

local function static(value) return { value = value, source = "static" } end

local function plain(more)
  local settings = {
    ["message.max.bytes"] = static "5000000", ["log.segment.bytes"] = static "100000",
    ["log.message.format.version"] = static "2.8", ["listeners"] = static "PLAINTEXT://x:9092",
    ["super.users"] = static "User:CN=admin;User:ANONYMOUS",
    ["authorizer.class.name"] = static "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    ["log.retention.ms"] = { value = "1", source = "default" },
  }
  local other = {}
  for key, value in pairs(settings) do other[key] = value end
  other["num.io.threads"] = static "8"
  settings["num.io.threads"] = static "4"
  local made = { name = "old", brokers = { { id = 1 }, { id = 2 } }, users = {}, acls = {},
    settings = { ["1"] = settings, ["2"] = other } }
  for key, value in pairs(more or {}) do made[key] = value end
  return made
end

local function has(t, notes, pattern)
  for _, note in ipairs(notes) do
    if note:find(pattern) then return end
  end
  t.fail("no note has " .. pattern .. ": " .. table.concat(notes, "; "))
end

test("of a plain cluster: what its brokers say, and what they cannot", function(t)
  local notes, conflicts = {}, {}
  local source = plain { users = { { name = "app" } },
    acls = { { principal = "User:CN=streams" } } }
  local made = kafka.kafka(source, target(), notes)
  t.equal(made.apiVersion, "kafka.strimzi.io/v1")
  t.equal(made.spec.kafka.config, { ["message.max.bytes"] = "5000000",
    ["log.segment.bytes"] = 1048576 })
  t.equal(made.spec.kafka.authorization, { type = "simple",
    superUsers = json.array { "CN=admin" } })
  local listeners = {}
  for i, one in ipairs(made.spec.kafka.listeners) do
    listeners[i] = one.name .. " " .. one.authentication.type
  end
  t.equal(listeners, { "tls tls", "scram scram-sha-512" })
  has(t, notes, "log.message.format.version is not carried: Kafka 4 has one record format")
  has(t, notes, "log.segment.bytes = 100000 becomes 1048576")
  has(t, notes, "num.io.threads is not carried: brokers . and . differ")
  has(t, notes, "metadata version is not carried: it goes up only")
  local pools = pools_of.pools(source, target(), notes, conflicts)
  t.equal({ pools[1].spec.replicas, pools[1].spec.roles, #conflicts },
    { 2, { "controller", "broker" }, 0 })
  t.equal(pools_of.brokers(pools), 2)
  local blind = target()
  blind.pool = nil
  pools_of.pools(source, blind, notes, conflicts)
  t.match(conflicts[1], "give pool = { storage")
end)

local function strimzis()
  return plain {
    resource = { spec = { kafka = { version = "3.9.0", metadataVersion = "3.9-IV0",
      listeners = {
        { name = "tls", port = 9093, type = "internal", tls = true,
          authentication = { type = "tls" } },
        { name = "external", port = 9094, type = "route", tls = true,
          configuration = { bootstrap = { host = "x" } } },
        { name = "sso", port = 9095, type = "internal", tls = true,
          authentication = { type = "oauth" } } },
      config = { ["min.insync.replicas"] = 2, ["inter.broker.protocol.version"] = "3.9" },
      authorization = { type = "simple", superUsers = { "CN=admin" } },
      metricsConfig = {} },
      entityOperator = { topicOperator = { reconciliationIntervalSeconds = 90 } },
      clusterCa = { generateCertificateAuthority = false, validityDays = 30 } },
      status = { kafkaMetadataVersion = "3.9-IV0" } },
    pools = { { metadata = { name = "brokers" }, spec = { replicas = 3, roles = { "broker" },
      storage = { type = "jbod", volumes = { { id = 0, type = "persistent-claim",
        size = "10Gi", class = "gp2" } } } } },
      { metadata = { name = "controllers" }, spec = { replicas = 3, roles = { "controller" },
        storage = { type = "ephemeral" } } } },
  }
end

test("of a Kafka resource: what fits the other platform", function(t)
  local notes, conflicts = {}, {}
  local there = target { classes = { standard = true }, listener = "external" }
  there.pool = nil
  local made = kafka.kafka(strimzis(), there, notes)
  t.equal(#made.spec.kafka.listeners, 1)
  has(t, notes, "listener external is not carried: bus serves no Route")
  has(t, notes, "listener sso is not carried: its authentication is oauth")
  has(t, notes, "inter.broker.protocol.version is not carried")
  has(t, notes, "metadata version 3.9%-IV0 is not carried")
  has(t, notes, "clusterCa is not carried: its key is brought by hand")
  has(t, notes, "spec.kafka.metricsConfig is not carried")
  t.equal({ made.spec.kafka.version, made.spec.kafka.metadataVersion }, {})
  t.equal(made.spec.entityOperator, { topicOperator = { reconciliationIntervalMs = 90000 } })
  t.equal(made.spec.clusterCa, { validityDays = 30 })
  kafka.check(made, there, conflicts)
  t.match(conflicts[1], 'listener = "external", and would have tls')
  local pools = pools_of.pools(strimzis(), there, notes, conflicts)
  t.equal(pools[1].spec.storage.volumes[1], { id = 0, type = "persistent-claim", size = "10Gi" })
  has(t, notes, "storage class gp2 is not there")
  t.equal(pools_of.brokers(pools), 3)
  made = kafka.kafka(strimzis(), target { serves = { Route = true },
    over = { config = { extra = 1 } } }, {})
  t.equal(#made.spec.kafka.listeners, 2)
  t.equal(made.spec.kafka.config, { ["min.insync.replicas"] = 2, extra = 1 })
end)

local function rule(more)
  local made = { resource_type = "topic", name = "apps.", pattern = "prefixed", host = "*",
    principal = "User:app", operation = "read", permission = "allow" }
  for key, value in pairs(more) do made[key] = value end
  return made
end

test("users out of ACLs and passwords", function(t)
  local notes, there = {}, target { authorization = { type = "simple" } }
  local made = users.of_cluster(plain {
    users = { { name = "app" }, { name = "Big_App" } },
    acls = { rule {}, rule { operation = "describe_configs" },
      rule { resource_type = "cluster", name = "kafka-cluster", pattern = "literal",
        operation = "describe" },
      rule { permission = "deny", host = "10.0.0.1" },
      rule { resource_type = "delegation_token", name = "t" },
      rule { principal = "User:CN=streams" }, rule { principal = "User:*" },
      rule { principal = "User:CN=x,O=y" }, rule { principal = "User:ghost" } },
  }, there, notes)
  local names = {}
  for i, one in ipairs(made) do names[i] = one.metadata.name end
  t.equal(names, { "app", "ghost", "streams" })
  t.equal(made[1].spec.authentication, { type = "scram-sha-512" })
  t.equal(made[3].spec.authentication, { type = "tls" })
  local rules = made[1].spec.authorization.acls
  t.equal(rules[1], { resource = { type = "cluster" }, operations = { "Describe" } })
  t.equal(rules[2].operations, { "DescribeConfigs", "Read" })
  t.equal(rules[2].resource, { type = "topic", name = "apps.", patternType = "prefix" })
  t.equal({ rules[3].type, rules[3].host }, { "deny", "10.0.0.1" })
  has(t, notes, "user app: its password is not carried")
  has(t, notes, "user streams: its certificate is not carried")
  has(t, notes, "a KafkaUser has no resource type delegation_token")
  has(t, notes, "User:Big_App is not carried: Kubernetes takes no such name")
  has(t, notes, "User:%* is not carried: it is everybody")
  has(t, notes, "User:CN=x,O=y is not carried: its certificate says more")
  has(t, notes, "user ghost: nobody knows how it logs in")
  made = users.of_cluster(plain { acls = { rule {} } }, target(), notes)
  t.equal(made[1].spec.authorization, nil)
  has(t, notes, "user app: its ACLs are not carried: the target has no authorization")
end)

test("users out of KafkaUsers", function(t)
  local notes = {}
  local made = users.of_resources({ { metadata = { name = "app",
    labels = { ["strimzi.io/cluster"] = "old", team = "a" } },
    spec = { authentication = { type = "scram-sha-512", password = { valueFrom = {} } },
      quotas = { producerByteRate = 1 }, authorization = { type = "simple", acls = { {
        resource = { type = "topic", name = "x" }, operation = "Read" } } } } } },
    target { authorization = { type = "simple" } }, notes)
  t.equal(made[1].metadata.labels, { ["strimzi.io/cluster"] = "bus", team = "a" })
  t.equal(made[1].spec, { authentication = { type = "scram-sha-512" },
    quotas = { producerByteRate = 1 }, authorization = { type = "simple", acls = { {
      resource = { type = "topic", name = "x" }, operations = { "Read" } } } } })
  has(t, notes, "user app: its password is not carried")
end)

test("names that Kubernetes takes", function(t)
  t.equal(topics.object_name "apps.greetings", "apps.greetings")
  t.match(topics.object_name "Apps_Greetings", "^apps%-greetings%-%x+$")
  t.match(topics.object_name "__x", "^x%-%x+$")
  t.match(topics.object_name "a..b", "^a%.b%-%x+$")
  t.ok(topics.object_name "A" ~= topics.object_name "a_")
  for _, name in ipairs { "Apps_Greetings", "__", "a.-b", "x-.y", "_", "..." } do
    t.ok(users.is_name(topics.object_name(name)), topics.object_name(name))
  end
end)

test("settings of topics", function(t)
  local notes = {}
  t.equal(config.of_topic({ ["retention.ms"] = "5", ["message.format.version"] = "2.8",
    ["min.insync.replicas"] = "3" }, 1, function(...) notes[#notes + 1] = (...):format(
    select(2, ...)) end), { ["retention.ms"] = "5" })
  t.equal(#notes, 2)
end)
