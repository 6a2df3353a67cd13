-- Topics of clusters that Strimzi runs: made as KafkaTopic resources, adopted,
-- let go of. Real definitions, real API server, a real broker behind a stand-in
-- for Strimzi's operators.
local test = ...
local kubernetes = require "kube.kubernetes"
local face = require "strimzi.face"
local topics = require "strimzi.topic"
local broker = dofile "tests/support/broker.lua"
local kube = dofile "tests/support/kube.lua"
local laws = dofile "tests/support/laws.lua"
local strimzi = dofile "tests/support/strimzi.lua"

local V = "v1beta2"
local check = broker.check
local world, operators, on, one

local function let_go()
  one:close()
  on:close()
end

local function topic(args) return one:_ensure_topic(args) end

--- Topics of the broker and their resources.
local function state()
  local seen = { topics = {}, resources = {} }
  for _, it in ipairs(check(one:topics())) do
    seen.topics[it.name] = { it.partitions, check(one:configs { it.name })[it.name] }
  end
  for _, it in ipairs(check(on:list("KafkaTopic", {}))) do
    seen.resources[it.metadata.name] = { it.spec.topicName, it.spec.partitions,
      it.spec.config and it.spec.config["retention.ms"] }
  end
  return seen
end

local function clear()
  for _, it in ipairs(check(on:list("KafkaTopic", {}))) do
    check(on:delete("KafkaTopic", it.metadata.name))
  end
  for _, it in ipairs(check(one:topics())) do check(one:delete_topic(it.name)) end
end

local function resource(name, spec, annotations)
  local made = strimzi.of(V, "KafkaTopic", "bus", name, spec)
  made.metadata.annotations = annotations
  return made
end

test("a Kafka with a Topic Operator", function(t)
  world = kube.start { parts = { "etcd", "apiserver", "manager" }, strimzi = "0.51.0" }
  operators = strimzi.start(world, V)
  local pool, bus = strimzi.cluster(V, "bus", { listeners = { {
    name = "plain", port = 9092, type = "internal", tls = false } } })
  world:apply { pool, bus }
  operators:wait("kafkas", "bus", "Ready")
  on = kubernetes.new { name = "here", kubeconfig = world.kubeconfig }
  one = face.new { name = "one", strimzi = "bus", on = on, listener = "plain" }
  t.equal(check(one:topics()), {})
  let_go()
end)

test("the five laws: a new topic", function(t)
  laws.hold(t, { world = state, reset = clear, goal = function()
    return topic { "Orders.EU", partitions = 2, configs = { ["retention.ms"] = "60000" } }
  end })
  check(topic { "Orders.EU", partitions = 2 }:apply(laws.new_run()))
  local name = topics.object_name "Orders.EU"
  t.match(name, "^orders%.eu%-%x+$")
  t.equal(world:get("kafkatopic", name).spec.topicName, "Orders.EU")
  local sent = world:audit { verb = "patch", name = name, agent = "^tranship", code = 201 }
  t.match(sent[1].requestURI, "fieldManager=tranship")
  t.ok(not sent[1].requestURI:find "force", "forced unasked")
  let_go()
end)

test("the five laws: a topic that is adopted", function(t)
  laws.hold(t, { world = state, goal = function()
    return topic { "orders", configs = { ["retention.ms"] = "60000" } }
  end, reset = function()
    clear()
    check(one:create_topic { name = "orders", partitions = 3,
      configs = { ["segment.ms"] = "70000" } })
  end })
  check(topic { "orders" }:apply(laws.new_run()))
  t.equal(world:get("kafkatopic", "orders").spec.config, { ["segment.ms"] = "70000" })
  t.equal(check(one:topic_shape "orders").partitions, 3)
  let_go()
end)

