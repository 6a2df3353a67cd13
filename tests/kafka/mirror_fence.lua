--- The fence: who still writes is named, with an id, without one, with an open
-- transaction. Records that come after the proof stop the turn, and there is a
-- way on (they are copied first) and a way back (the writer stays).

local task = require "vm.task"
local writers = require "mirror.verify.writers"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local STILL = { still = "2s" }
local TRIES = 6

--- Appends a record, and from then on one every now and then until it is closed.
local function rogue(world, at, topic, settings, pause_ms)
  local producer = world.t.ok(at:client("write"):producer { settings = settings })
  local stopping, n = false, 5000000
  local function append()
    world.t.ok(producer:produce(world.records(topic, 0, n, 1)))
    n = n + 1
  end
  append()
  world.t.ok(producer:flush())
  local work = task.spawn(function()
    while not stopping do
      append()
      task.sleep(pause_ms or 20)
    end
    return true
  end)
  return setmetatable({}, { __close = function()
    stopping = true
    world.t.ok(work:join())
    producer:close()
  end })
end

local function turn(road, topic, to)
  return road:turn(topic, { writer = to, still = "2s", within = "60s" })
end

--- A turn whose proof is skipped, so that records come behind it.
local function turn_unproved(road, topic, to)
  local honest = writers.stopped
  writers.stopped = function(bridge, at, topics)
    return writers.ends(bridge:cluster(at):client "read", topics)
  end
  local ok, why = turn(road, topic, to)
  writers.stopped = honest
  return ok, why
end

--- Topics for `halt`, all but one in vain.
local function spares(what)
  local list = {}
  for n = 1, TRIES do list[n] = { name = ("apps.%s.%d"):format(what, n) } end
  return list
end

--- A turn under a writer who lets the copy catch up now and then, and is hasty
-- enough to come between the last look at the log and the fence. On a busy machine
-- he may be too late: that topic is `spoiled`, and another one is tried.
---@return string topic
local function halt(world, road, list, spoiled)
  for _, one in ipairs(list) do
    local _ <close> = rogue(world, world.old, one.name, { ["linger.ms"] = "0" }, 1)
    local done, why = turn_unproved(road, one.name, world.new)
    if not done then
      world.t.fails("conflict", done, why)
      world.t.match(why, one.name .. "/0: records were appended on old at offsets "
        .. "%d+ to %d+ after its writers had been proved stopped")
      return one.name
    end
    spoiled[#spoiled + 1] = one.name
  end
  world.t.fail "no record ever came late"
end

local function row_of(road, topic)
  for _, row in ipairs(road:status().partitions) do
    if row.topic == topic then return row end
  end
end

test("whoever still writes is named", function(t)
  local world <close> = world_of.new(t)
  local old, new = world.old, world.new
  local on, back, spoiled = spares "on", spares "back", {}
  for _, list in ipairs { { { name = "apps.a" }, { name = "apps.b" } }, on, back } do
    world:create(old, list)
    for _, one in ipairs(list) do
      world:append(old, world.records(one.name, 0, 0, 100))
    end
  end
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)

  local seen = t.ok(road:fence("apps.a", STILL))
  t.ok(seen.ok, seen.text)
  t.match(seen.text, "nobody writes 1 partitions on old: ends stood still for 2s")
  do
    local _ <close> = rogue(world, old, "apps.a", {})
    seen = t.ok(road:fence("apps.a", STILL))
    t.ok(not seen.ok, seen.text)
    t.match(seen.text, "apps.a/0 grew from %d+ to %d+, by producer id %d+ %(epoch 0")
    local done, why = turn(road, "apps.a", new)
    t.fails("conflict", done, why)
    t.match(why, "somebody still writes: apps.a/0 grew .* by producer id %d+")
    t.equal(road:writer_of("apps.a"), "old")
  end
  do
    local _ <close> = rogue(world, old, "apps.a", { ["enable.idempotence"] = "false" })
    local done, why = turn(road, "apps.a", new)
    t.fails("conflict", done, why)
    t.match(why, "by a producer without an id, whom no cluster can name")
  end
  do -- a transaction that nobody ends
    local producer <close> = t.ok(old:client("write"):producer {
      transactional_id = "payments-7" })
    t.ok(producer:init())
    t.ok(producer:begin())
    t.ok(producer:produce(world.records("apps.b", 0, 200, 3)))
    t.ok(producer:flush())
    local done, why = turn(road, "apps.b", new)
    t.fails("conflict", done, why)
    t.match(why, "apps.b/0 has an open transaction at offset 100, by producer id "
      .. "%d+ .*transactional id payments%-7 %(Ongoing, begun .* ago, ends by "
      .. "itself after")
    t.ok(producer:abort())
  end
  t.ok(turn(road, { "apps.a", "apps.b" }, new))

  -- Late records, and the turn goes on: they are copied first.
  local goes_on = halt(world, road, on, spoiled)
  t.match(row_of(road, goes_on).text, "records were appended on old")
  do -- not while somebody writes
    local _ <close> = rogue(world, old, goes_on, {})
    local done, why = turn(road, goes_on, new)
    t.fails("conflict", done, why)
    t.match(why, "somebody still writes")
  end
  t.ok(turn(road, goes_on, new))
  t.equal(road:writer_of(goes_on), "new")
  world:append(new, world.records(goes_on, 0, 900, 50))
  -- Late records, and the turn is called off.
  local stays = halt(world, road, back, spoiled)
  t.ok(turn(road, stays, old))
  t.equal(road:writer_of(stays), "old")
  world:append(old, world.records(stays, 0, 900, 50))
  local function must_be_same(...)
    t.ok(road:drain({ ... }, { within = "60s" }))
    for _, name in ipairs { ... } do world:must_be_same(name, 0) end
  end
  must_be_same("apps.a", "apps.b", goes_on, stays)
  local kinds = world:kinds(road)
  t.equal({ kinds[goes_on .. "/0"], kinds[stays .. "/0"] }, { "mapped", "mapped" })
  -- And it can be turned later all the same.
  t.ok(turn(road, stays, new))
  world:append(new, world.records(stays, 0, 1200, 10))
  must_be_same(stays)
  local answer = t.ok(road:same_records())
  t.ok(answer.ok or spoiled[1], answer.text)
  t.note(("records came too late in %d turns"):format(#spoiled))

  -- What is deleted where it is written stays deleted, and the others go on.
  local engine = world:engine_pid(road)
  local gone = t.ok(new:client("write"):delete_topics { "apps.a" })
  t.ok(not gone[1].err, gone[1].err)
  world:create(old, { { name = "apps.later" } })
  world:await("another look at both sides", function()
    return t.ok(new:client("read"):describe_topics { "apps.later" })["apps.later"]
  end)
  t.equal(t.ok(new:client("read"):describe_topics { "apps.a" })["apps.a"], nil)
  world:await("it is told that apps.a is gone", function()
    local row = t.ok(road:progress())[1]
    return row.topic == "apps.a" and row.state ~= "copying"
  end)
  t.equal(world:engine_pid(road), engine)
end)
