-- MirrorMaker 2 as a resource: generated, refused by the rules, healthy only when
-- tasks and positions say so, retired. Real definitions and API server, a real
-- broker; operator and workers are played by this file: it writes the status, and
-- Connect's offsets in MirrorMaker's format.
local test = ...
local json = require "vm.json"
local kubernetes = require "kube.kubernetes"
local cluster = require "kafka.cluster"
local face = require "strimzi.face"
local format = require "mirror.mm2.format"
local maker = require "strimzi.mirror_maker"
local broker = dofile "tests/support/broker.lua"
local kube = dofile "tests/support/kube.lua"
local laws = dofile "tests/support/laws.lua"
local strimzi = dofile "tests/support/strimzi.lua"

local V = "v1beta2"
-- By v1 only half of it would be seen, and kept.
local MAKER = "kafka.strimzi.io/v1beta2/KafkaMirrorMaker2"
local MAKERS = "kafkamirrormaker2s.v1beta2.kafka.strimzi.io"
local check = broker.check
local world, on, from, to, old, new
local NAMES = maker.names "road"

local function let_go()
  old:close()
  new:close()
  on:close()
end

local function road(more)
  local args = { "road", from = old, topics = { "apps.*" }, watch = "400ms" }
  for key, value in pairs(more or {}) do args[key] = value end
  return new:mirror_maker(args)
end

local function set_status(kind, name, status)
  status.observedGeneration = world:get(kind, name).metadata.generation
  world:kubectl("patch", kind, name, "--subresource=status", "--type=merge", "-p",
    json.encode { status = status })
end

local READY = { { type = "Ready", status = "True" } }

local function connector(class, state, tasks)
  local list = json.array {}
  for i, one in ipairs(tasks) do
    list[i] = { id = i - 1, state = one, worker_id = "w:8083",
      trace = one == "FAILED" and "org.apache.kafka.connect.errors.ConnectException: "
        .. "too large\n\tat x" or nil }
  end
  return { name = maker.connector("old", "new", class), type = "source",
    connector = { state = state, worker_id = "w:8083" }, tasks = list }
end

local function answered(source, checkpoint)
  set_status(MAKERS, "road", { conditions = READY, connectors = {
    connector("Source", table.unpack(source)),
    connector("Checkpoint", table.unpack(checkpoint or { "RUNNING", {} })) } })
end

--- Connect's offset of a partition, as MirrorMaker's worker stores it.
local function stored(topic, partition, offset)
  local key, value = format.encode_offset { connector = maker.connector("old", "new", "Source"),
    cluster = "old", topic = topic, partition = partition, offset = offset }
  local producer <close> = check(new:client "write":producer {})
  check(producer:produce { { topic = NAMES.offset, partition = 0, key = key, value = value } })
end

test("two brokers, one of them a Kafka of Strimzi's", function(t)
  from, to = broker.start("ID=b2xkb2xkb2xkb2xkb2xkb2"), broker.start()
  world = kube.start { parts = { "etcd", "apiserver" }, strimzi = "0.51.0" }
  local _, bus = strimzi.cluster(V, "bus", { listeners = { {
    name = "plain", port = 9092, type = "internal", tls = false } } })
  world:apply(bus)
  on = kubernetes.new { name = "here", kubeconfig = world.kubeconfig }
  new = face.new { name = "new", strimzi = "bus", on = on, listener = "plain" }
  set_status("kafka", "bus", { conditions = READY, listeners = { { name = "plain",
    bootstrapServers = to.address } } })
  old = cluster.new { name = "old", bootstrap = from.address }
  check(old:create_topic { name = "apps.a", partitions = 2,
    configs = { ["max.message.bytes"] = "3000000" } })
  local producer <close> = check(old:client "write":producer {})
  check(producer:produce { { topic = "apps.a", partition = 0, value = "1" },
    { topic = "apps.a", partition = 0, value = "2" } })
  t.equal(check(new:topics()), {})
  let_go()
end)

test("both layouts are what the definitions want", function(t)
  local spec = { name = "x", topics = "a", groups = "b",
    source = { alias = "a", bootstrap = "a:1", ca = "ca", login = { type = "tls", secret = "s" } },
    target = { alias = "b", bootstrap = "b:1", ca = "ca",
      login = { type = "scram-sha-512", secret = "s", user = "u" } } }
  for _, version in ipairs { "v1beta2", "v1" } do
    local kind = "kafka.strimzi.io/" .. version .. "/KafkaMirrorMaker2"
    spec.version = version
    check(on:apply(maker.resource(spec)))
    t.equal(maker.flows(json.copy(check(on:get(kind, "x")))),
      maker.flows(json.decode(json.encode(maker.resource(spec)))))
    check(on:delete(kind, "x"))
  end
  let_go()
end)

test("what the rules refuse is not applied", function(t)
  check(old:create_topic { name = "apps.heartbeats", partitions = 1 })
  local why = t.fails("conflict", road():apply(laws.new_run()))
  t.match(why, "apps.heartbeats ends in heartbeats")
  t.equal(world:get(MAKERS, "road"), nil)
  local rival = maker.resource { name = "rival", version = V, topics = "x", groups = "x",
    source = { alias = "z", bootstrap = "z:1" },
    target = { alias = "new", bootstrap = to.address } }
  rival.spec.clusters[2].config["group.id"] = NAMES.group
  world:apply(rival)
  why = t.fails("conflict", road { topics = { "apps.a" } }:apply(laws.new_run()))
  t.match(why, "KafkaMirrorMaker2 rival has the group road%-mirrormaker2, too")
  world:kubectl("delete", MAKERS, "rival")
  check(old:delete_topic "apps.heartbeats")
  let_go()
end)

