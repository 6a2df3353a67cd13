--- Turns: forth and back twice on real clusters, with writers on either side in
-- between. Same offsets stay the same in both directions, mapped ones stay
-- exact, and groups are carried along each time.

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local function commit(world, at, group, list)
  local done = world.t.ok(at:client("write"):alter_group_offsets(group, list))
  for _, one in ipairs(done) do world.t.ok(not one.err, one.err) end
end

local function position(world, at, group, topic, partition)
  for _, one in ipairs(world.t.ok(at:client("read"):group_offsets(group,
    { stable = true }))) do
    if one.topic == topic and one.partition == partition then
      return one.offset
    end
  end
end

--- What the group would read next: the value of the first record there.
local function next_value(world, at, group, topic, partition)
  local from = position(world, at, group, topic, partition)
  for _, rec in ipairs((world:read(at, topic, partition))) do
    if rec.offset >= from then return rec.value or "null" end
  end
  return "end"
end

test("topics turn forth and back, twice", function(t)
  local world <close> = world_of.new(t)
  local old, new = world.old, world.new
  world:create(old, {
    { name = "apps.same", partitions = 2 }, { name = "apps.mapped" },
  })
  world:make_mapped "apps.mapped"
  for partition = 0, 1 do
    world:append(old, world.records("apps.same", partition, 0, 500))
  end
  for n = 0, 4 do
    world:append(old, world.records("apps.mapped", 0, n * 100, 100),
      { transaction = n % 2 == 0 and "commit" or "abort" })
  end
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)
  local kinds = world:kinds(road)
  t.equal(kinds["apps.same/0"], "same")
  t.equal(kinds["apps.mapped/0"], "mapped")
  commit(world, old, "g", {
    { topic = "apps.same", partition = 0, offset = 123 },
    { topic = "apps.same", partition = 1, offset = 500 },
    { topic = "apps.mapped", partition = 0, offset = 205 },
  })
  local topics = { "apps.same", "apps.mapped" }
  local first = 500
  for round = 1, 2 do
    for _, to in ipairs { new, old } do
      local from = road:other(to)
      local before = {
        next_value(world, from, "g", "apps.same", 0),
        next_value(world, from, "g", "apps.mapped", 0),
      }
      t.ok(road:drain(topics, { within = "30s" }))
      t.ok(road:carry_offsets("g", { to = to }))
      t.ok(road:turn(topics, { writer = to }))
      t.ok(road:turn(topics, { writer = to })) -- again: nothing happens
      t.ok(road:writer_is(topics, to).ok)
      t.ok(not road:writer_is(topics, from).ok)
      t.equal({ next_value(world, to, "g", "apps.same", 0),
        next_value(world, to, "g", "apps.mapped", 0) }, before)
      for partition = 0, 1 do
        world:append(to, world.records("apps.same", partition, first, 50))
      end
      world:append(to, world.records("apps.mapped", 0, first, 50))
      first = first + 50
      commit(world, to, "g", {
        { topic = "apps.same", partition = 0,
          offset = position(world, to, "g", "apps.same", 0) + 40 },
      })
      world:settle(road)
      for partition = 0, 1 do
        world:must_be_same("apps.same", partition, true)
      end
      world:must_be_same("apps.mapped", 0)
      t.note(("round %d: %s writes"):format(round, to.name))
    end
  end
  for id, kind in pairs(world:kinds(road)) do
    t.equal(kind, kinds[id], id)
  end
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  t.note(answer.text)
end)

test("a turn survives the death of the engine", function(t)
  local world <close> = world_of.new(t)
  local old, new = world.old, world.new
  world:create(old, {
    { name = "apps.same", partitions = 2 }, { name = "apps.mapped" },
  })
  world:make_mapped "apps.mapped"
  world:append(old, world.records("apps.same", 0, 0, 100))
  world:append(old, world.records("apps.mapped", 0, 0, 100),
    { transaction = "commit" })
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)
  local topics = { "apps.same", "apps.mapped" }
  for round = 1, 8 do
    local to = round % 2 == 1 and new or old
    world:append(road:other(to), world.records("apps.same", 1, round * 100, 30))
    world:append(road:other(to), world.records("apps.mapped", 0, round * 100,
      30))
    local killer = task.spawn(function()
      task.sleep(1000 + sys.random(2):byte(1) * 4)
      for _ = 1, 2 do
        world:kill_engine(road)
        world:start_engine(road)
        while not world:engine_pid(road) do task.sleep(5) end
        task.sleep(sys.random(1):byte() * 3)
      end
      return true
    end)
    local turned, why = road:turn(topics, { writer = to, within = "60s" })
    t.ok(killer:join())
    if not turned then
      for _, row in ipairs(road:progress()) do t.note(json.encode(row)) end
      t.fail(tostring(why) .. "\n" .. world:log(road))
    end
    t.ok(road:writer_is(topics, to).ok)
  end
  world:settle(road)
  for partition = 0, 1 do
    world:must_be_same("apps.same", partition, true)
    t.equal(world:kinds(road)["apps.same/" .. partition], "same")
  end
  world:must_be_same("apps.mapped", 0)
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  t.note(answer.text)
end)
