--- The target stalls (SIGSTOP) with requests of the engine in its sockets; the
-- engine is killed and started again, the target goes on: one copy. The same
-- with the producer id switched off must show doubles, or this test would prove
-- nothing. A quota makes the broker leave a connection unread for seconds after
-- each request, so what the dead engine had sent really comes late.

local sys = require "vm.sys"
local task = require "vm.task"
local place = require "mirror.engine.place"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local PARTITIONS, ROUNDS, RECORDS = 3, 8, 100
local BYTES_PER_SECOND = 4000 -- that the copier may write to `new`
local COPIER = "tranship-mirror" -- its client id
--- Some batches are merged on the way, and a stall finds several in flight.
local CODECS = { "none", "none", "lz4" }

local function start(t, world, road, env)
  t.ok(sys.spawn {
    args = { sys.executable(), "mirror", "--config",
      place.path(road.name, "json"), "--state", world.state },
    env = env, stdin = "null", stdout = place.path(road.name, "log"),
    stderr = place.path(road.name, "log"), detached = true,
  }):close()
  while not world:engine_pid(road) do task.sleep(20) end
end

local function copied(world)
  local sum = 0
  for partition = 0, PARTITIONS - 1 do
    sum = sum + world:ends(world.new, "apps.slow", partition).stop
  end
  return sum
end

local function await_copied(t, world, road, more_than)
  local deadline = task.now() + 60000
  while copied(world) <= more_than do
    t.ok(task.now() < deadline, "nothing is copied\n" .. world:log(road))
    task.sleep(5)
  end
end

--- Stalls, kills, restarts, releases; gives the bridge when the late requests
-- have come.
local function stall(t, world, env)
  world:create(world.old, { { name = "apps.slow", partitions = PARTITIONS } })
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  sys.kill(world:engine_pid(road), "TERM")
  while world:engine_pid(road) do task.sleep(20) end
  world:quota(world.new, BYTES_PER_SECOND, COPIER)
  for round = 0, ROUNDS - 1 do
    for partition = 0, PARTITIONS - 1 do
      world:append(world.old, world.records("apps.slow", partition,
        round * RECORDS, RECORDS), { codec = CODECS[round % #CODECS + 1] })
    end
  end
  start(t, world, road, env)
  await_copied(t, world, road, 0)
  local broker = tonumber(sys.read_file(world.dir .. "/new/pid"))
  sys.kill(broker, "STOP")
  task.sleep(300)
  world:kill_engine(road)
  start(t, world, road, env)
  task.sleep(1000)
  sys.kill(broker, "CONT")
  local before = copied(world)
  await_copied(t, world, road, before)
  task.sleep(5000)
  world:quota(world.new, nil, COPIER)
  return road
end

--- Records of the target that are there more than once.
local function doubles(world)
  local count = 0
  for partition = 0, PARTITIONS - 1 do
    local seen = {}
    for _, rec in ipairs((world:read(world.new, "apps.slow", partition))) do
      local id = rec.timestamp
      if seen[id] then count = count + 1 end
      seen[id] = true
    end
  end
  return count
end

test("a stalled broker gets one copy", function(t)
  local world <close> = world_of.new(t)
  local road = stall(t, world)
  world:settle(road, 120000)
  for partition = 0, PARTITIONS - 1 do
    world:must_be_same("apps.slow", partition, true)
  end
  t.equal(doubles(world), 0)
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  t.note(answer.text)
end)

test("without a producer id there are doubles", function(t)
  local world <close> = world_of.new(t)
  local road = stall(t, world,
    { TRANSHIP_TEST_NO_PRODUCER_ID = world.dir .. "/new" })
  local deadline = task.now() + 60000
  while doubles(world) == 0 and task.now() < deadline do task.sleep(1000) end
  t.note(doubles(world) .. " records are there twice")
  t.ok(doubles(world) > 0, "the control run showed no doubles\n"
    .. world:log(road))
  for _, row in ipairs(t.ok(road:progress())) do
    if row.text then t.note(row.text) end
  end
end)

test("the switch is refused outside tests", function(t)
  local done = t.ok(sys.run { "env", "TRANSHIP_TEST_NO_PRODUCER_ID=/nowhere",
    sys.executable(), "mirror", "x", "--from",
    "127.0.0.1:1", "--to", "127.0.0.1:1" })
  t.equal(done.code, 4)
  t.match(done.stderr, "refused outside tests")
end)
