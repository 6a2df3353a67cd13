-- The stand-in for Strimzi's operators: that it does to Kafka resources, Secrets
-- and real brokers what a migration relies on. Strimzi's real definitions on a
-- real API server; the operators themselves are NOT Strimzi's.
local test = ...
local kafka = require "vm.kafka"
local sys = require "vm.sys"
local kube = dofile "tests/support/kube.lua"
local strimzi = dofile "tests/support/strimzi.lua"

local V = "v1beta2"
local world, operators

local function listener(name, port, kind)
  return { name = name, port = port, type = "internal", tls = true,
    authentication = { type = kind } }
end

local KAFKA = {
  version = "4.1.0", authorization = { type = "simple" },
  listeners = { listener("tls", 9093, "tls"), listener("scram", 9094, "scram-sha-512") },
  config = { ["log.retention.hours"] = 24 },
}

local function address(object, name)
  for _, one in ipairs(object.status.listeners) do
    if one.name == name then return one.bootstrapServers, one.certificates[1] end
  end
end

--- What `user` may do through a listener: calls `body(client)`.
local function as_user(t, user, name, body)
  local bootstrap, ca = address(operators:wait("kafkas", "bus", "Ready"), name)
  local secret = operators:secret(user)
  local login = name == "scram" and { protocol = "sasl_ssl", mechanism = "SCRAM-SHA-512",
    user = user, password = secret.password } or { protocol = "ssl",
    cert = secret["user.crt"], key = secret["user.key"] }
  login.bootstrap, login.ca, login.name = bootstrap, ca, "test"
  local client <close> = t.ok(kafka.open(login))
  return body(client)
end