test("the five laws", function(t)
  local task = require "vm.task"
  check(new:create_topic { name = NAMES.offset, partitions = 1 })
  stored("apps.a", 0, 1)
  local operator = task.spawn(function()
    while true do
      if on:find(MAKER, "road") then
        pcall(answered, { "RUNNING", { "RUNNING" } })
      end
      task.sleep(200)
    end
  end)
  local ok, why = pcall(laws.hold, t, {
    goal = function() return road() end,
    world = function()
      local there = check(on:find(MAKER, "road"))
      return { there and json.copy(there.spec) or "nothing" }
    end,
    reset = function() check(on:delete(MAKER, "road")) end,
  })
  operator:cancel()
  if not ok then error(why, 0) end
  let_go()
end)

test("Ready is not well: connectors, tasks, positions", function(t)
  check(on:delete(MAKER, "road"))
  local it, run = road(), laws.new_run()
  local task = require "vm.task"
  local applying = task.spawn(function() return it:apply(run) end)
  world:wait_for("KafkaMirrorMaker2 road", function()
    return world:get(MAKERS, "road")
  end)
  answered { "RUNNING", { "RUNNING", "FAILED" } }
  t.ok(applying:join())
  local made = world:get(MAKERS, "road").spec.mirrors[1]
  t.equal(made.topicsPattern, "apps\\..*")
  t.equal(made.sourceConnector.config["producer.override.max.request.size"], 3000000)
  t.equal(made.sourceConnector.config["sync.topic.configs.enabled"], false)

  local function says(...)
    local answer = t.ok(it:check(run))
    for _, pattern in ipairs { ... } do t.match(answer.text, pattern) end
    return answer
  end
  t.ok(not says("task 1 of old%->new.MirrorSourceConnector is FAILED: .*too large").ok)
  answered { "RUNNING", { "RUNNING" } }
  t.ok(says("copies from old to new, 0 records behind").ok)
  answered { "FAILED", {} }
  t.ok(not says("MirrorSourceConnector is FAILED", "has no task").ok)
  answered({ "RUNNING", { "RUNNING" } }, { "PAUSED", {} })
  t.ok(not says("MirrorCheckpointConnector is PAUSED").ok)
  answered { "RUNNING", { "RUNNING" } }
  stored("apps.a", 0, 0)
  t.ok(not says("positions stand still: 1 records behind for 400ms, in apps.a/0").ok)
  local moved = task.spawn(function()
    task.sleep(50)
    stored("apps.a", 0, 1)
  end)
  it = road { watch = "30s" }
  t.ok(says("0 records behind").ok)
  moved:join()
  local transactional <close> = check(old:client "write":producer { transactional_id = "tx" })
  check(transactional:init())
  check(transactional:begin())
  check(transactional:produce { { topic = "apps.a", partition = 1, value = "aborted" } })
  check(transactional:abort())
  it = road()
  t.ok(says("0 records behind").ok, "an aborted record and its marker are nobody's to copy")
  set_status(MAKERS, "road", { conditions = { { type = "NotReady", status = "True",
    reason = "KafkaError", message = "no such group" } } })
  t.ok(not says("KafkaError: no such group").ok)
  let_go()
end)

test("retired: the resource, and its own topics on both sides; data stays", function(t)
  local function reset()
    for _, name in ipairs { "old.checkpoints.internal", "old.heartbeats", NAMES.config,
      NAMES.offset, NAMES.status, "mm2-offset-syncs.old.internal", "apps.a" } do
      if not check(new:topic(name):exists()) then
        check(new:create_topic { name = name, partitions = 1 })
      end
    end
    check(on:apply(maker.resource { name = "road", version = V, topics = "apps\\..*",
      groups = ".*", source = { alias = "old", bootstrap = from.address },
      target = { alias = "new", bootstrap = to.address } }, { force = true }))
  end
  reset()
  check(old:create_topic { name = "heartbeats", partitions = 1 })
  local it, run = new:mirror_maker_retired { "road", from = old }, laws.new_run()
  local answer = t.ok(it:check(run))
  t.match(answer.text, "KafkaMirrorMaker2 road is there")
  t.match(answer.text, "on new: .*__road%-mirrormaker2%-offsets")
  local effects = laws.hold(t, { goal = function() return it end, stays = true,
    world = function() return {} end, reset = reset })
  t.equal(#effects, 7)
  t.ok(t.ok(it:check(run)).ok)
  local left = {}
  for _, topic in ipairs(check(new:topics "*")) do
    -- A coordinator's own topic comes with the first question for a group.
    if topic.name ~= "__consumer_offsets" then left[#left + 1] = topic.name end
  end
  t.equal(left, { "apps.a" })
  t.ok(check(old:topic "heartbeats":exists()), "it may be of others")
  let_go()
end)

test("retired: the syncs of a source, found by what the resource says", function(t)
  local resource = maker.resource { name = "road", version = V, topics = "a", groups = "b",
    offset_syncs = "source", source = { alias = "old", bootstrap = from.address },
    target = { alias = "new", bootstrap = to.address } }
  check(on:apply(resource, { force = true }))
  check(old:create_topic { name = "mm2-offset-syncs.new.internal", partitions = 1 })
  check(new:mirror_maker_retired { "road", from = old }:apply(laws.new_run()))
  t.equal(check(old:topic "mm2-offset-syncs.new.internal":exists()), false)
  t.equal(world:get(MAKERS, "road"), nil)
  let_go()
end)

test("everything ends", function(t)
  from:stop()
  to:stop()
  world:stop()
  t.ok(true)
end)
