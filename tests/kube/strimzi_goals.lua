-- The goals `listener`, `user` and `secret_copied` on a real API server with
-- Strimzi's real definitions and a real broker: their laws, that what they made
-- really lets in, and what they refuse. Strimzi's operators are the stand-in of
-- tests/world/strimzi; for OpenShift's Routes, which nothing here routes, it is
-- somebody who nods.
local test = ...
local json = require "vm.json"
local kafka = require "vm.kafka"
local sys = require "vm.sys"
local face = require "strimzi.face"
local kubernetes = require "kube.kubernetes"
local laws = dofile "tests/support/laws.lua"
local kube = dofile "tests/support/kube.lua"
local strimzi = dofile "tests/support/strimzi.lua"

local V = "v1beta2"
local PLAIN = { name = "plain", port = 9092, type = "internal", tls = false }
local world, operators

local function within(body, namespace)
  local on = kubernetes.new { name = "ocp", kubeconfig = world.kubeconfig, namespace = namespace }
  local source = face.new { name = "old", strimzi = "bus", on = on }
  local _ <close> = setmetatable({}, { __close = function()
    source:close()
    on:close()
  end })
  body(source, on)
end

local function kafka_spec(namespace)
  return world:get("kafka", "bus", namespace).spec.kafka
end

--- Deletes users, and waits for their Secrets: those of the next would go, too.
local function reset()
  world:kubectl("delete", "kafkauser", "--all", "--wait")
  world:wait_for("end of the users' Secrets", function()
    return world:kubectl("get", "secret", "-l", "strimzi.io/kind=KafkaUser", "-o", "name") == ""
  end)
  local patch = { { op = "replace", path = "/spec/kafka/listeners", value = { PLAIN } } }
  if kafka_spec().authorization.superUsers then
    patch[2] = { op = "remove", path = "/spec/kafka/authorization/superUsers" }
  end
  world:kubectl("patch", "kafka", "bus", "--type=json", "-p", json.encode(patch))
end

local function user(name, spec)
  world:apply { strimzi.of(V, "KafkaUser", "bus", name, spec) }
end

--- Specs of what the goals are about.
local function look()
  local users = {}
  for name in world:kubectl("get", "kafkauser", "-o", "name"):gmatch "/([%w-]+)" do
    users[name] = world:get("kafkauser", name).spec
  end
  local spec = kafka_spec()
  return { listeners = spec.listeners, authorization = spec.authorization, users = users }
end

--- What `goal` says no to, as text.
local function refusal(goal)
  local _, why = goal:check(laws.new_run())
  if why == nil then _, why = goal:apply(laws.new_run()) end
  return tostring(why)
end

test("an API server with Strimzi's definitions", function()
  world = kube.start { parts = { "etcd", "apiserver", "manager" }, strimzi = "0.51.0" }
  local _, bus = strimzi.cluster(V, "bus", { listeners = { PLAIN },
    authorization = { type = "simple" } })
  world:apply { bus }
end)

test("an operator that never answers, and who might be to blame", function(t)
  within(function(source)
    local _, why = require "strimzi.waiting".ready(source.strimzi, "Kafka", "bus",
      { answer_ms = 1000 })
    t.match(tostring(why), "Kafka bus on ocp was not looked at by its operator within 1 s: "
      .. "no operator has answered: is Strimzi's Cluster Operator running, and does it watch "
      .. "the namespace default%?")
    t.equal(why.kind, "timeout")
    world:apply { { apiVersion = "kafka.strimzi.io/" .. V, kind = "KafkaTopic",
      metadata = { name = "lost" }, spec = { partitions = 1, replicas = 1 } } }
    _, why = require "strimzi.waiting".ready(source.strimzi, "KafkaTopic", "lost",
      { answer_ms = 500 })
    t.match(tostring(why), "it has no label strimzi.io/cluster, so it belongs to no Kafka")
  end)
end)

