-- Credentials that are renewed under a copying engine: a SCRAM password and the
-- clients' certificate by the User Operator, the brokers' authority by the Cluster
-- Operator. A run works, and hands them on; nothing is started anew, lost or
-- doubled. Once with the engine as a process of this machine, once as a Deployment.
-- Real API server and brokers; Strimzi's operators are the stand-in of
-- tests/world/strimzi, pods are processes.
local test = ...
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local context = require "base.context"
local face = require "strimzi.face"
local kubernetes = require "kube.kubernetes"
local place = require "mirror.engine.place"
local broker = dofile "tests/support/broker.lua"
local kube = dofile "tests/support/kube.lua"
local strimzi = dofile "tests/support/strimzi.lua"

local V = "v1beta2"
local check = broker.check
local POD = "app.kubernetes.io/instance=tranship-"
local world, operators, dir, on, old, new

--- The engine is "migration" on the source and "mover" on the target; the run is
-- somebody else on the source.
local BOOK = [[
runbook "renewed" { version = "1" }
local here = kubernetes "here" { kubeconfig = "%s" }
local old = cluster "old" { strimzi = "left", on = here, listener = "scram", user = "watcher" }
local new = cluster "new" { strimzi = "right", on = here, listener = "tls", user = "mover" }
local road = bridge "%s" { from = old, to = new, topics = { "%s" }%s }
step "Open it"  { ensure = road:open { as = "migration" }, timeout = "5m" }
step "Stay"     { verify = function() return false end, timeout = "20m" }
]]

local function user(cluster, name, kind)
  return strimzi.of(V, "KafkaUser", cluster, name, { authentication = { type = kind } })
end

local function kafka(name, supers)
  local function listener(of, port, kind)
    return { name = of, port = port, type = "internal", tls = kind ~= nil,
      authentication = kind and { type = kind } or nil }
  end
  return strimzi.cluster(V, name, { authorization = { type = "simple", superUsers = supers },
    listeners = { listener("plain", 9092), listener("tls", 9093, "tls"),
      listener("scram", 9094, "scram-sha-512") } })
end

local function let_go()
  for _, one in ipairs { old, new, on } do one:close() end
end

--- Each bridge's run has a state folder of its own: a run that was stopped keeps
-- the clusters to itself.
local function state_of(name) return ("%s/%s-state"):format(dir, name) end

--- A run that opens the bridge and stays (it asks what never becomes so, and no
-- broker: single ones restart here, which a question may not outlive), and how to end it.
local function start(name, more)
  local file = ("%s/%s.lua"):format(dir, name)
  assert(sys.write_file(file, BOOK:format(world.kubeconfig, name, name .. ".*", more or "")))
  local log = file .. ".log"
  local process = assert(sys.spawn { args = { sys.executable(), "run", file, "--yes" },
    stdin = "null", stdout = log, stderr = log, cwd = dir,
    env = { TRANSHIP_STATE = state_of(name) } })
  local run = { log = function() return sys.read_file(log) or "" end }
  function run.is_alive()
    local seen = sys.process(process.pid)
    return seen ~= nil and seen.state ~= "dead"
  end
  function run.stop()
    if not run.is_alive() then return end
    process:kill "INT"
    process:wait()
  end
  return setmetatable(run, { __close = function()
    if run.is_alive() then process:kill "KILL" end
    process:close()
  end })
end

local function await(what, run, is_so)
  local ok, value = pcall(world.wait_for, world, what, is_so, 120000)
  if not ok then error(value .. "\n" .. run.log(), 0) end
  return value
end

local function append(topic, first, count)
  local producer <close> = check(old:client "write":producer {})
  local list = {}
  for i = 1, count do
    list[i] = { topic = topic, partition = 0, value = ("%d"):format(first + i) }
  end
  for _, one in ipairs(check(producer:produce(list))) do
    if one.err then error(one.err, 0) end
  end
end

local function read(at, topic)
  local values = {}
  for i, one in ipairs(at:read { topic = topic, partition = 0, limit = 10000 } or {}) do
    values[i] = one.value
  end
  return values
end

