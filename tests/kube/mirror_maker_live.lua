-- `mirror_maker` held against one that really runs: real definitions and API
-- server, real brokers, and Kafka's own Connect worker with MirrorMaker's own
-- connectors. Only the operator between them is a stand-in (tests/world/strimzi):
-- it starts the worker that the resource describes, and writes what its REST API
-- says into the status. Rights are taken away through KafkaUsers.
local test = ...
local json = require "vm.json"
local sys = require "vm.sys"
local face = require "strimzi.face"
local kubernetes = require "kube.kubernetes"
local maker = require "strimzi.mirror_maker"
local broker = dofile "tests/support/broker.lua"
local kube = dofile "tests/support/kube.lua"
local laws = dofile "tests/support/laws.lua"
local strimzi = dofile "tests/support/strimzi.lua"

local V = "v1"
local MAKERS = "kafkamirrormaker2s.v1.kafka.strimzi.io"
local check = broker.check
local SOURCE = maker.connector("old", "new", "Source")
local world, operators, on, old, new, old_admin, new_admin

local function rule(kind, name, pattern, operations, verdict)
  return { resource = { type = kind, name = name, patternType = pattern },
    operations = operations, type = verdict }
end

local CLUSTER = { resource = { type = "cluster" }, operations = { "Describe" } }
local READS = rule("topic", "apps.", "prefix", { "Read", "DescribeConfigs" })
--- What MirrorMaker may on the source: read, and keep its syncs there.
local READER = { CLUSTER, READS, rule("group", "*", "literal", { "Describe" }),
  rule("topic", "mm2-offset-syncs.", "prefix", { "All" }) }
local WRITER = { CLUSTER, rule("topic", "*", "literal", { "All" }),
  rule("group", "*", "literal", { "All" }) }

local function user(cluster, name, acls)
  return strimzi.of(V, "KafkaUser", cluster, name, { authentication = { type = "tls" },
    authorization = acls and { type = "simple", acls = acls } or nil })
end

local function give(cluster, name, acls)
  world:apply(user(cluster, name, acls))
  operators:wait("kafkausers", name, "Ready")
end

local function kafka(name)
  return strimzi.cluster(V, name, { authorization = { type = "simple",
    superUsers = { "CN=checker" } }, listeners = {
    { name = "plain", port = 9092, type = "internal", tls = false },
    { name = "tls", port = 9093, type = "internal", tls = true,
      authentication = { type = "tls" } } } })
end

local function let_go()
  for _, one in ipairs { old, new, old_admin, new_admin, on } do one:close() end
end

local function append(count)
  local producer <close> = check(old_admin:client "write":producer {})
  local list = {}
  for i = 1, count do
    list[i] = { topic = "apps.a", partition = i % 2, value = ("record %d"):format(i) }
  end
  for _, one in ipairs(check(producer:produce(list))) do
    if one.err then error(one.err, 0) end
  end
end

local function road(more)
  local args = { "road", from = old, topics = { "apps.*" }, watch = "30s", every = "1s",
    offset_syncs = "source", secrets = { ca = "left-cluster-ca-cert", user = "road-reader",
      login = "tls" } }
  for key, value in pairs(more or {}) do args[key] = value end
  return new:mirror_maker(args)
end

--- What the goal says once it says all of these.
local function says(it, run, ...)
  local wanted, answer = { ... }, nil
  local ok, why = pcall(world.wait_for, world, "such an answer", function()
    answer = check(it:check(run))
    for _, pattern in ipairs(wanted) do
      if not answer.text:find(pattern) then return nil end
    end
    return true
  end)
  if not ok then error(("%s: %s; it says: %s"):format(why, table.concat(wanted, ", "),
    answer and answer.text), 0) end
  return answer
end

local function is_ready()
  return strimzi.condition(world:get(MAKERS, "road"), "Ready").status == "True"
end