test("an operator that fails, in both of Strimzi's shapes", function(t)
  local function says(kind, name, condition, seen)
    local generation = world:get(kind, name).metadata.generation
    world:kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.encode {
      status = { observedGeneration = generation - (seen or 0), conditions = { condition } } })
  end
  within(function(source)
    local waiting = require "strimzi.waiting"
    says("kafka", "bus", { type = "NotReady", status = "True", reason = "InvalidResourceException",
      message = "no pool" })
    local _, why = waiting.ready(source.strimzi, "Kafka", "bus")
    t.match(tostring(why), "Kafka bus on ocp: it failed: InvalidResourceException: no pool")
    t.equal(why.kind, "conflict", "at once: it will not pass")
    says("kafka", "bus", { type = "Ready", status = "True" }, 1)
    _, why = waiting.ready(source.strimzi, "Kafka", "bus", { within_ms = 500 })
    t.match(tostring(why), "has not come to the last change %(generation 0 of 1%)")
    says("kafkatopic", "lost", { type = "Ready", status = "False", reason = "KafkaError",
      message = "the broker is tired" })
    _, why = waiting.ready(source.strimzi, "KafkaTopic", "lost", { within_ms = 500 })
    t.match(tostring(why), "was not ready within 0.5 s: it failed: KafkaError: the broker is tired")
    t.equal(why.kind, "timeout", "it may pass")
  end)
end)

--- The topics that a user sees through a listener.
local function seen_by(t, on, name, listener)
  local source <close> = face.new { name = "old", strimzi = "bus", on = on, user = name,
    listener = listener }
  local names = {}
  for i, topic in ipairs(t.ok(source:topics())) do names[i] = topic.name end
  return table.concat(names, " ")
end

test("operators (a stand-in), and a real broker", function(t)
  world:kubectl("delete", "kafkatopic", "lost")
  world:apply { (strimzi.cluster(V, "bus", {})) }
  operators = strimzi.start(world, V)
  operators:wait("kafkas", "bus", "Ready")
  t.ok(true)
end)

test("the laws of `listener`; and it can be reached", function(t)
  within(function(source)
    laws.hold(t, {
      goal = function() return source:listener { "external", authentication = "scram-sha-512" } end,
      world = look, reset = reset,
    })
    source:listener({ "external" }):apply(laws.new_run())
    t.equal(kafka_spec().listeners, { PLAIN, { name = "external", port = 9094, tls = true,
      type = "loadbalancer", authentication = { type = "tls" } } })
    t.match(refusal(source:listener { "other", type = "route" }),
      "needs OpenShift's Routes, and ocp serves none")
    t.ok(source:user({ "caller" }):apply(laws.new_run()))
  end)
  within(function(_, on)
    local outside <close> = face.new { name = "old", strimzi = "bus", on = on, user = "caller",
      listener = "external" }
    local answer = t.ok(outside:reachable())
    t.ok(answer.ok, answer.text)
    t.match(answer.seen["1"], "^127.0.0.1:%d+: answers")
  end)
end)

local ROUTES = [[
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: routes.route.openshift.io }
spec:
  group: route.openshift.io
  scope: Namespaced
  names: { kind: Route, plural: routes, singular: route }
  versions:
  - { name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object } } }
]]

test("OpenShift is known by its Routes: passthrough on 443", function(t)
  world:kubectl("create", "namespace", "openshift")
  local _, bus = strimzi.cluster(V, "bus", { listeners = { PLAIN } })
  bus.metadata.namespace = "openshift"
  world:apply { bus }
  local _ <close> = strimzi.nod(world, V, "openshift")
  world:apply(ROUTES)
  world:kubectl("wait", "crd", "routes.route.openshift.io", "--for=condition=Established",
    "--timeout=60s")
  within(function(source)
    t.ok(source:listener({ "external" }):apply(laws.new_run()))
    t.equal(kafka_spec("openshift").listeners[2].type, "route")
    local there = t.ok(source.strimzi:resource())
    local found = t.ok(require "strimzi.listener".find(source.strimzi, there))
    t.equal({ found.name, found.bootstrap, found.tls }, { "external",
      "external-bootstrap.apps.example:443", true })
  end, "openshift")
  within(function(source)
    local goal = source:listener { "external", type = "loadbalancer" }
    t.match(goal:check(laws.new_run()).text, "listener external is another one")
  end, "openshift")
end)

