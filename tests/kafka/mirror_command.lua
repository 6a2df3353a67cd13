--- `tranship mirror` by itself, without a runbook: it opens its bridge, copies,
-- tells how it goes, serves metrics and health, and stops in order.

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local prometheus = dofile "tests/support/prometheus.lua"

local function mirror(world, ...)
  return { sys.executable(), "mirror", "road", "--from", world.old.bootstrap,
    "--to", world.new.bootstrap, "--state", world.state, ... }
end

local function run(t, world, ...)
  return t.ok(sys.run { args = mirror(world, ...), stdin = "null" })
end

--- Status and body of a page; through curl, which is somebody else's client.
local function get(t, address, path)
  local done = t.ok(sys.run { "curl", "-s", "-S", "-w", "\n%{http_code}",
    "http://" .. address .. path })
  t.equal(done.code, 0, done.stderr)
  local body, status = done.stdout:match "^(.*)\n(%d+)\n*$"
  return math.tointeger(tonumber(status)), body
end

--- Waits until `is_so()` gives a value.
local function await(t, what, is_so)
  local deadline = task.now() + 60000
  repeat
    local value = is_so()
    if value then return value end
    task.sleep(100)
  until task.now() > deadline
  t.fail("never so: " .. what)
end

--- The engine as a child, its log in a file; where its metrics are.
local function start(t, world, ...)
  local log = world.dir .. "/engine.log"
  sys.remove(log)
  local process = t.ok(sys.spawn { args = mirror(world, ...), stdin = "null",
    stdout = log, stderr = log })
  local address = await(t, "metrics told", function()
    return (sys.read_file(log) or ""):match "metrics at http://([%d%.:]+)/"
  end)
  return process, address, log
end

local function metrics(t, address)
  local status, page = get(t, address, "/metrics")
  t.equal(status, 200)
  local series, problems = prometheus.read(page)
  t.equal(problems, {})
  return function(name) return series["tranship_mirror_" .. name] end
end

--- Quotas of our client id alone, on either side: the copier waits as it is told,
-- the metrics and the progress say so, and nothing is lost.
local function throttled(t, world, address, log)
  local QUOTA, BATCH, WAITED_S = 10000, 10240, 3
  local function waited()
    return metrics(t, address) "throttled_seconds_total"
  end
  world:create(world.old, { { name = "apps.q", configs = {
    ["max.message.bytes"] = tostring(BATCH) } } })
  local count = 0
  for at, key in pairs { new = "producer_byte_rate",
    old = "consumer_byte_rate" } do
    world:quota(world[at], QUOTA, "tranship-mirror", key)
    local before = waited()
    world:append(world.old, world.records("apps.q", 0, count, 6000),
      { batch = "100" })
    count = count + 6000
    await(t, "brokers let it wait on " .. at, function()
      return waited() - before >= WAITED_S
    end)
    t.ok(world:ends(world.new, "apps.q", 0).stop < count, at)
    world:quota(world[at], nil, "tranship-mirror", key)
    world:await("all of it copied", function()
      return world:ends(world.new, "apps.q", 0).stop == count
    end)
  end
  t.match(sys.read_file(log), "brokers let connections wait %(quotas%): ")
  t.equal(world:must_be_same("apps.q", 0, true), count)
end

