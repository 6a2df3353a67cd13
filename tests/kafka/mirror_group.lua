--- Several engines divide a bridge's partitions through a Kafka group: added,
-- removed, killed, put to sleep and woken under load and while a topic is turned
-- round, with nothing lost, doubled or out of place.

local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local PARTITIONS = 6
local LONG_MS = 90000

local function member(t, world, name)
  local log = ("%s/%s.log"):format(world.dir, name)
  local process = t.ok(sys.spawn { args = { sys.executable(), "mirror", "road",
    "--from", world.old.bootstrap, "--to", world.new.bootstrap, "--topics",
    "apps.*", "--group", "--state", world.state, "--metrics", "off" },
    stdin = "null", stdout = log, stderr = log })
  return { process = process, log = log, pid = process.pid, name = name }
end

--- Which process copies each partition now, by the last claim on it; nil while
-- one is not being copied.
local function owners(t, road)
  local book = road:ledger() -- the bridge may be made just now
  if not book or not book.bridge then return nil end
  local owner = {}
  for _, row in ipairs(t.ok(road:progress())) do
    local at = book:partition(row.topic, row.partition).at
    if not at or at.state ~= "copying" then return nil end
    owner[row.topic .. "/" .. row.partition] = book.claims[at.claim]
  end
  return owner
end

local function count(owner)
  local shares, members, all = {}, 0, 0
  for _, instance in pairs(owner) do
    if not shares[instance] then members = members + 1 end
    shares[instance] = (shares[instance] or 0) + 1
    all = all + 1
  end
  return shares, members, all
end

--- Waits until so many engines copy everything, evenly.
local function divided(t, world, road, wanted, members)
  local owner, seen
  local deadline = task.now() + LONG_MS
  local function is_so()
    owner = owners(t, road)
    if not owner then return false end
    local shares, engines, all = count(owner)
    seen = engines
    if engines ~= wanted or all ~= PARTITIONS + 1 then return false end
    for _, share in pairs(shares) do
      if share < all // wanted or share > all // wanted + 1 then return false end
    end
    return true
  end
  while not is_so() do
    if task.now() > deadline then
      for _, one in ipairs(members) do
        t.note(one.name .. ":\n" .. sys.read_file(one.log))
      end
      t.fail(("never divided among %d, but %s"):format(wanted, tostring(seen)))
    end
    task.sleep(100)
  end
end

local function must_advance(t, world, at)
  local before = {}
  at = at or world.new
  for n = 0, PARTITIONS - 1 do
    before[n] = world:ends(at, "apps.a", n).stop
  end
  world:await("all partitions go on", function()
    for n = 0, PARTITIONS - 1 do
      if world:ends(at, "apps.a", n).stop <= before[n] then return end
    end
    return true
  end, LONG_MS)
  t.ok(true)
end

local function ends_well(t, one)
  sys.kill(one.pid, "TERM")
  local done = t.ok(task.deadline(30000, function()
    return one.process:wait()
  end))
  t.equal(done.code, 0, sys.read_file(one.log))
end

--- What Kafka's own view of the group is: members of a consumer group.
local function group_state(t, world)
  for _, one in ipairs(t.ok(world.new:client("read"):groups())) do
    if one.group == "__tranship.road" then return one end
  end
end

--- Partitions of apps.a that have not begun leg `number` yet.
local function to_be_turned(book, number)
  local left = 0
  for _, n in ipairs(book:numbers "apps.a") do
    if book:partition("apps.a", n).last < number then left = left + 1 end
  end
  return left
end

--- Turns apps.a; `change` happens as soon as the engines are told of it. A turn
-- that is not done in time is asked for again, as a run would be resumed.
local function turn(t, world, road, writer, change)
  local watched = world:bridge { topics = { "apps.*" } }
  local function wanted(book)
    return (book.topics["apps.a"] or {}).want
  end
  local book = t.ok(watched:ledger())
  local before, deadline = wanted(book), task.now() + LONG_MS
  local work = task.spawn(function()
    local ok, why
    repeat
      ok, why = road:turn({ "apps.a" }, { writer = writer })
    until ok or why.kind ~= "timeout"
    return ok, why
  end)
  repeat
    task.sleep(2)
    book = t.ok(watched:ledger())
  until wanted(book) ~= before or task.now() > deadline
  local left = to_be_turned(book, wanted(book).leg)
  change()
  t.ok(work:join())
  return left
