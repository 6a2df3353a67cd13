--- A real MirrorMaker 2 hands its flow to a bridge, and gets it back: no record
-- lost, none copied twice, and every older position keeps an exact place. Once
-- MirrorMaker ends in order, once it is killed with more copied than stored.

local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local mm2_of = loadfile(here .. "/lib/mm2_world.lua")(here .. "/lib")

local CALM = { "old->new.topics=apps.*", "refresh.groups.enabled=false",
  "emit.checkpoints.enabled=false", "old.consumer.isolation.level="
    .. "read_committed" }

local function fill(world, first)
  world:append(world.old, world.records("apps.plain", 0, first, 1500))
  world:append(world.old, world.records("apps.tx", 0, first, 120),
    { transaction = "commit" })
  world:append(world.old, world.records("apps.tx", 0, first + 120, 50),
    { transaction = "abort" })
  world:append(world.old, world.records("apps.tx", 0, first + 170, 30),
    { transaction = "commit" })
end

local function position(world, topic)
  local list = world:read(world.old, topic, 0)
  return list[#list].offset + 1
end

local function await_copied(world, mm2)
  return mm2:await_copied { ["apps.plain/0"] = position(world, "apps.plain"),
    ["apps.tx/0"] = position(world, "apps.tx") }
end

--- Every offset of the source, by the bridge's map and by the records.
local function must_map_exactly(t, world, road, mm2, topic, step)
  local positions = {}
  for offset = 0, world:ends(world.old, topic, 0).stop - 1, step do
    positions[#positions + 1] = offset
  end
  local places = mm2:places(topic, 0, positions)
  for index, offset in ipairs(positions) do
    local at = t.ok(road:translate({ topic = topic, partition = 0,
      offset = offset }, { to = world.new }))
    t.equal(at.topic, mm2.names:on_target(topic))
    t.equal(at.offset, places[index], ("%s/0 %d"):format(topic, offset))
  end
end

local function must_hold_the_same(world, mm2)
  for _, topic in ipairs { "apps.plain", "apps.tx" } do
    world:must_be_same(topic, 0, false, mm2.names:on_target(topic))
  end
end

local function legs_of(world, road)
  local legs = {}
  for _, row in ipairs(world.t.ok(road:progress())) do
    legs[row.topic .. "/" .. row.partition] = row
  end
  return legs
end

test("a running flow is taken over, and handed back", function(t)
  local world <close> = world_of.new(t)
  world:create(world.old, { { name = "apps.plain" }, { name = "apps.tx" } })
  fill(world, 0)
  local mm2 <close> = mm2_of.start(t, world, {}, CALM)
  await_copied(world, mm2)
  local road = world:bridge { topics = { "apps.*" }, mirrormaker2 = {
    source = "old", target = "new", take_over = true } }
  t.equal(road.names, { prefix = "old." })
  -- It runs: nothing is begun.
  local opened, why = road:open():apply {}
  t.fails("conflict", opened, why)
  t.match(why, "MirrorMaker 2 is not stopped: group old%-mm2 is Stable, "
    .. "workers: .+ at /127")
  t.equal(world.t.ok(world.new:client("read"):describe_topics {
    "__tranship.road" }), {})
  mm2:stop()
  fill(world, 10000)
  world:reach(road:open())
  world:settle(road)
  must_hold_the_same(world, mm2)
  must_map_exactly(t, world, road, mm2, "apps.plain", 97)
  must_map_exactly(t, world, road, mm2, "apps.tx", 1)
  for id, row in pairs(legs_of(world, road)) do
    t.equal(row.offsets, "mapped", id)
  end
  local same = t.ok(road:same_records())
  t.ok(same.ok, same.text)

  local early = t.ok(road:handed_back():check {})
  t.equal(early.ok, false)
  t.match(early.text, "road is open; close it first")
  world:reach(road:closed())
  world:reach(road:handed_back())
  fill(world, 20000)
  mm2:go_on()
  await_copied(world, mm2)
  must_hold_the_same(world, mm2)
end)

test("of a killed MirrorMaker nothing is copied twice", function(t)
  local world <close> = world_of.new(t)
  world:create(world.old, { { name = "apps.plain" }, { name = "apps.tx" },
    { name = "apps.spoiled" } })
  fill(world, 0)
  world:append(world.old, world.records("apps.spoiled", 0, 0, 50))
  local mm2 <close> = mm2_of.start(t, world, { policy = "identity" },
    { "new.offset.flush.interval.ms=3600000", table.unpack(CALM) })
  local copied = { ["apps.plain"] = 1500, ["apps.tx"] = 150,
    ["apps.spoiled"] = 50 }
  mm2:await("records on the target", function()
    for topic, count in pairs(copied) do
      local shapes = t.ok(world.new:client("read"):describe_topics { topic })
      if not shapes[topic] or world:ends(world.new, topic, 0).stop < count then
        return false
      end
    end
    return true
  end)
  mm2:kill()
  t.equal(mm2:flow().offsets["apps.plain/0"], nil) -- it has stored nothing
  fill(world, 10000)
  local road = world:bridge { topics = { "apps.*" },
    except = { "apps.spoiled" }, mirrormaker2 = {
      policy = "identity", take_over = true } }
  local opening, why
  for _ = 1, 120 do -- its membership ends a while after it
    opening, why = road:open():apply {}
    if opening or not tostring(why):find "old%-mm2 is" then break end
    task.sleep(500)
  end
  t.ok(opening, why)
  world:settle(road)
  must_hold_the_same(world, mm2)
  must_map_exactly(t, world, road, mm2, "apps.tx", 1)

  -- Where somebody else wrote to the copy there is no position to go on from.
  world:append(world.new, world.records("apps.spoiled", 0, 50, 1))
  local spoiled = world:bridge { name = "spoiled", topics = { "apps.spoiled" },
    mirrormaker2 = { policy = "identity", take_over = true } }
  opening, why = spoiled:open():apply {}
  t.fails("conflict", opening, why)
  t.match(why, "apps.spoiled/0 cannot be taken over: what the target holds up "
    .. "to offset 50 is not what the source holds")
  t.equal(world:ends(world.new, "apps.spoiled", 0).stop, 51)
end)