test("the five laws: a resource that is there is changed where it must be", function(t)
  local effects = laws.hold(t, { world = state, goal = function()
    return topic { "orders", partitions = 2, configs = { ["retention.ms"] = "60000" } }
  end, reset = function()
    clear()
    check(on:apply(resource("orders", { partitions = 2, config = { ["segment.ms"] = 70000 } })))
    operators:wait("kafkatopics", "orders", "Ready")
  end })
  t.equal(#effects, 1)
  let_go()
end)

test("records keep a topic; an adopted one is let go with its records", function(t)
  clear()
  local run, it = laws.new_run(), topic { "kept" }
  check(it:apply(run))
  local producer <close> = check(one:client "write":producer {})
  check(producer:produce { { topic = "kept", partition = 0, value = "x" } })
  it:undo(run)
  t.match(table.concat(run.said), "KafkaTopic kept on here stays: topic kept holds records")
  t.ok(world:get("kafkatopic", "kept"))
  world:kubectl("annotate", "kafkatopic", "kept", "strimzi.io/managed=false")
  operators:wait("kafkatopics", "kept", "Unmanaged")
  world:kubectl("delete", "kafkatopic", "kept", "--timeout=60s")
  run = laws.new_run()
  it = topic { "kept" }
  check(it:apply(run))
  it:undo(run)
  t.equal(world:get("kafkatopic", "kept"), nil)
  t.equal(check(check(one:topic "kept":offsets "end"))[1].offset, 1)
  let_go()
end)

test("the trap of the finalizer: nobody lets go, and nothing is lost", function(t)
  clear()
  check(one:create_topic { name = "held", partitions = 1 })
  check(topic { "held" }:apply(laws.new_run()))
  world:kubectl("annotate", "kafkatopic", "held", "stand-in/silent=true")
  local why = t.fails("timeout", topics.let_go(on, "KafkaTopic", "held", { within_ms = 3000 }))
  t.match(why, "held by the finalizer strimzi%.io/topic%-operator")
  t.match(why, "kubectl patch kafkatopic held")
  t.ok(world:get("kafkatopic", "held"), "not deleted while nobody has let go")
  world:kubectl("annotate", "kafkatopic", "held", "strimzi.io/pause-reconciliation=true")
  why = t.fails("conflict", topics.let_go(on, "KafkaTopic", "held", {}))
  t.match(why, "is paused")
  why = t.fails("timeout", topics.delete(on, "KafkaTopic", "held", { within_ms = 2000 }))
  t.match(why, "is held by the finalizer")
  local answer = check(topic { "held" }:check(laws.new_run()))
  t.match(answer.text, "held on here is being deleted: its finalizers hold it")
  why = t.fails("conflict", topic { "held" }:apply(laws.new_run()))
  t.match(why, "is being deleted")
  world:kubectl("patch", "kafkatopic", "held", "--type=merge", "-p",
    '{"metadata":{"finalizers":null}}')
  let_go()
end)

test("what others own, what the definition refuses, what the operator refuses", function(t)
  clear()
  world:apply(resource("owned", { partitions = 1, config = { ["retention.ms"] = 5 } }))
  operators:wait("kafkatopics", "owned", "Ready")
  local why = t.fails("conflict", topic { "owned", configs = { ["retention.ms"] = "6" } }
    :apply(laws.new_run()))
  t.match(why, "retention%.ms")
  t.match(why, "%(test")
  t.equal(world:get("kafkatopic", "owned").spec.config["retention.ms"], 5)
  check(topic { "owned", configs = { ["retention.ms"] = "5" } }:apply(laws.new_run()))

  local function lack(spec) return require "kube.shape".lacks(on, { {
    object = resource("bad", spec), ready = "Ready" } }) end
  why = t.fails("invalid", require "kube.shape".make(on, check(lack { partitions = 0 })))
  t.match(why, "spec%.partitions")
  why = t.fails("invalid", require "kube.shape".make(on, check(lack { partitoins = 1 })))
  t.match(why, "partitoins")
  t.equal(world:get("kafkatopic", "bad"), nil)

  world:apply(resource("first", { topicName = "twice", partitions = 1 }))
  operators:wait("kafkatopics", "first", "Ready")
  local two = { object = resource("second", { topicName = "twice", partitions = 1 }),
    ready = "Ready", failed = topics.failed }
  require "vm.task".sleep(1100) -- creation times have seconds
  why = t.fails("conflict", require "kube.shape".make(on, check(
    require "kube.shape".lacks(on, { two }))))
  t.match(why, "ResourceConflict: Managed by Ref")
  let_go()
end)

test("Strimzi itself is paused for one Kafka, and given back: the five laws", function(t)
  local function annotations() return world:get("kafka", "bus").metadata.annotations end
  local function goal()
    return require "runbook.goal".make(require "runbook.goal.gitops_paused", { one })
  end
  laws.hold(t, { goal = goal, world = function()
    return { annotations()["strimzi.io/pause-reconciliation"] or "at work" }
  end, reset = function()
    world:kubectl("annotate", "kafka", "bus", "strimzi.io/pause-reconciliation-")
    operators:wait("kafkas", "bus", "Ready")
  end })
  local run = laws.new_run()
  check(goal():apply(run))
  local seen = strimzi.condition(world:get("kafka", "bus"), "ReconciliationPaused")
  t.equal(seen.status, "True")
  t.equal(check(goal():check(run)).text, "paused: 1 of 1")
  goal():undo(run)
  operators:wait("kafkas", "bus", "Ready")
  t.equal(annotations()["strimzi.io/kraft"], "enabled")
  let_go()
end)

test("a bridge does not follow what an operator sets back", function(t)
  local bridge = require "mirror.bridge"
  local plain = require "kafka.cluster".new { name = "plain", bootstrap = "127.0.0.1:9" }
  for field, value in pairs { configs = "followed", acls = "copied" } do
    local road = bridge.new { name = "road", from = plain, to = one, topics = { "a" },
      [field] = value }
    local why = t.fails("conflict", require "mirror.bridge.operators".must_not_fight(road))
    t.match(why, "on one, where a %a+ Operator sets them back")
    road:close()
  end
  local road = bridge.new { name = "road", from = plain, to = one, topics = { "a" } }
  t.ok(require "mirror.bridge.operators".must_not_fight(road))
  road:close()
  let_go()
end)

test("made again under the run, and a namespace that goes", function(t)
  clear()
  local run, it = laws.new_run(), topic { "again", partitions = 2 }
  world:apply(resource("again", { partitions = 1 }))
  operators:wait("kafkatopics", "again", "Ready")
  t.fails("conflict", it:apply(run)) -- test owns the partitions; but it was noted
  world:kubectl("delete", "kafkatopic", "again", "--timeout=60s")
  world:apply(resource("again", { partitions = 2 }))
  it:undo(run)
  t.match(table.concat(run.said), "again on here is left alone: it was deleted and made again")
  t.equal(world:get("kafkatopic", "again").spec.partitions, 2)

  world:apply { { apiVersion = "v1", kind = "Namespace", metadata = { name = "going" } } }
  local held = { apiVersion = "v1", kind = "ConfigMap",
    metadata = { name = "x", namespace = "going", finalizers = { "test/holds" } } }
  check(on:apply(held))
  world:kubectl("delete", "namespace", "going", "--wait=false")
  local lost = resource("lost", { partitions = 1 })
  lost.metadata.namespace = "going"
  local why = t.fails("conflict", require "kube.shape".make(on, check(
    require "kube.shape".lacks(on, { { object = lost, ready = "Ready" } }))))
  t.match(why, "going")
  world:kubectl("patch", "configmap", "x", "-n", "going", "--type=merge", "-p",
    '{"metadata":{"finalizers":null}}')
  let_go()
end)

test("everything ends", function(t)
  operators:stop()
  world:stop()
  t.ok(true)
end)
