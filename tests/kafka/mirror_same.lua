--- Same offsets on a fresh target: plain history, a trimmed head, codecs, an
-- empty topic, holes that the cleaner left.

local sys = require "vm.sys"
local task = require "vm.task"
local forecast = require "mirror.bridge.forecast"
local side = require "mirror.side"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

--- Makes the target's topic again, once the deletion has been seen.
local function make_again(t, world, topic)
  local client = world.new:client "write"
  local gone = t.ok(client:delete_topics { topic.name })
  t.ok(not gone[1].err, gone[1].err)
  task.sleep(500)
  world:create(world.new, { topic })
end

--- Kills the target's broker while the logs' new starts are not written down:
-- it begins with the old ones again, and the filler below is there once more.
local function forget_log_starts(t, world, road)
  for _, verb in ipairs { "kill", "up" } do
    local done = t.ok(sys.run { here .. "/../world/cluster", verb,
      world.dir .. "/new" })
    t.equal(done.code, 0, done.stderr)
  end
  world:await("the filler is removed once more", function()
    return world:log(road):find "apps.a/1: its log on new begins at offset 0 again"
      and world:ends(world.new, "apps.a", 1).start == 1234
  end)
end

test("a fresh target gets the same offsets", function(t)
  local world <close> = world_of.new(t, {
    "new:log.flush.start.offset.checkpoint.interval.ms=3600000",
  })
  local old = world.old
  world:create(old, {
    { name = "apps.a", partitions = 3 }, { name = "apps.empty" },
  })
  for index, codec in ipairs { "none", "gzip", "snappy", "lz4", "zstd" } do
    for partition = 0, 2 do
      world:append(old, world.records("apps.a", partition, index * 1000, 1000),
        { codec = codec })
    end
  end
  local done = t.ok(old:client("write"):delete_records {
    { topic = "apps.a", partition = 1, before = 1234 },
  })
  t.ok(not done[1].err, done[1].err)
  local road = world:bridge { topics = { "apps.*" } }
  t.equal(t.ok(forecast.lines(road)), {
    "offsets are kept on 4 of 4 new partitions",
    "offsets below where the copy begins are filled, then deleted: apps.a/1 (1234)",
  })
  world:reach(road:open())
  world:settle(road)
  t.equal(t.ok(forecast.lines(road)), {}, "nothing is new")
  for partition = 0, 2 do world:must_be_same("apps.a", partition, true) end
  world:must_be_same("apps.empty", 0, true)
  forget_log_starts(t, world, road)
  world:append(old, world.records("apps.a", 1, 8000, 100))
  world:settle(road)
  world:must_be_same("apps.a", 1, true)
  for id, kind in pairs(world:kinds(road)) do t.equal(kind, "same", id) end
  local topics = t.ok(road:same_topics())
  t.ok(topics.ok, topics.text)
  local records = t.ok(road:same_records())
  t.ok(records.ok, records.text)
  t.note(records.text)
  t.match(road:status().text, "copies on")
  topics = t.ok(world:bridge { name = "regex", topics = { ".*" } }:same_topics())
  t.equal({ topics.ok, topics.text }, { false,
    "no topic of old matches .*; in patterns only * is special" })
  local rival = world:bridge { name = "rival", topics = { "apps.a" } }
  t.match(t.ok(forecast.lines(rival))[1], "^offsets are mapped on: apps.a/0 %(the "
    .. "target holds records at offsets 0 to 4999%), apps.a/1 %(.*1234 to 5099%)")
  local opened, why = rival:open():apply {}
  t.fails("conflict", opened, why)
  t.match(why, "apps.a on new belongs to bridge road")
  world:reach(road:closed())
  t.match(road:status().text, "is closed")
  world:append(old, world.records("apps.a", 0, 9000, 100))
  world:reach(road:open())
  world:settle(road)
  world:must_be_same("apps.a", 0, true)
  t.equal(world:kinds(road)["apps.a/0"], "same", "opened again")

  -- Made again on the target while the bridge is closed: an empty topic begins
  -- anew, one that holds something is not touched.
  world:reach(road:closed())
  make_again(t, world, { name = "apps.a", partitions = 3 })
  world:append(old, world.records("apps.a", 2, 9000, 100))
  world:reach(road:open())
  world:settle(road)
  for partition = 0, 2 do world:must_be_same("apps.a", partition, true) end
  t.equal(t.ok(road:translate({ topic = "apps.a", partition = 1,
    offset = 1300 }, { to = world.new })).offset, 1300)
  world:reach(road:closed())
  make_again(t, world, { name = "apps.empty" })
  world:append(world.new, world.records("apps.empty", 0, 0, 1))
  opened, why = road:open():apply {}
  t.fails("conflict", opened, why)
  t.match(why, "apps.empty on new was made again")
end)

