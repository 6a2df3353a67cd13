-- A target of Strimzi's is shaped like a live source: Kafka, pools, topics and
-- users as resources of the version that is served. Real definitions and API
-- server, real brokers on both sides, a stand-in for Strimzi's operators; where
-- the laws are held from nothing on, a loop of this file stands in for them, as a
-- broker for each of its forty starts would take long; topics and users have theirs
-- held with brokers.
local test = ...
local json = require "vm.json"
local kubernetes = require "kube.kubernetes"
local cluster = require "kafka.cluster"
local face = require "strimzi.face"
local goal = require "runbook.goal"
local sys = require "vm.sys"
local task = require "vm.task"
local broker = dofile "tests/support/broker.lua"
local kube = dofile "tests/support/kube.lua"
local laws = dofile "tests/support/laws.lua"
local strimzi = dofile "tests/support/strimzi.lua"

local V = "v1"
local check = broker.check
local world, operators, on, node, old, bus

local KAFKA = { listeners = { { name = "plain", port = 9092, type = "internal", tls = false } } }
local POOL = { storage = { type = "ephemeral" } }

local function shaped(more)
  local args = { old, kafka = KAFKA, pool = POOL }
  for key, value in pairs(more or {}) do args[key] = value end
  return bus:shaped_like(args)
end

local function let_go()
  old:close()
  bus:close()
  on:close()
end

local function target(name)
  return face.new { name = "bus", strimzi = name, on = on, listener = "plain" }
end

local function has(t, text, ...)
  for _, pattern in ipairs { ... } do t.match(text, pattern) end
end

test("a source with topics, settings, ACLs and users; a platform with operators", function(t)
  node = broker.start("authorizer.class.name="
    .. "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users=User:ANONYMOUS", "message.max.bytes=2000000")
  world = kube.start { parts = { "etcd", "apiserver", "manager" }, strimzi = "1.2.0" }
  operators = strimzi.start(world, V)
  on = kubernetes.new { name = "here", kubeconfig = world.kubeconfig }
  old = cluster.new { name = "old", bootstrap = node.address }
  bus = target "bus"
  check(old:create_topic { name = "apps.a", partitions = 3,
    configs = { ["retention.ms"] = "60000", ["segment.bytes"] = "2000000" } })
  check(old:create_topic { name = "Apps_B", partitions = 1 })
  check(old:create_acls {
    { resource_type = "topic", name = "apps.", pattern = "prefixed",
      principal = "User:alice", operation = "read" },
    { resource_type = "group", name = "g", principal = "User:alice", operation = "read" },
    { resource_type = "topic", name = "apps.a", principal = "User:CN=streams",
      operation = "write" } })
  check(old:client "write":alter_users { { name = "alice", mechanism = "SCRAM-SHA-512",
    password = "alice-pw" } })
  t.ok(true)
  let_go()
end)

test("what cannot be made so is said at once, and nothing is made", function(t)
  local it, run = bus:shaped_like { old }, laws.new_run()
  local why = t.fails("conflict", it:apply(run))
  has(t, why, "give pool = { storage = ", 'listener = "plain", and would have tls, scram')
  t.ok(not t.ok(it:check(run)).ok)
  t.equal(world:kubectl("get", "kafkas,kafkanodepools,kafkatopics,kafkausers", "-o", "name"), "")
  let_go()
end)

local BOOK = [[
runbook "shaped" { version = "1" }
local here = kubernetes "here" { kubeconfig = "%s" }
local old = cluster "old" { bootstrap = "%s" }
local bus = cluster "bus" { strimzi = "bus", on = here, listener = "plain" }
step "Shape the target like the source" {
  ensure = bus:shaped_like { old, topics = { "apps.*" },
    pool = { storage = { type = "ephemeral" } },
    kafka = { listeners = { { name = "plain", port = 9092, type = "internal", tls = false } } } },
}
]]

test("as a step: planned by dry runs on the server, and nothing is made", function(t)
  local dir = assert(sys.temporary_folder "tranship-shaped")
  assert(sys.write_file(dir .. "/b.lua", BOOK:format(world.kubeconfig, node.address)))
  local said = assert(sys.run { args = { sys.executable(), "plan", "b.lua" }, cwd = dir })
  sys.run { "rm", "-rf", dir }
  t.equal(said.code, 0, said.stdout .. said.stderr)
  has(t, said.stdout, "apply KafkaNodePool pool in default on here", "apply Kafka bus",
    "apply KafkaTopic apps%.a", "apply KafkaUser alice", "apply KafkaUser streams",
    "user alice: its password is not carried: no cluster gives it away",
    "user streams: its certificate is not carried: the target's authority makes another")
  t.equal(world:kubectl("get", "kafkas,kafkanodepools,kafkatopics,kafkausers", "-o", "name"), "")
end)

