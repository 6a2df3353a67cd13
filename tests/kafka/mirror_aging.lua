--- Brokers forget producers by the timestamps of their records, and copies are
-- old: week-old records, and a target whose expiry check runs every second. The
-- setting is borrowed while the bridge is open, and put back when it closes.

local sys = require "vm.sys"
local task = require "vm.task"
local side = require "mirror.side"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local WEEK_MS = 7 * 24 * 3600 * 1000
local DAY_MS = "86400000"
local SETTING = "producer.id.expiration.ms"
local KILLS = 8
local CHECKS_MS = 4000 -- some expiry checks

local function old_records(first, count)
  local list = world_of.records("apps.old", 0, first, count)
  for index, one in ipairs(list) do
    one.timestamp = sys.time() - WEEK_MS + first + index
  end
  return list
end

local function setting(world)
  local found = world.t.ok(world.new:client("read"):configs("broker", { "1" }))
  return found["1"][SETTING].value
end

local function await(t, what, is_so)
  local deadline = task.now() + 60000
  while not is_so() do
    t.ok(task.now() < deadline, what)
    task.sleep(100)
  end
end

test("week-old records are protected while the bridge is open", function(t)
  local world <close> = world_of.new(t,
    { "producer.id.expiration.check.interval.ms=1000" })
  world:create(world.old, { { name = "apps.old" } })
  world:append(world.old, old_records(0, 500))
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  await(t, "the setting is not raised", function()
    return setting(world) == "2147483647"
  end)
  for kill = 1, KILLS do
    world:append(world.old, old_records(kill * 1000, 200))
    task.sleep(sys.random(1):byte())
    world:kill_engine(road)
    world:start_engine(road)
    while not world:engine_pid(road) do task.sleep(5) end
  end
  world:settle(road)
  world:must_be_same("apps.old", 0, true)

  local target = side.new { name = "new", bootstrap = world.new.bootstrap }
  local _ <close> = setmetatable({}, { __close = function() target:close() end })
  local leg = t.ok(road:open_ledger()):leg("apps.old", 0)
  local function remembered()
    for _, one in ipairs(t.ok(target:producers("apps.old", 0))) do
      if one.id == leg.pid then return true end
    end
    return false
  end
  task.sleep(CHECKS_MS)
  t.ok(remembered(), "the leg's producer is forgotten")

  -- What would have been: the same check, with what brokers have by default.
  world:kill_engine(road)
  local done = t.ok(world.new:client("write"):alter_configs { {
    type = "broker", name = "1", set = { [SETTING] = DAY_MS } } })
  t.ok(not done[1].err, done[1].err)
  await(t, "the control shows nothing: the producer is remembered",
    function() return not remembered() end)

  world:start_engine(road)
  await(t, "the setting is not raised again", function()
    return setting(world) == "2147483647"
  end)
  world:append(world.old, old_records(50000, 200))
  world:settle(road)
  world:must_be_same("apps.old", 0, true)
  world:reach(road:closed())
  await(t, "the setting is not put back", function()
    return setting(world) == DAY_MS
  end)
end)