local function names(cluster)
  local list = {}
  for _, one in ipairs(check(cluster:topics "*")) do
    if one.name ~= "__consumer_offsets" then list[#list + 1] = one.name end
  end
  table.sort(list)
  return list
end

test("two Kafkas behind stand-in operators, with users of few rights", function(t)
  world = kube.start { parts = { "etcd", "apiserver" }, strimzi = "1.2.0" }
  operators = strimzi.start(world, V)
  local left_pool, left = kafka "left"
  local right_pool, right = kafka "right"
  world:apply { left_pool, left, right_pool, right, user("left", "checker"),
    user("left", "road-reader", READER), user("right", "road-writer", WRITER) }
  for _, name in ipairs { "left", "right" } do operators:wait("kafkas", name, "Ready") end
  for _, name in ipairs { "checker", "road-reader", "road-writer" } do
    operators:wait("kafkausers", name, "Ready")
  end
  on = kubernetes.new { name = "here", kubeconfig = world.kubeconfig }
  local function cluster(name, resource, listener, as)
    return face.new { name = name, strimzi = resource, on = on, listener = listener, user = as }
  end
  old, new = cluster("old", "left", "tls", "checker"), cluster("new", "right", "tls",
    "road-writer")
  old_admin, new_admin = cluster("old", "left", "plain"), cluster("new", "right", "plain")
  check(old_admin:create_topic { name = "apps.a", partitions = 2 })
  for _, one in ipairs { old_admin, new_admin } do
    check(one:create_topic { name = "mm2-offset-syncs.other.internal", partitions = 1 })
  end
  append(100)
  t.equal(names(new_admin), { "mm2-offset-syncs.other.internal" })
  let_go()
end)

test("forward: a worker is started, and records and positions arrive", function(t)
  check(old_admin:client "write":alter_group_offsets("readers", {
    { topic = "apps.a", partition = 0, offset = 50 } }))
  local run = laws.new_run()
  check(road():apply(run))
  local answer = says(road(), run, "MirrorMaker 2 road copies from old to new, 0 records behind")
  t.ok(answer.ok)
  for partition = 0, 1 do
    local list = check(new_admin:read { topic = "apps.a", partition = partition, from = "start",
      limit = 100 })
    t.equal(#list, 50)
  end
  world:wait_for("the group's position on the target", function()
    for _, one in ipairs(new_admin:group "readers":offsets() or {}) do
      if one.topic == "apps.a" and one.offset == 50 then return true end
    end
  end)
  local status = world:get(MAKERS, "road").status
  t.equal(#status.connectors, 2)
  t.match(status.connectors[1].tasks[1].worker_id, "^127.0.0.1:%d+$")
  let_go()
end)

test("a task that really fails is named with its trace, though the resource is Ready", function(t)
  local run = laws.new_run()
  give("right", "road-writer", { WRITER[1], WRITER[2], WRITER[3],
    rule("topic", "apps.a", "literal", { "Write" }, "deny") })
  append(10)
  local answer = says(road { watch = "1s" }, run, "task %d of " .. SOURCE:gsub("%-", "%%-")
    .. " is FAILED: org%.apache%.kafka%.connect%.errors%.ConnectException: ")
  t.ok(not answer.ok)
  t.note(answer.text)
  t.ok(not answer.text:find "\n", "the first line of the trace alone")
  t.ok(is_ready(), "Strimzi's operator calls it Ready, too")
  give("right", "road-writer", WRITER)
  world:kubectl("annotate", MAKERS, "road", ("strimzi.io/restart-connector=%s:"
    .. "includeTasks,onlyFailed"):format(SOURCE))
  t.ok(says(road(), run, "0 records behind").ok)
  let_go()
end)

test("a connector that somebody paused is named", function(t)
  local run = laws.new_run()
  local function set(state)
    world:kubectl("patch", MAKERS, "road", "--type=json", "-p", json.encode { {
      op = state and "add" or "remove", value = state,
      path = "/spec/mirrors/0/checkpointConnector/state" } })
  end
  set "paused"
  t.ok(not says(road(), run, "connector old%->new.MirrorCheckpointConnector is PAUSED").ok)
  set(nil)
  t.ok(says(road(), run, "0 records behind").ok)
  let_go()
end)

test("a position that stands still is noticed, though every task runs", function(t)
  local run = laws.new_run()
  give("left", "road-reader", { CLUSTER, READER[3], READER[4],
    rule("topic", "apps.", "prefix", { "Describe", "DescribeConfigs" }) })
  append(10)
  local answer = says(road { watch = "3s" }, run, "positions stand still: %d+ records behind "
    .. "for 3s, in apps.a/0, apps.a/1")
  t.ok(not answer.ok)
  t.ok(is_ready())
  for _, one in ipairs(world:get(MAKERS, "road").status.connectors) do
    t.equal(one.connector.state, "RUNNING")
    for _, one_task in ipairs(one.tasks) do t.equal(one_task.state, "RUNNING") end
  end
  give("left", "road-reader", READER)
  t.ok(says(road(), run, "0 records behind").ok)
  let_go()
end)

test("retired: resource, worker, its own topics on both sides, and only those", function(t)
  local host, port = world:get(MAKERS, "road").status.url:match "//(.*):(%d+)"
  local own = maker.names "road"
  t.equal(names(old_admin), { "apps.a", "mm2-offset-syncs.new.internal",
    "mm2-offset-syncs.other.internal" })
  t.equal(names(new_admin), { own.config, own.offset, own.status, "apps.a",
    "mm2-offset-syncs.other.internal", "old.checkpoints.internal" })
  local it, run = new:mirror_maker_retired { "road", from = old }, laws.new_run()
  check(it:apply(run))
  t.ok(check(it:check(run)).ok)
  t.equal(world:get(MAKERS, "road"), nil)
  t.equal(names(old_admin), { "apps.a", "mm2-offset-syncs.other.internal" })
  t.equal(names(new_admin), { "apps.a", "mm2-offset-syncs.other.internal" })
  t.equal(sys.probe_tcp(host, math.tointeger(tonumber(port)), 1000), nil, "its connectors went")
  local left = check(new_admin:read { topic = "apps.a", partition = 0, from = "start",
    limit = 100 })
  t.equal(#left, 60, "what it copied stays")
  let_go()
end)

test("everything ends", function(t)
  operators:stop()
  world:stop()
  t.ok(true)
end)