test("from nothing to a Kafka of that shape, in the version that is served", function(t)
  local it, run = shaped(), laws.new_run()
  local answer = t.ok(it:check(run))
  has(t, answer.text, "KafkaNodePool pool on here is not there", "Kafka bus on here is not there",
    "2 topics and 2 users follow")
  check(it:apply(run))
  answer = t.ok(it:check(run))
  t.ok(answer.ok, answer.text)
  local notes = table.concat(answer.seen.differs, "\n")
  has(t, notes, "user alice: its password is not carried",
    "user streams: its certificate is not carried", "metadata version is not carried")
  local kafka = world:get("kafka", "bus")
  t.equal(kafka.spec.kafka.config["message.max.bytes"], "2000000")
  t.equal(kafka.spec.kafka.authorization.type, "simple")
  local topics = check(bus:topics())
  t.equal({ topics[1].name, topics[2].name, topics[2].partitions }, { "Apps_B", "apps.a", 3 })
  t.equal(check(bus:configs { "apps.a" })["apps.a"]["retention.ms"], "60000")
  t.equal(#check(bus:acls()), 3)
  t.equal(check(bus:users())[1].name, "alice")
  t.match(world:get("kafkatopic", "apps.a").apiVersion, "/v1$")
  for _, event in ipairs(world:audit { verb = "patch", agent = "^tranship/" }) do
    if event.objectRef.apiGroup == "kafka.strimzi.io" and not event.userAgent:find "stand" then
      t.ok(not event.requestURI:find "force=true", "forced unasked: " .. event.requestURI)
    end
  end
  t.equal(it:apply(run), true)
  let_go()
end)

test("partitions that are too many, settings that differ", function(t)
  check(old:create_topic { name = "apps.c", partitions = 1 })
  world:apply(strimzi.of(V, "KafkaTopic", "bus", "apps.c", { partitions = 4 }))
  operators:wait("kafkatopics", "apps.c", "Ready")
  local why = t.fails("conflict", shaped():apply(laws.new_run()))
  t.match(why, "apps.c has 4 partitions and should have 1")
  local answer = t.ok(shaped { except = { "apps.c" } }:check(laws.new_run()))
  t.ok(answer.ok, answer.text)
  world:kubectl("delete", "kafkatopic", "apps.c", "--timeout=60s")
  check(old:delete_topic "apps.c")
  why = t.fails("not found", require "kube.shape".lacks(on, { {
    object = strimzi.of("v1beta2", "KafkaTopic", "bus", "x", { partitions = 1 }) } }))
  t.match(why, "does not serve a kind 'kafka.strimzi.io/v1beta2/KafkaTopic'; it has v1")
  let_go()
end)

test("undone: what holds records stays, and so does its Kafka", function(t)
  local it, run = shaped(), laws.new_run()
  check(old:create_topic { name = "apps.d", partitions = 1 })
  check(it:apply(run))
  t.ok(world:get("kafkatopic", "apps.d"))
  local producer <close> = check(bus:client "write":producer {})
  check(producer:produce { { topic = "apps.d", partition = 0, value = "x" } })
  it:undo(run)
  t.match(table.concat(run.said, "\n"), "apps%.d on here stays: topic apps%.d holds records")
  t.ok(world:get("kafka", "bus"), "it was there before this run")
  t.ok(world:get("kafkauser", "alice"))
  check(old:delete_topic "apps.d")
  let_go()
end)

test("a topic past the operator: it is adopted, not made behind its back", function(t)
  check(old:create_topic { name = "apps.e", partitions = 2,
    configs = { ["retention.ms"] = "70000" } })
  check(bus:create_topic { name = "apps.e", partitions = 1 })
  local it, run = shaped(), laws.new_run()
  check(it:apply(run))
  t.equal(world:get("kafkatopic", "apps.e").spec.partitions, 2)
  t.ok(t.ok(it:check(run)).ok)
  it:undo(run)
  t.equal(world:get("kafkatopic", "apps.e"), nil)
  t.equal(check(bus:topic "apps.e":exists()), true)
  t.equal(check(bus:configs { "apps.e" })["apps.e"], {})
  check(old:delete_topic "apps.e")
  let_go()
end)

test("retired: what is left in Kubernetes is named, and stays", function(t)
  local it = bus:retired { quiet = "300ms" }
  t.equal(it.name, "retired")
  local answer = t.ok(it:check(laws.new_run()))
  t.ok(answer.ok, answer.text)
  has(t, answer.text, "left on here: Kafka bus, 1 KafkaNodePool, %d KafkaTopics, 2 KafkaUsers",
    "%d Secrets", "have the finalizer strimzi%.io/topic%-operator")
  t.ok(world:get("kafka", "bus"))
  let_go()
end)

--- What the broker itself has of what is shaped.
local function on_broker()
  local seen = { topics = {}, acls = {}, users = {} }
  for _, one in ipairs(check(bus:topics())) do
    seen.topics[one.name] = { one.partitions, check(bus:configs { one.name })[one.name] }
  end
  for i, one in ipairs(check(bus:acls())) do
    seen.acls[i] = table.concat({ one.principal, one.resource_type, one.name, one.operation }, " ")
  end
  for i, one in ipairs(check(bus:users())) do seen.users[i] = one.name end
  return seen
end

--- The same, once the operators have come to what the resources say: their Secrets
-- would go with those of the next users.
local function settled()
  local function count(kind) return #check(on:list(kind, {})) end
  return world:wait_for("operators that are done", function()
    local seen, topics = on_broker(), 0
    for _ in pairs(seen.topics) do topics = topics + 1 end
    local users = count "KafkaUser" > 0
    return topics == count "KafkaTopic" and (#seen.acls + #seen.users > 0) == users
      and (users or world:kubectl("get", "secret", "-l", "strimzi.io/kind=KafkaUser", "-o",
        "name") == "") and seen
  end)
end

test("the five laws, on a Kafka that is there: its broker is the judge", function(t)
  local effects = laws.hold(t, {
    goal = function() return shaped { topics = { "apps.*" } } end, world = settled,
    reset = function()
      for _, kind in ipairs { "kafkatopics", "kafkausers" } do
        world:kubectl("delete", kind, "--all", "--timeout=60s")
      end
      -- Of the case before: no resource had it.
      for _, one in ipairs(check(bus:topics())) do check(bus:delete_topic(one.name)) end
      settled()
    end,
  })
  t.equal(#effects, 3, "a topic, two users")
  let_go()
end)

--- Ready at once, whatever it is; no broker, no finalizer.
local function answer_all()
  for _, kind in ipairs { "Kafka", "KafkaTopic", "KafkaUser" } do
    for _, one in ipairs(on:list(kind, {}) or {}) do
      if not require "kube.waiting".has_condition(one, "Ready") then
        on:patch(kind, one.metadata.name, { status = {
          observedGeneration = one.metadata.generation,
          conditions = json.array { { type = "Ready", status = "True" } } } },
          { subresource = "status" })
      end
    end
  end
end

local function state()
  local seen = {}
  for _, kind in ipairs { "Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser" } do
    for _, one in ipairs(check(on:list(kind, {}))) do
      seen[kind .. " " .. one.metadata.name] = json.copy(one.spec)
    end
  end
  return seen
end

test("the five laws, from nothing to everything", function(t)
  operators:stop()
  for _, kind in ipairs { "kafkatopics", "kafkausers", "kafkas", "kafkanodepools" } do
    for name in world:kubectl("get", kind, "-o", "name"):gmatch "[^\n]+" do
      world:kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
      world:kubectl("delete", name)
    end
  end
  local served = task.spawn(function()
    while true do
      answer_all()
      task.sleep(50)
    end
  end)
  local ok, why = pcall(laws.hold, t, {
    goal = function() return shaped { topics = { "apps.*" } } end, world = state,
    reset = function()
      for _, kind in ipairs { "KafkaTopic", "KafkaUser", "Kafka", "KafkaNodePool" } do
        for _, one in ipairs(check(on:list(kind, {}))) do
          check(on:delete(kind, one.metadata.name))
        end
      end
      check(on:apply(strimzi.of(V, "KafkaUser", "bus", "streams", {
        authentication = { type = "tls" }, quotas = { producerByteRate = 5 } })))
    end,
  })
  served:cancel()
  if not ok then error(why, 0) end
  let_go()
end)

test("everything ends", function(t)
  node:stop()
  world:stop()
  t.equal(goal.is(nil), false)
end)