test("a bridge that nobody opened: opened, copied, told, stopped", function(t)
  local world <close> = world_of.new(t)
  local old, new = world.old, world.new
  world:create(old, { { name = "apps.a", partitions = 2 },
    { name = "apps.b" }, { name = "other" } })
  for partition = 0, 1 do
    world:append(old, world.records("apps.a", partition, 0, 3000))
  end
  world:append(old, world.records("other", 0, 0, 10))

  -- Once, with JSON lines; from nothing.
  local done = run(t, world, "--topics", "apps.*", "--once", "-o", "json",
    "--progress", "100ms", "--metrics", "off")
  t.equal(done.code, 0, done.stderr)
  for partition = 0, 1 do world:must_be_same("apps.a", partition, true) end
  local there = t.ok(new:client("read"):describe_topics { "other", "apps.b" })
  t.equal({ there.other == nil, there["apps.b"] ~= nil }, { true, true })
  local said
  for line in done.stdout:gmatch "[^\n]+" do
    said = t.ok(json.decode(line))
    t.equal({ said.format, said.bridge }, { 1, "road" })
  end
  t.equal({ said.phase, said.records, said.lag }, { "ended", 6000, 0 })

  -- A pattern that matches nothing is not "caught up"; one cluster is not two.
  local function odd(name, to, topics)
    return t.ok(sys.run { stdin = "null", args = { sys.executable(), "mirror", name,
      "--from", old.bootstrap, "--to", to, "--state", world.state, "--topics", topics,
      "--once", "--metrics", "off" } })
  end
  local ended = odd("regex", new.bootstrap, ".*")
  t.equal(ended.code, 1, ended.stderr)
  t.match(ended.stderr, "no topic of from matches %.%*; in patterns only %* is special")
  ended = odd("itself", old.bootstrap, "other")
  t.equal(ended.code, 4, ended.stderr)
  t.match(ended.stderr, "from a cluster to itself: cluster from %(.- and cluster to %(.- are both ")
  t.equal(world:ends(old, "other", 0).stop, 10)

  -- Again: what is described otherwise is refused, and changes nothing.
  done = run(t, world, "--topics", "*", "--offsets", "mapped", "--once")
  t.equal(done.code, 4, done.stderr)
  t.match(done.stderr, 'topics is %[%["apps.%*"%]%] there.*offsets is')

  -- By its name alone, for as long as it is wanted.
  world:append(old, world.records("apps.b", 0, 0, 500))
  local process <close>, address, log = start(t, world, "--progress", "200ms",
    "--by-topic", "-o", "text")
  await(t, "everything copied", function()
    return metrics(t, address) 'copied_records_total{topic="apps.b"}' == 500
  end)
  local value = metrics(t, address)
  t.equal(value "ready", 1)
  t.equal(value 'partitions{state="copying"}', 3)
  t.equal(value 'lag_records{topic="apps.a"}', 0)
  t.equal(value 'source_offset{partition="1",topic="apps.a"}', 3000)
  t.equal(value 'partitions_by_offsets{offsets="same"}', 3)
  t.ok(value "claim_number" >= 2)
  t.equal(select(1, get(t, address, "/nothing")), 404)
  t.equal(select(1, get(t, address, "/healthz")), 200)
  local status, body = get(t, address, "/readyz")
  t.equal({ status, t.ok(json.decode(body)).ready }, { 200, true })
  await(t, "progress told", function()
    return sys.read_file(log):match "3 of 3 partitions copying.-\n  apps%.a"
  end)

  throttled(t, world, address, log)

  -- A stranger writes to the target: named, in health and metrics.
  world:append(new, world.records("apps.b", 0, 9000, 2))
  await(t, "not ready", function()
    status, body = get(t, address, "/readyz")
    return status == 503
  end)
  t.match(t.ok(json.decode(body)).reason, "apps.b/0: .*somebody else writes")
  await(t, "halted in the metrics", function()
    value = metrics(t, address)
    return value 'halted_partitions{reason="foreign"}' == 1
      or value 'halted_partitions{reason="diverged"}' == 1
  end)
  t.equal(value "ready", 0)
  t.equal(select(1, get(t, address, "/healthz")), 200)

  -- One engine at a time here; TERM ends it in order, its positions written.
  done = run(t, world, "--once")
  t.equal(done.code, 4, done.stderr)
  t.match(done.stderr, "copied by another process here")
  world:append(old, world.records("apps.a", 0, 3000, 100))
  await(t, "copied", function()
    return metrics(t, address) 'source_offset{partition="0",topic="apps.a"}'
      == 3100
  end)
  sys.kill(process.pid, "TERM")
  t.equal(t.ok(process:wait()).code, 0, sys.read_file(log))
  local road = world:bridge { topics = { "apps.*" } }
  for _, row in ipairs(t.ok(road:progress())) do
    if row.topic == "apps.a" then
      t.equal(row.source, row.partition == 0 and 3100 or 3000)
    end
  end

  -- "Once" does not call it done when a partition has stopped.
  done = run(t, world, "--once")
  t.equal(done.code, 1, done.stderr)
  t.match(done.stderr, "1 partitions have stopped: apps.b/0")
end)
