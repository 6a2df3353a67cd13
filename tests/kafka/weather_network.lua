--- Bad weather around an engine that is never touched: it goes on by itself,
-- and in the end there is one copy, at the same offsets.
--   The network to both clusters: connections are cut, reset in the middle of
--   requests, slowed, held, refused, and left open with nobody behind.
--   The target's disk: full in the middle of a copy, until somebody makes room.
--   Where no disk may be mounted, a limit on the size of the broker's files stands
--   for it; the test says which it was.

local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local weather_of = loadfile(here .. "/lib/weather.lua")(here .. "/lib")

local TOPIC, PARTITIONS = "apps.stormy", 3
local ROUNDS, LONGEST_MS = 2, 700
local DISK, ROOM_KB = "512m", 4000 -- the target's; what is left when it is full
local FILE_LIMIT = 12000000  -- bytes; an index takes 10 MB when it is made
local LARGE, LARGE_BYTES = 1500, 10000
local PATIENCE_MS = 120000

--- Every kind, with what it takes.
local KINDS = { "cut", "reset", "refuse", "hold", "slow 20000", "lose 30000" }

local function random(most)
  local a, b = sys.random(2):byte(1, 2)
  return (a << 8 | b) % most
end

local function partitions()
  local list = {}
  for partition = 0, PARTITIONS - 1 do
    list[#list + 1] = { TOPIC, partition }
  end
  return list
end

--- What the bridge says of its records; a broker that has just come back may
-- end the first call.
local function same_records(t, road)
  local answer, why = road:same_records()
  if not answer and why.retriable then answer, why = road:same_records() end
  return t.ok(answer, why)
end

--- One copy at the same offsets, by the engine that began.
local function must_be_whole(t, world, road, pid)
  world:settle(road, PATIENCE_MS)
  t.equal(world:engine_pid(road), pid, "the engine went on by itself")
  local found = 0
  for partition = 0, PARTITIONS - 1 do
    found = found + world:must_be_same(TOPIC, partition, true)
  end
  local answer = same_records(t, road)
  t.ok(answer.ok, answer.text)
  return found
end

--- Bad networks under load; how many records came meanwhile.
local function storm(weather)
  local world = weather.world
  local stop = world:load(world.old, partitions(), 30)
  for _ = 1, ROUNDS do
    for _, kind in ipairs(KINDS) do
      for _, side in ipairs { "old", "new" } do
        weather:order(side, kind)
        task.sleep(random(LONGEST_MS))
        weather:order(side, "pass")
      end
    end
  end
  -- Both at once, and then connections that nobody answers any more: only a
  -- request's own timeout tells the engine.
  for _, kind in ipairs { "reset", "freeze" } do
    weather:order("old", kind)
    weather:order("new", kind)
    task.sleep(1000)
  end
  return stop()
end

--- Waits until the broker of `new` has ended by itself.
local function await_death(t, broker)
  local until_ms = task.now() + PATIENCE_MS
  while sys.process(broker) do
    t.ok(task.now() < until_ms, "the broker lives on a full disk")
    task.sleep(100)
  end
end

local function must_run(t, words)
  local done = t.ok(sys.run(words))
  t.equal(done.code, 0, done.stderr)
  return done.stdout
end

--- A command where the disk of `new` is mounted, if it has one of its own.
local function beside_disk(world, ...)
  local holder = sys.read_file(world.dir .. "/disk")
  if not holder then return { ... } end
  return { "nsenter", "-m", "-t", holder:match "%d+", ... }
end

local function resize(t, world, size)
  must_run(t, beside_disk(world, "mount", "-o", "remount,size=" .. size,
    world.dir .. "/new/data"))
end

--- Leaves little room for what broker `new` writes.
local function limit(t, world, broker)
  if not sys.stat(world.dir .. "/disk") then
    t.note "no disk may be mounted: the size of the broker's files is limited (EFBIG)"
    must_run(t, { "prlimit", "--pid", tostring(broker), "--fsize=" .. FILE_LIMIT })
    return
  end
  local used = must_run(t, beside_disk(world, "df", "-k", "--output=used",
    world.dir .. "/new/data")):match "%d+"
  resize(t, world, ("%dk"):format(used + ROOM_KB))
  t.note(("a disk of its own: %d KB are used, %d KB are left (ENOSPC)"):format(
    used, ROOM_KB))
end

--- Fills the disk of `new` in the middle of a copy; it ends.
local function fill_disk(t, world)
  local broker = math.tointeger(tonumber(
    sys.read_file(world.dir .. "/new/pid")))
  limit(t, world, broker)
  local records = world.records(TOPIC, 0, 1, LARGE)
  for _, one in ipairs(records) do
    one.value = (one.value or "") .. ("y"):rep(LARGE_BYTES)
  end
  world:append(world.old, records)
  await_death(t, broker)
end

local function make_room(t, world)
  if sys.stat(world.dir .. "/disk") then
    t.match(sys.read_file(world.dir .. "/new/broker.log"), "No space left on device")
    resize(t, world, DISK)
  end
  local program = must_run(t, { "realpath", here .. "/../world/cluster" })
  must_run(t, beside_disk(world, program:match "[^\n]+", "up", world.dir .. "/new"))
end

test("a bad network, a full disk: one copy, at the same offsets", function(t)
  local weather <close> = weather_of.new(t, "DISK=" .. DISK)
  local world = weather.world
  world:create(world.old, { { name = TOPIC, partitions = PARTITIONS } })
  local road = weather:open { topics = { "apps.*" } }
  local pid = t.ok(world:engine_pid(road))
  local count = storm(weather)
  t.ok(count > 0)
  t.equal(must_be_whole(t, world, road, pid), count, "records, none twice")
  t.note(("%d records in bad weather"):format(count))
  local before = world:ends(world.new, TOPIC, 0).stop
  fill_disk(t, world)
  t.equal(world:engine_pid(road), pid, "the engine waits")
  make_room(t, world)
  t.ok(world:ends(world.new, TOPIC, 0).stop < before + LARGE,
    "all of it had been copied: the disk was not full")
  t.equal(must_be_whole(t, world, road, pid), count + LARGE)
end)
