--- Two engines at once on one bridge, and an engine that sleeps through a turn:
-- the newer claim works, the older one ends, and nothing is written twice.

local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local function ends_within(t, process, ms)
  local done = t.ok(task.deadline(ms, function() return process:wait() end))
  process:close()
  return done
end

test("a second engine takes over, the first one ends", function(t)
  local world <close> = world_of.new(t)
  local old = world.old
  world:create(old, {
    { name = "apps.a", partitions = 2 }, { name = "apps.mixed" },
  })
  world:make_mapped "apps.mixed"
  world:append(old, world.records("apps.mixed", 0, 0, 100),
    { transaction = "commit" })
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  local stop = world:load(old,
    { { "apps.a", 0 }, { "apps.a", 1 }, { "apps.mixed", 0 } }, 40)
  local before
  for round = 1, 4 do
    local rival = world:rival_engine(road, "rival" .. round)
    if before then
      t.equal(ends_within(t, before, 30000).code, 0)
    else
      while world:engine_pid(road) do task.sleep(20) end
    end
    before = rival
    t.note(("round %d: the older engine has ended"):format(round))
    task.sleep(300)
  end
  stop()
  world:settle(road)
  sys.kill(before.pid, "TERM")
  t.equal(ends_within(t, before, 15000).code, 0)
  for partition = 0, 1 do world:must_be_same("apps.a", partition, true) end
  world:must_be_same("apps.mixed", 0)
end)

--- Turns to `writer`; an engine that sleeps is woken as soon as the turn is
-- under way, or after a moment.
local function turn_woken(t, world, road, sleeper, writer, moment)
  local seen = world:bridge { topics = { "apps.*" } } -- which looks for itself
  local is_over = false
  local waking = task.spawn(function()
    if moment then task.sleep(moment) end
    while not moment and not is_over and seen:writer_of "apps.a" ~= "turning" do
      task.sleep(2)
    end
    sys.kill(sleeper.pid, "CONT")
    return not is_over
  end)
  t.ok(road:turn({ "apps.a", "apps.mixed" }, { writer = writer, within = "60s" }))
  is_over = true
  local _, in_time = waking:join()
  return in_time
end

--- Turns forth and back under writers' records; each time the engine that
-- copied before was stopped with work at hand, and wakes in the middle.
local function wakes_in_turns(t, world, road, engine)
  local first, in_time = 6000, 0
  for round, moment in ipairs { false, 300, false, 700 } do
    local at = round % 2 == 1 and world.new or world.old
    local to = round % 2 == 1 and world.old or world.new
    local stop = world:load(at, { { "apps.a", 0 }, { "apps.a", 1 },
      { "apps.mixed", 0 } }, 40)
    task.sleep(300)
    local sleeper = engine
    sys.kill(sleeper.pid, "STOP")
    stop()
    engine = world:rival_engine(road, "awake" .. round)
    world:settle(road)
    if turn_woken(t, world, road, sleeper, to, moment) then in_time = in_time + 1 end
    for partition = 0, 1 do
      world:append(to, world.records("apps.a", partition, first, 100))
    end
    first = first + 100
    t.equal(ends_within(t, sleeper, 30000).code, 0)
    world:settle(road)
    for partition = 0, 1 do world:must_be_same("apps.a", partition, true) end
    world:must_be_same("apps.mixed", 0)
  end
  t.note(in_time .. " of 4 woke before the turn had ended")
  t.ok(in_time > 0, "nobody woke in the middle of a turn")
  sys.kill(engine.pid, "TERM")
  t.equal(ends_within(t, engine, 15000).code, 0)
end

test("an engine that sleeps through a turn changes nothing", function(t)
  local world <close> = world_of.new(t)
  local old, new = world.old, world.new
  world:create(old, {
    { name = "apps.a", partitions = 2 }, { name = "apps.mixed" },
  })
  world:make_mapped "apps.mixed"
  world:append(old, world.records("apps.mixed", 0, 0, 100),
    { transaction = "commit" })
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  local stop = world:load(old,
    { { "apps.a", 0 }, { "apps.a", 1 }, { "apps.mixed", 0 } }, 40)
  task.sleep(1500)
  local sleeper = world:engine_pid(road)
  sys.kill(sleeper, "STOP")
  task.sleep(300)
  stop()
  local rival = world:rival_engine(road, "awake")
  world:settle(road)
  t.ok(road:turn({ "apps.a", "apps.mixed" }, { writer = new, within = "30s" }))
  for partition = 0, 1 do
    world:append(new, world.records("apps.a", partition, 5000, 100))
  end
  world:append(new, world.records("apps.mixed", 0, 5000, 100))
  sys.kill(sleeper, "CONT")
  local deadline = task.now() + 30000
  while world:engine_pid(road) do
    t.ok(task.now() < deadline, "the sleeper works on\n" .. world:log(road))
    task.sleep(50)
  end
  world:settle(road)
  for partition = 0, 1 do world:must_be_same("apps.a", partition, true) end
  world:must_be_same("apps.mixed", 0)
  for id, kind in pairs(world:kinds(road)) do
    t.equal(kind, id == "apps.mixed/0" and "mapped" or "same", id)
  end
  wakes_in_turns(t, world, road, rival)
end)
