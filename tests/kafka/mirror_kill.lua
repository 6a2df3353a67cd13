--- Engines are killed (-9) at random moments while records keep coming, every
-- second time with the target stalled (SIGSTOP) and requests in its sockets; in
-- the end there is exactly one copy of everything. MIRROR_KILLS says how often
-- in all (`make soak`: 10,000 times). An engine is up again within a fraction of
-- a second, so most of the time goes into letting it work: several bridges side
-- by side, each with an engine of its own that is killed, make the most of it.

local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local KILLS = tonumber(sys.env "MIRROR_KILLS" or 1000)
local BRIDGES = 8
local LONGEST_MS = 1200
local PATIENCE_MS = 120000

local function random(most)
  local a, b, c = sys.random(3):byte(1, 3)
  return (a << 16 | b << 8 | c) % most
end

test("brokers that are killed and come back cost nothing", function(t)
  local world <close> = world_of.new(t)
  local old = world.old
  world:create(old, {
    { name = "apps.plain", partitions = 2 }, { name = "apps.mixed" },
  })
  world:make_mapped "apps.mixed"
  world:append(old, world.records("apps.mixed", 0, 0, 300),
    { transaction = "commit" })
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  local stop = world:load(old,
    { { "apps.plain", 0 }, { "apps.plain", 1 }, { "apps.mixed", 0 } }, 40)
  local pid = world:engine_pid(road)
  for _, name in ipairs { "new", "old", "new" } do
    task.sleep(1000)
    local dir = world.dir .. "/" .. name
    t.equal(sys.run({ here .. "/../world/cluster", "kill", dir }).code, 0)
    t.equal(sys.run({ here .. "/../world/cluster", "up", dir }).code, 0)
  end
  task.sleep(1000)
  local count = stop()
  world:settle(road, 120000)
  t.equal(world:engine_pid(road), pid, "the engine went on")
  t.note(("%d records while brokers were killed"):format(count))
  world:must_be_same("apps.plain", 0, true)
  world:must_be_same("apps.plain", 1, true)
  world:must_be_same("apps.mixed", 0)
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
end)

--- Stalls the target, unless it is stalled already; gives what releases it.
local function stall(world)
  if world.stalled then return function() end end
  local broker = math.tointeger(tonumber(
    sys.read_file(world.dir .. "/new/pid")))
  world.stalled = true
  sys.kill(broker, "STOP")
  task.sleep(random(50))
  return function()
    task.sleep(random(300))
    sys.kill(broker, "CONT")
    world.stalled = false
  end
end

--- Kills and starts the engine again. A stalled target goes on once the next
-- engine has begun to talk to it.
local function kill(world, road, stalled)
  local release = stalled and stall(world)
  world:kill_engine(road)
  world:start_engine(road)
  if release then release() end
  world:await("another engine of " .. road.name,
    function() return world:engine_pid(road) end)
end

--- A bridge with a partition whose start was removed, an empty one, and a mapped
-- one with transactions.
local function make(t, world, number)
  local old, name = world.old, "apps" .. number
  local plain, mixed = name .. ".plain", name .. ".mixed"
  world:create(old, { { name = plain, partitions = 2 }, { name = mixed } })
  world:make_mapped(mixed)
  world:append(old, world.records(plain, 0, 0, 3000))
  t.ok(old:client("write"):delete_records {
    { topic = plain, partition = 0, before = 2000 },
  })
  world:append(old, world.records(mixed, 0, 0, 300),
    { transaction = "commit" })
  local road = world:bridge { name = name, topics = { name .. ".*" } }
  world:reach(road:open())
  return { road = road, plain = plain, mixed = mixed }
end

--- Kills one bridge's engine so many times.
local function kill_often(world, one, times)
  for round = 1, times do
    task.sleep(random(LONGEST_MS))
    kill(world, one.road, round % 2 == 0)
    if round % 10 == 0 then
      world:append(world.old, world.records(one.mixed, 0, round * 1000, 20),
        { transaction = round % 20 == 0 and "commit" or "abort" })
    end
  end
end

local function must_be_whole(t, world, one)
  world:settle(one.road, PATIENCE_MS)
  world:must_be_same(one.plain, 0, true)
  world:must_be_same(one.plain, 1, true)
  world:must_be_same(one.mixed, 0)
  local answer = t.ok(one.road:same_records())
  t.ok(answer.ok, answer.text)
end

--- Engines that had claimed their bridge and read where to go on.
local function at_work(world, list)
  local count = 0
  for _, one in ipairs(list) do
    count = count + select(2, world:log(one.road):gsub("engine %d+ works", ""))
  end
  return count
end

test("killed again and again, there is one copy of everything", function(t)
  local world <close> = world_of.new(t)
  local list, loaded = {}, {}
  for number = 1, math.min(BRIDGES, KILLS) do
    local one = make(t, world, number)
    list[number] = one
    table.move({ { one.plain, 0 }, { one.plain, 1 }, { one.mixed, 0 } }, 1, 3,
      #loaded + 1, loaded)
  end
  local stop, began = world:load(world.old, loaded, 5), task.now()
  local works, killed = {}, 0
  for number, one in ipairs(list) do
    local times = KILLS // #list + (number <= KILLS % #list and 1 or 0)
    works[number] = function()
      kill_often(world, one, times)
      killed = killed + times
      t.note(("%d kills, %.0f s"):format(killed, (task.now() - began) / 1000))
    end
  end
  t.ok(task.together(works))
  local count = stop()
  t.note(("%d records while %d engines were killed, %d of them at work"):format(
    count, killed, at_work(world, list)))
  for _, one in ipairs(list) do must_be_whole(t, world, one) end
end)
