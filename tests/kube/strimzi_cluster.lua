-- cluster { strimzi = ... }: addresses, certificates and credentials from the
-- resources of a real API server, used against a real broker. Strimzi's
-- operators are the stand-in of tests/world/strimzi.
local test = ...
local sys = require "vm.sys"
local face = require "strimzi.face"
local kubernetes = require "kube.kubernetes"
local kube = dofile "tests/support/kube.lua"
local strimzi = dofile "tests/support/strimzi.lua"

local V = "v1beta2"
local world, operators

local function listener(name, port, kind, tls, authentication)
  return { name = name, port = port, type = kind, tls = tls,
    authentication = authentication and { type = authentication } or nil }
end

local KAFKA = {
  version = "4.1.0",
  authorization = { type = "simple", superUsers = { "mover", "CN=reader" } },
  listeners = {
    listener("plain", 9092, "internal", false),
    listener("tls", 9093, "internal", true, "tls"),
    listener("external", 9094, "nodeport", true, "scram-sha-512"),
  },
}

--- A cluster of these fields; close it.
local function cluster(fields)
  fields.name, fields.strimzi = "source", fields.strimzi or "bus"
  fields.on = kubernetes.new { name = "ocp", kubeconfig = world.kubeconfig }
  local made = face.new(fields)
  return setmetatable({}, { __index = made, __close = function()
    made:close()
    fields.on:close()
  end })
end

--- The err that a cluster of these fields has for whoever wants in.
local function refused(t, fields)
  local source <close> = cluster(fields)
  local brokers, why = source:brokers()
  t.equal(brokers, nil)
  return tostring(why), why
end

test("an API server with Strimzi's definitions, the stand-in, a Kafka", function(t)
  world = kube.start { parts = { "etcd", "apiserver", "manager" }, strimzi = "0.51.0" }
  t.match(refused(t, {}), "there is no Kafka bus in default on ocp; no other one either")
  local pool, bus = strimzi.cluster(V, "bus", KAFKA)
  world:apply { bus }
  t.match(refused(t, { listener = "external", user = "mover" }),
    'listener "external" has no address yet: no operator has answered')
  operators = strimzi.start(world, V)
  operators:wait("kafkas", "bus", "NotReady")
  t.match(refused(t, { listener = "external", user = "mover" }),
    "it failed: InvalidResourceException: Kafka bus has no KafkaNodePool")
  world:apply { pool,
    strimzi.of(V, "KafkaUser", "bus", "mover", { authentication = { type = "scram-sha-512" } }),
    strimzi.of(V, "KafkaUser", "bus", "reader", { authentication = { type = "tls" } }) }
  operators:wait("kafkas", "bus", "Ready")
  operators:wait("kafkausers", "mover", "Ready")
  operators:wait("kafkausers", "reader", "Ready")
end)