local function topics(client)
  local names = {}
  for _, topic in ipairs(client:topics() or {}) do names[#names + 1] = topic.name end
  return table.concat(names, " ")
end

test("an API server with Strimzi's definitions, and the stand-in", function(t)
  world = kube.start { parts = { "etcd", "apiserver", "manager" }, strimzi = "0.51.0" }
  operators = strimzi.start(world, V)
  t.match(sys.read_file(operators.log), "ready")
end)

test("a Kafka gets a real broker, status and the Secrets of its authorities", function(t)
  local pool, bus = strimzi.cluster(V, "bus", KAFKA)
  world:apply { bus }
  local bad = operators:wait("kafkas", "bus", "NotReady")
  t.match(strimzi.condition(bad, "NotReady").message, "KafkaNodePool")
  t.equal(strimzi.condition(bad, "NotReady").reason, "InvalidResourceException")
  world:apply { pool }
  local made = operators:wait("kafkas", "bus", "Ready")
  t.equal(strimzi.condition(made, "NotReady"), nil)
  t.equal(#made.status.clusterId, 22)
  t.match(address(made, "tls"), "^127.0.0.1:%d+$")
  local ca = operators:secret "bus-cluster-ca-cert"
  t.equal(select(2, address(made, "tls")), ca["ca.crt"])
  t.ok(operators:secret "bus-clients-ca"["ca.key"])
  local owner = world:get("secret", "bus-cluster-ca").metadata.ownerReferences[1]
  t.equal({ owner.kind, owner.uid }, { "Kafka", made.metadata.uid })
  t.equal(operators:wait("kafkas", "bus", "Ready").status.observedGeneration, 1)
end)

test("topics are created, grown, refused", function(t)
  local function apply(partitions)
    world:apply(strimzi.of(V, "KafkaTopic", "bus", "greetings", { partitions = partitions,
      replicas = 1, config = { ["retention.ms"] = 86400000 } }))
  end
  apply(3)
  local made = operators:wait("kafkatopics", "greetings", "Ready")
  t.equal(made.metadata.finalizers, { "strimzi.io/topic-operator" })
  t.equal(#made.status.topicId, 22)
  apply(4)
  operators:wait("kafkatopics", "greetings", "Ready")
  apply(2)
  local refused = operators:wait("kafkatopics", "greetings", "Ready", "False")
  t.equal(strimzi.condition(refused, "Ready").reason, "NotSupported")
  apply(4)
  operators:wait("kafkatopics", "greetings", "Ready")
end)

test("users get Secrets that log in, with the rights of their ACLs", function(t)
  local acls = { { resource = { type = "topic", name = "greet", patternType = "prefix" },
    operations = { "Read", "DescribeConfigs" } } }
  world:apply {
    { apiVersion = "v1", kind = "Secret", metadata = { name = "old-password" },
      stringData = { word = "carried-over" } },
    strimzi.of(V, "KafkaUser", "bus", "reader", { authentication = { type = "tls" },
      authorization = { type = "simple", acls = acls },
      quotas = { producerByteRate = 1048576 } }),
    strimzi.of(V, "KafkaUser", "bus", "app", { authorization = { type = "simple", acls = acls },
      authentication = { type = "scram-sha-512", password = { valueFrom = {
        secretKeyRef = { name = "old-password", key = "word" } } } } }),
  }
  local user = operators:wait("kafkausers", "reader", "Ready")
  t.equal({ user.status.username, user.status.secret }, { "CN=reader", "reader" })
  t.equal(operators:wait("kafkausers", "app", "Ready").status.username, "app")
  t.equal(operators:secret "app".password, "carried-over")
  as_user(t, "reader", "tls", function(client)
    t.equal(topics(client), "greetings")
    local made = client:create_topics { { name = "mine", partitions = 1, replication = 1 } }
    t.equal(made and made[1].err and made[1].err.kind, "denied")
  end)
  as_user(t, "app", "scram", function(client) t.equal(topics(client), "greetings") end)
end)

test("a new listener and a superuser, without a pause; addresses stay", function(t)
  local before = address(operators:wait("kafkas", "bus", "Ready"), "tls")
  KAFKA.listeners[3] = { name = "external", port = 9095, type = "route", tls = true,
    authentication = { type = "tls" } }
  KAFKA.authorization.superUsers = { "CN=reader" }
  local _, bus = strimzi.cluster(V, "bus", KAFKA)
  world:apply { bus }
  local made = operators:wait("kafkas", "bus", "Ready")
  t.equal(made.metadata.generation, 2)
  t.equal(address(made, "tls"), before)
  local _, starts = sys.read_file(operators.log):gsub("the broker was started", "")
  t.equal(starts, 1)
  as_user(t, "reader", "external", function(client)
    t.equal((client:create_topics { { name = "mine", partitions = 1, replication = 1 } })[1].err,
      nil)
    t.match(topics(client), "mine")
  end)
end)

test("asked to misbehave: wrong, silent, paused", function(t)
  local function annotate(text)
    world:kubectl("annotate", "kafkauser", "reader", "--overwrite", text)
  end
  annotate "stand-in/fails=KafkaError: the broker is tired"
  local seen = strimzi.condition(operators:wait("kafkausers", "reader", "NotReady"), "NotReady")
  t.equal({ seen.reason, seen.message }, { "KafkaError", "the broker is tired" })
  annotate "stand-in/fails-"
  operators:wait("kafkausers", "reader", "Ready")
  annotate "strimzi.io/pause-reconciliation=true"
  operators:wait("kafkausers", "reader", "ReconciliationPaused")
  local mute = strimzi.of(V, "KafkaTopic", "bus", "mute", { partitions = 1, replicas = 1 })
  mute.metadata.annotations = { ["stand-in/silent"] = "true" }
  world:apply { mute, strimzi.of(V, "KafkaTopic", "nobody", "lost", { partitions = 1 }),
    strimzi.of(V, "KafkaTopic", "bus", "after", { partitions = 1 }) }
  operators:wait("kafkatopics", "after", "Ready")
  t.equal(world:get("kafkatopic", "mute").status, nil)
  t.equal(world:get("kafkatopic", "lost").status, nil, "a label of no cluster")
end)

test("deletion: a topic goes with its resource, an unmanaged one stays", function(t)
  world:kubectl("annotate", "kafkatopic", "after", "strimzi.io/managed=false")
  operators:wait("kafkatopics", "after", "Unmanaged")
  world:kubectl("delete", "kafkatopic", "after", "greetings", "--timeout=60s")
  as_user(t, "reader", "external", function(client)
    local left = topics(client)
    t.ok(left:find "after" and not left:find "greetings", left)
  end)
  world:kubectl("delete", "kafkauser", "app", "--timeout=60s")
  as_user(t, "reader", "external", function(client)
    world:wait_for("end of the SCRAM user", function()
      local users = t.ok(client:users())
      return #users == 0
    end)
    t.equal(client:acls { principal = "User:app" }, {})
  end)
end)

test("everything ends, brokers too", function(t)
  local host, port = address(operators:wait("kafkas", "bus", "Ready"), "tls"):match "(.*):(.*)"
  operators:stop()
  t.equal(sys.probe_tcp(host, math.tointeger(tonumber(port)), 1000), nil)
  world:stop()
end)