--- Waits until the cleaner has left holes in apps.compact/0.
local function compact(t, world)
  for _ = 1, 300 do
    local records, _, stop = world:read(world.old, "apps.compact", 0)
    if #records < stop / 2 then return #records, stop end
    task.sleep(200)
  end
  t.fail("the cleaner did nothing")
end

test("holes of a compacted log, growth and new topics keep offsets too",
  function(t)
    local world <close> = world_of.new(t)
    local old = world.old
    world:create(old, {
      { name = "apps.compact", configs = {
        ["cleanup.policy"] = "compact", ["segment.ms"] = "60000",
        ["min.cleanable.dirty.ratio"] = "0.01",
      } },
      { name = "apps.grows" },
    })
    for part = 0, 9 do
      world:append(old, world.records("apps.compact", 0, part * 300, 300,
        { keyed = true }), { codec = part % 2 == 0 and "zstd" or "none" })
    end
    local left, stop = compact(t, world)
    t.note(("%d of %d records left"):format(left, stop))
    world:append(old, world.records("apps.grows", 0, 0, 100))
    local road = world:bridge { topics = { "apps.*" } }
    world:reach(road:open())
    world:settle(road)
    t.ok(old:client("write"):add_partitions {
      { name = "apps.grows", total = 2 },
    })
    world:create(old, { { name = "apps.new" } })
    world:append(old, world.records("apps.grows", 1, 0, 100))
    world:append(old, world.records("apps.new", 0, 0, 100))
    local deadline = task.now() + 20000
    repeat
      task.sleep(200)
      local kinds = world:kinds(road)
    until kinds["apps.new/0"] and kinds["apps.grows/1"]
      or task.now() > deadline
    world:settle(road)
    for id, kind in pairs(world:kinds(road)) do t.equal(kind, "same", id) end
    world:must_be_same("apps.grows", 1, true)
    world:must_be_same("apps.new", 0, true)
    local answer = t.ok(road:same_records())
    t.ok(answer.ok, answer.text)
    t.note(answer.text)
    t.equal(world:ends(world.new, "apps.compact", 0).stop,
      world:ends(old, "apps.compact", 0).stop)

    -- Late markers of our own push the log past the next record: the
    -- partition goes on mapped, and says why.
    world:kill_engine(road)
    local leg = t.ok(road:open_ledger()):leg("apps.new", 0)
    local target <close> = setmetatable({ side = side.new {
      name = "new", bootstrap = world.new.bootstrap } }, {
      __close = function(self) self.side:close() end })
    t.ok(target.side:markers("apps.new", 0, { id = leg.pid,
      epoch = leg.epoch }, 5))
    world:append(old, world.records("apps.new", 0, 100, 50))
    world:reach(road:open())
    world:settle(road)
    world:must_be_same("apps.new", 0)
    t.equal(world:kinds(road)["apps.new/0"], "mapped")
    t.equal(world:ends(world.new, "apps.new", 0).stop, 155)
    answer = t.ok(road:same_records())
    t.ok(answer.ok, answer.text)
  end)