test("SCRAM and certificates of KafkaUsers, through each listener", function(t)
  local id = world:get("kafka", "bus").status.clusterId
  local by_scram <close> = cluster { listener = "external", user = "mover" }
  t.equal(by_scram.bootstrap, nil, "declaring contacts nothing")
  t.equal(t.ok(by_scram:id()), id)
  t.equal(#t.ok(by_scram:brokers()), 1)
  t.match(by_scram.bootstrap, "^127.0.0.1:%d+$")
  local by_certificate <close> = cluster { listener = "tls", user = "reader" }
  t.equal(t.ok(by_certificate:id()), id)
  local plainly <close> = cluster { listener = "plain" }
  t.equal(t.ok(plainly:id()), id)
  local unnamed <close> = cluster { user = "mover" }
  t.equal(t.ok(unnamed:id()), id, "the only listener to outside")
  t.equal(unnamed.bootstrap, by_scram.bootstrap)
  local side = t.ok(by_scram:_side())
  t.equal({ side.bootstrap, side.login.user }, { by_scram.bootstrap, "mover" })
  t.match(tostring(side.login.password), "^<secret")
  t.match(tostring(side.ca), "^<secret")
end)

test("every advertised broker is looked at: name, port, certificate", function(t)
  local source <close> = cluster { listener = "external", user = "mover" }
  local answer = t.ok(source:reachable())
  t.ok(answer.ok, answer.text)
  t.match(answer.seen["1"], "^127.0.0.1:%d+: answers, as CN=kafka,O=io.strimzi, until 20%d%d%-")
  t.match(t.ok(source:reachable { certificates = "366d" }).text,
    "its certificate %(CN=kafka,O=io.strimzi%) ends on 20%d%d%-")
  local real = t.ok(source:brokers())[1]
  source.brokers = function() -- an address that resolves, and that no certificate is for
    return { real, { id = 2, host = "127.1", port = real.port },
      { id = 3, host = "127.0.0.1", port = 1 }, { id = 4, host = "nowhere.invalid", port = 9 } }
  end
  answer = t.ok(source:reachable())
  t.equal(answer.ok, false)
  t.match(answer.seen["1"], "answers")
  t.match(answer.text, "broker 2 at 127.1:%d+: .*is not for 127.1 but for: 127.0.0.1, localhost")
  t.match(answer.text, "broker 3 at 127.0.0.1:1: .*refused")
  t.match(answer.text, "broker 4 at nowhere.invalid:9: .*")
end)

test("all certificates of the authority's Secret are trusted", function(t)
  local ca = operators:secret "bus-cluster-ca-cert"
  local other = world:pem "ca.crt"
  world:kubectl("patch", "secret", "bus-cluster-ca-cert", "-p", ('{"data":{"ca.crt":"%s",'
    .. '"ca-2024-01-01T00-00-00Z.crt":"%s"}}'):format(sys.base64(other),
    sys.base64(ca["ca.crt"])))
  local source <close> = cluster { listener = "tls", user = "reader" }
  t.equal(#t.ok(source:brokers()), 1)
  world:kubectl("patch", "secret", "bus-cluster-ca-cert", "-p",
    ('{"data":{"ca.crt":"%s"}}'):format(sys.base64(ca["ca.crt"])))
end)

test("another cluster than its resource says", function(t)
  local source <close> = cluster { listener = "plain", id = "another" }
  local _, why = source:id()
  t.match(tostring(why), "wrong cluster id: source is declared as another, and at 127")
  world:kubectl("patch", "kafka", "bus", "--subresource=status", "--type=merge", "-p",
    '{"status":{"clusterId":"not-the-brokers-own-id"}}')
  local lost <close> = cluster { listener = "plain" }
  _, why = lost:id()
  t.match(tostring(why), "the status of Kafka bus on ocp says not%-the%-brokers%-own%-id, and at")
  world:kubectl("annotate", "kafka", "bus", "look=again")
  world:wait_for("the true id in the status", function()
    return world:get("kafka", "bus").status.clusterId ~= "not-the-brokers-own-id"
  end)
end)

test("names that lead nowhere are told with the ones there are", function(t)
  t.match(refused(t, { strimzi = "buss" }), "there is no Kafka buss in default on ocp; "
    .. "did you mean 'bus'?")
  t.match(refused(t, { listener = "extrenal" }), 'Kafka bus on ocp has no listener "extrenal"; '
    .. "did you mean 'external'?")
  local text, why = refused(t, { listener = "external", user = "moover" })
  t.match(text, "there is no KafkaUser moover in default on ocp; did you mean 'mover'?")
  t.equal(why.kind, "not found")
end)

test("logins that cannot be are told before a broker refuses them", function(t)
  t.match(refused(t, { listener = "external" }), 'listener "external" wants scram%-sha%-512: '
    .. 'give the cluster user = "NAME"')
  t.match(refused(t, { listener = "external", user = "reader" }), 'listener "external" wants '
    .. "scram%-sha%-512, and KafkaUser reader logs in by tls")
  t.match(refused(t, { listener = "plain", user = "reader" }), "wants no login")
  world:apply { strimzi.of(V, "KafkaUser", "nobody", "lost", { authentication = {
    type = "scram-sha-512" } }) }
  t.match(refused(t, { listener = "external", user = "lost" }), "its Secret lost is not there: "
    .. "no operator has answered: its label says strimzi.io/cluster=nobody")
  world:kubectl("annotate", "kafkauser", "mover", "strimzi.io/pause-reconciliation=true")
  world:kubectl("delete", "secret", "mover")
  t.match(refused(t, { listener = "external", user = "mover" }), "its Secret mover is not there: "
    .. "its reconciliation is paused")
end)

test("everything ends", function()
  operators:stop()
  world:stop()
end)