end

--- There and back and there again, while the members change.
local function turn_meanwhile(t, world, road, all, start)
  local old, new = world.old, world.new
  local two, four, loaded = all[2], all[4], {}
  for n = 0, PARTITIONS - 1 do loaded[n + 1] = { "apps.a", n } end
  local function round(what, writer, other, members, change, back)
    local left = turn(t, world, road, writer, change)
    t.note(("%s: %d of %d partitions were to be turned yet"):format(what, left,
      PARTITIONS))
    local stop = world:load(writer, loaded, 20)
    divided(t, world, road, members, all)
    if back then
      back()
      divided(t, world, road, members + 1, all)
    end
    must_advance(t, world, other)
    stop()
    t.ok(road:drain { "apps.a" })
  end
  t.ok(road:drain { "apps.a" })
  sys.kill(four.pid, "KILL") -- its partitions are nobody's until it is missed
  round("turned while one was missed", new, old, 1, function() end)
  local five = start "five"
  round("turned back while one joined", old, new, 2, function() end)
  round("turned again while one slept", new, old, 1,
    function() sys.kill(five.pid, "STOP") end,
    function() sys.kill(five.pid, "CONT") end)
  return { two, five }
end

test("engines share a bridge, whatever becomes of them", function(t)
  local world <close> = world_of.new(t)
  local old = world.old
  world:create(old, { { name = "apps.a", partitions = PARTITIONS },
    { name = "apps.mixed" } })
  world:append(old, world.records("apps.mixed", 0, 0, 100),
    { transaction = "commit" })
  local road = world:bridge { topics = { "apps.*" } }
  local all, loaded = {}, { { "apps.mixed", 0 } }
  for n = 0, PARTITIONS - 1 do loaded[#loaded + 1] = { "apps.a", n } end
  local function start(name)
    all[#all + 1] = member(t, world, name)
    return all[#all]
  end
  local _ <close> = setmetatable({}, { __close = function()
    for _, one in ipairs(all) do
      sys.kill(one.pid, "KILL")
      one.process:close()
    end
  end })

  local one = start "one"
  divided(t, world, road, 1, all)
  local stop = world:load(old, loaded, 20)
  local two, three = start "two", start "three"
  divided(t, world, road, 3, all)
  t.equal({ group_state(t, world).state, group_state(t, world).protocol_type },
    { "Stable", "consumer" })
  must_advance(t, world)
  t.note "three engines"

  sys.kill(one.pid, "KILL")
  divided(t, world, road, 2, all)
  must_advance(t, world)
  t.note "one was killed, two go on"

  -- One sleeps until another has everything, and wakes up.
  sys.kill(two.pid, "STOP")
  divided(t, world, road, 1, all)
  must_advance(t, world)
  sys.kill(two.pid, "CONT")
  divided(t, world, road, 2, all)
  must_advance(t, world)
  t.note "one slept and is back"

  start "four"
  divided(t, world, road, 3, all)
  ends_well(t, three)
  divided(t, world, road, 2, all)
  must_advance(t, world)
  t.note "one was added, one removed"

  t.note(stop() .. " records were appended meanwhile")
  local left = turn_meanwhile(t, world, road, all, start)
  world:settle(road)
  for n = 0, PARTITIONS - 1 do world:must_be_same("apps.a", n, true) end
  world:must_be_same("apps.mixed", 0)
  for id, kind in pairs(world:kinds(road)) do
    if id ~= "apps.mixed/0" then t.equal(kind, "same", id) end
  end
  for _, member_left in ipairs(left) do ends_well(t, member_left) end
end)
