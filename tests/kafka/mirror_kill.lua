--- The engine is killed (-9) at random moments while records keep coming, every
-- second time with the target stalled (SIGSTOP) and requests in its sockets; in
-- the end there is exactly one copy of everything. MIRROR_KILLS says how often
-- (`make soak`: 10,000 times).

local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local KILLS = tonumber(sys.env "MIRROR_KILLS" or 100)
local LONGEST_MS = 1200

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

--- Kills and starts the engine again. A stalled target goes on once the next
-- engine has begun to talk to it.
local function kill(world, road, stalled)
  local broker = math.tointeger(tonumber(
    sys.read_file(world.dir .. "/new/pid")))
  if stalled then
    sys.kill(broker, "STOP")
    task.sleep(random(50))
  end
  world:kill_engine(road)
  world:start_engine(road)
  if stalled then
    task.sleep(random(300))
    sys.kill(broker, "CONT")
  end
end

test("killed again and again, there is one copy of everything", function(t)
  local world <close> = world_of.new(t)
  local old = world.old
  world:create(old, {
    { name = "apps.plain", partitions = 2 }, { name = "apps.mixed" },
  })
  world:make_mapped "apps.mixed"
  world:append(old, world.records("apps.plain", 0, 0, 3000))
  t.ok(old:client("write"):delete_records {
    { topic = "apps.plain", partition = 0, before = 2000 },
  })
  world:append(old, world.records("apps.mixed", 0, 0, 300),
    { transaction = "commit" })
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  local stop = world:load(old,
    { { "apps.plain", 0 }, { "apps.plain", 1 }, { "apps.mixed", 0 } }, 40)
  for round = 1, KILLS do
    task.sleep(random(LONGEST_MS))
    kill(world, road, round % 2 == 0)
    if round % 10 == 0 then
      world:append(old, world.records("apps.mixed", 0, round * 1000, 20),
        { transaction = round % 20 == 0 and "commit" or "abort" })
      t.note(("%d kills"):format(round))
    end
    while not world:engine_pid(road) do task.sleep(5) end
  end
  local count = stop()
  world:settle(road, 60000)
  t.note(("%d records while it was killed %d times"):format(count, KILLS))
  world:must_be_same("apps.plain", 0, true)
  world:must_be_same("apps.plain", 1, true)
  world:must_be_same("apps.mixed", 0)
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  t.note(answer.text)
end)