test("the laws of `user`; and it logs in, and may what it was given", function(t)
  within(function(source)
    local effects = laws.hold(t, {
      goal = function()
        return source:user { "migration", superuser = true, quotas = { produce = "2MiB/s" } }
      end,
      world = look, reset = reset,
    })
    t.equal(#effects, 2)
    source:user({ "migration", superuser = true }):apply(laws.new_run())
    t.equal(kafka_spec().authorization.superUsers, { "CN=migration" })
    laws.hold(t, {
      goal = function()
        return source:user { "app", authentication = "scram-sha-512", quotas = { requests = 20 },
          acls = { { resource = { type = "topic", name = "a", patternType = "prefix" },
            operations = { "Read" } } } }
      end,
      world = look,
      reset = function()
        reset()
        user("app", { authentication = { type = "scram-sha-512" },
          quotas = { producerByteRate = 5 } })
      end,
    })
    t.ok(source:user({ "app", authentication = "scram-sha-512",
      acls = { { resource = { type = "topic", name = "a", patternType = "prefix" },
        operations = { "Read" } } } }):apply(laws.new_run()))
    t.ok(source:user({ "migration", superuser = true }):apply(laws.new_run()))
    t.ok(source:listener({ "external" }):apply(laws.new_run()))
    t.ok(source:listener({ "words", authentication = "scram-sha-512" }):apply(laws.new_run()))
    local plainly <close> = face.new { name = "old", strimzi = "bus", on = source.strimzi.kube,
      listener = "plain" }
    for _, name in ipairs { "apps", "zoo" } do
      t.ok(plainly:create_topic { name = name, partitions = 1 })
    end
    t.equal(seen_by(t, source.strimzi.kube, "migration", "external"), "apps zoo")
    t.equal(seen_by(t, source.strimzi.kube, "app", "words"), "apps", "by its rights alone")
    local run = laws.new_run()
    local bare = source:user { "bare", authentication = "scram-sha-512", superuser = true }
    t.ok(bare:apply(run))
    t.equal(kafka_spec().authorization.superUsers, { "CN=migration", "bare" },
      "the bare name for SCRAM")
    bare:undo(run)
    t.match(refusal(source:user { "app" }), "logs in by scram%-sha%-512, and is to log in by tls")
    world:kubectl("create", "secret", "generic", "precious", "--from-literal=a=b")
    t.match(refusal(source:user { "precious" }), "a Secret of that name on ocp, which is not a "
      .. "KafkaUser's and would be overwritten")
  end)
end)

--- A user's certificate and the brokers' authority, copied to where an
-- application is: with these it gets in.
local function copies_let_in(t, from, to)
  local function copied(name)
    t.ok(to:secret_copied({ name, from = from, as = "copied-" .. name }):apply(laws.new_run()))
    local data = world:get("secret", "copied-" .. name, "there").data
    return function(key) return sys.from_base64(data[key]) end
  end
  local ca, own = copied "bus-cluster-ca-cert", copied "migration"
  local source <close> = face.new { name = "old", strimzi = "bus", on = from,
    listener = "external", user = "migration" }
  local client <close> = t.ok(kafka.open { name = "test", protocol = "ssl", ca = ca "ca.crt",
    bootstrap = t.ok(source:_side()).bootstrap, cert = own "user.crt", key = own "user.key" })
  t.equal(#t.ok(client:topics()), 2)
end

test("the laws of `secret_copied`, from one platform to another", function(t)
  within(function(_, from)
    world:kubectl("create", "namespace", "there")
    local to = kubernetes.new { name = "ocp4", kubeconfig = world.kubeconfig, namespace = "there" }
    local _ <close> = setmetatable({}, { __close = function() to:close() end })
    world:kubectl("create", "secret", "generic", "ca", "--from-literal=ca.crt=one",
      "--from-literal=ca-2024.crt=two", "--from-literal=ca.p12=store",
      "--from-literal=ca.password=word", "--from-literal=password=kept")
    world:kubectl("label", "secret", "ca", "mine=stays-there")
    local function copy() return world:get("secret", "source-ca", "there") end
    laws.hold(t, {
      goal = function() return to:secret_copied { "ca", from = from, as = "source-ca" } end,
      world = function() return { copy = copy() and copy().data or false } end,
      reset = function()
        world:kubectl("delete", "secret", "source-ca", "-n", "there", "--ignore-not-found")
      end,
    })
    local run = laws.new_run()
    local goal = to:secret_copied { "ca", from = from, as = "source-ca", keys = "*.crt" }
    t.ok(goal:apply(run))
    t.equal(copy().data, { ["ca.crt"] = sys.base64 "one", ["ca-2024.crt"] = sys.base64 "two" })
    t.equal(copy().metadata.labels, { ["app.kubernetes.io/managed-by"] = "tranship" })
    world:kubectl("patch", "secret", "ca", "-p", '{"stringData":{"ca.crt":"renewed"}}')
    t.match(goal:check(run).text, "the copy is older than the original")
    t.ok(goal:apply(run))
    t.equal(copy().data["ca.crt"], sys.base64 "renewed")
    copies_let_in(t, from, to)
    world:kubectl("create", "secret", "generic", "theirs", "-n", "there", "--from-literal=a=b")
    t.match(refusal(to:secret_copied { "ca", from = from, as = "theirs" }),
      "another Secret of that name, which nobody copied")
  end)
end)

local COPY = [[
runbook "copied" { version = "1" }
local from = kubernetes "ocp3" { kubeconfig = "%s" }
local to   = kubernetes "ocp4" { kubeconfig = "%s", namespace = "there" }
step "Carry the user" { ensure = to:secret_copied { "carried", from = from } }
]]

test("a copied Secret passes no disk, and no output", function(t)
  local word = "carried-word-that-nobody-may-read"
  world:kubectl("create", "secret", "generic", "carried", "--from-literal=password=" .. word)
  local dir = t.ok(sys.temporary_folder "tranship-copied")
  t.ok(sys.write_file(dir .. "/b.lua", COPY:format(world.kubeconfig, world.kubeconfig)))
  local said = ""
  for _, words in ipairs { { "plan", "b.lua" }, { "run", "b.lua", "--yes", "-o", "jsonl" } } do
    local done = t.ok(sys.run { args = { sys.executable(), table.unpack(words) }, cwd = dir })
    t.equal(done.code, 0, done.stdout .. done.stderr)
    said = said .. done.stdout .. done.stderr
  end
  t.equal(world:get("secret", "carried", "there").data.password, sys.base64(word))
  t.match(said, "carried")
  local found = t.ok(sys.run { "grep", "-rlE", word .. "|" .. sys.base64(word):sub(1, 30), dir })
  t.equal({ found.code, found.stdout }, { 1, "" }, "files that hold it")
  t.ok(#t.ok(sys.run { "find", dir, "-name", "journal.jsonl" }).stdout > 0)
  t.ok(not said:find(word, 1, true) and not said:find(sys.base64(word):sub(1, 30), 1, true))
  sys.run { "rm", "-rf", dir }
end)

local OPENED = [[
runbook "opened" { version = "1" }
local ocp = kubernetes "ocp" { kubeconfig = "%s" }
local old = cluster "old" { strimzi = "bus", on = ocp, listener = "external", user = "migration" }
step "Open it" { ensure = { old:listener { "external" },
  old:user { "migration", superuser = true } } }
step "Back it up" { ensure = backup { old:definitions(), old:offsets() } }
]]

test("a plan of what is not open yet says what it waits for", function(t)
  reset()
  local dir = t.ok(sys.temporary_folder "tranship-opened")
  t.ok(sys.write_file(dir .. "/b.lua", OPENED:format(world.kubeconfig)))
  local done = t.ok(sys.run { args = { sys.executable(), "plan", "b.lua" }, cwd = dir })
  sys.run { "rm", "-rf", dir }
  t.equal(done.code, 0, done.stdout .. done.stderr)
  t.match(done.stdout, "add listener external")
  t.match(done.stdout, "superUsers")
  t.match(done.stdout, 'depends on listener "external" of Kafka bus on ocp, which a step')
  t.ok(not done.stdout:find "attempt to", done.stdout)
end)

test("everything ends", function()
  operators:stop()
  world:stop()
end)