--- Waits until every record has arrived, once and in order.
local function must_arrive(t, run, topic, count)
  await(("%d records of %s"):format(count, topic), run, function()
    return #read(new, topic) >= count
  end)
  t.equal(read(new, topic), read(old, topic))
  t.equal(#read(new, topic), count)
end

--- The operator makes a user's Secret anew, as when it was deleted by hand.
local function renew_user(name)
  local before = json.encode(operators:secret(name))
  world:kubectl("delete", "secret", name)
  world:kubectl("annotate", "kafkauser", name, "look=" .. sys.hex(sys.random(4)), "--overwrite")
  world:wait_for("another Secret of " .. name, function()
    local now = operators:secret(name)
    return now and json.encode(now) ~= before
  end)
  operators:wait("kafkausers", name, "Ready")
end

--- The brokers' authority gets a new key, and the broker restarts with a
-- certificate of it.
local function renew_authority(name)
  local function starts()
    return select(2, sys.read_file(operators.log):gsub(name .. ": the broker was started", ""))
  end
  local before = starts()
  world:kubectl("annotate", "kafka", name, "stand-in/renews=cluster-ca " .. sys.hex(sys.random(4)),
    "--overwrite")
  world:wait_for("a broker with a certificate of another authority", function()
    return starts() > before
  end)
end

test("two Kafkas behind stand-in operators, with users", function(t)
  dir = assert(sys.temporary_folder "tranship-renewed")
  context.get().state = state_of "near"
  world = kube.start { strimzi = "0.51.0", bin = sys.executable():match "^(.*)/" }
  operators = strimzi.start(world, V)
  local left_pool, left = kafka("left", { "watcher", "migration" })
  local right_pool, right = kafka("right", { "CN=mover" })
  world:apply { left_pool, left, right_pool, right, user("left", "watcher", "scram-sha-512"),
    user("left", "migration", "scram-sha-512"), user("right", "mover", "tls") }
  for _, name in ipairs { "left", "right" } do operators:wait("kafkas", name, "Ready") end
  for _, name in ipairs { "watcher", "migration", "mover" } do
    operators:wait("kafkausers", name, "Ready")
  end
  on = kubernetes.new { name = "here", kubeconfig = world.kubeconfig }
  old = face.new { name = "old", strimzi = "left", on = on, listener = "plain" }
  new = face.new { name = "new", strimzi = "right", on = on, listener = "plain" }
  for _, name in ipairs { "near.a", "far.a" } do
    check(old:create_topic { name = name, partitions = 1 })
    append(name, 0, 100)
  end
  t.ok(true)
  let_go()
end)

--- Renews these users, and then these Kafkas' authorities, whose brokers restart:
-- nobody gets in again but with what is new. Records are under way; `engine()` is
-- how one tells that it is still the same.
local function renewed_under(t, run, topic, engine, users, kafkas)
  must_arrive(t, run, topic, 100)
  local before = engine()
  local count = 100
  local function go_on()
    append(topic, count, 50)
    count = count + 50
    must_arrive(t, run, topic, count)
  end
  for _, name in ipairs(users) do renew_user(name) end
  go_on()
  for _, name in ipairs(kafkas) do
    renew_authority(name)
    go_on()
  end
  t.equal(engine(), before, "it is the same engine")
  t.ok(run.is_alive(), run.log())
end

test("an engine on this machine is handed what is renewed, and is not restarted", function(t)
  local run <close> = start "near"
  await("a bridge that copies", run, function() return run.log():find "Stay: begins" end)
  renewed_under(t, run, "near.a", function() return assert(place.holder "near").pid end,
    { "migration", "watcher", "mover" }, { "left", "right" })
  local config = assert(sys.read_file(place.path("near", "json")))
  t.match(config, '"user":"migration"')
  t.match(config, '"password":"given"')
  local log = assert(sys.read_file(place.path("near", "log")))
  t.match(log, "old: logs in with new credentials from now on")
  t.match(log, "new: logs in with new credentials from now on")
  for _, name in ipairs { "migration", "watcher" } do
    local word = operators:secret(name).password
    local found = sys.run { "grep", "-rlF", word, dir }
    t.equal(found.stdout, "", "files with the password of " .. name)
  end
  run.stop()
  t.match(run.log(), "bridge near copies on %(process %d+ on [^,]+, 0 records behind",
    "the run gets in, too")
  local _, noted = sys.run { "grep", "-rhF", '"kind":"renewal"', state_of "near" .. "/runs" }
    .stdout:gsub("\n", "")
  t.ok(noted >= 2, "renewals in the journal: " .. noted)
  sys.kill(assert(place.holder "near").pid, "TERM")
  world:wait_for("end of the engine", function() return not place.holder "near" end)
  let_go()
end)

local function pod()
  local list = json.decode(world:kubectl("get", "pods", "-l", POD .. "far", "-o", "json")).items
  local one = list[1] and list[1].status.containerStatuses
  return one and { list[1].metadata.name, one[1].containerID, one[1].restartCount }
end

test("pods read what is renewed in their Secret, and are not restarted", function(t)
  local run <close> = start("far", ", on = here")
  await("a bridge that copies", run, function() return run.log():find "Stay: begins" end)
  renewed_under(t, run, "far.a", pod, { "migration" }, { "left" })
  local held = world:get("secret", "tranship-far").data
  t.equal(sys.from_base64(held["from.login.password"]), operators:secret "migration".password)
  run.stop()
  let_go()
end)

test("everything ends", function(t)
  operators:stop()
  world:stop()
  sys.run { "rm", "-rf", dir }
  context.get().state = nil
  t.ok(task.now() > 0)
end)
