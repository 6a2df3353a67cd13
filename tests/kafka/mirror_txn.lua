--- Transactions stay transactions: at the same offsets, both isolation levels
-- show on the target what they show on the source; through kills of the engine,
-- two engines at once, a target that stalls, and a turn. MIRROR_TXN_KILLS says
-- how often the engine is killed.

local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local load = loadfile(here .. "/lib/txn_load.lua")()

local KILLS = tonumber(sys.env "MIRROR_TXN_KILLS" or 20)
local LONGEST_MS = 600
local PLACES = { { "apps.t", 0 }, { "apps.t", 1 } }

local function random(most)
  local a, b, c = sys.random(3):byte(1, 3)
  return (a << 16 | b << 8 | c) % most
end

--- Waits until both logs end alike, for long enough to believe it: markers come
-- after a producer has been told.
local function level(w, topic, partition)
  local deadline, still = task.now() + 60000, 0
  local a, b
  repeat
    task.sleep(100)
    local before = a and a.stop
    a = w.world:ends(w.world.old, topic, partition)
    b = w.world:ends(w.world.new, topic, partition)
    local alike = a.stop == b.stop and a.stable == b.stable
    still = alike and a.stop == before and still + 1 or 0
  until still == 8 or task.now() > deadline
  if still == 8 then return end
  for _, row in ipairs(w.t.ok(w.road:progress())) do
    w.t.note(("%s/%d %s: %s"):format(row.topic, row.partition, row.state,
      row.text or row.why or ""))
  end
  w.t.note(w.world:log(w.road))
  w.t.equal(b, a, "ends")
end

--- Both sides, both isolation levels, offsets included.
local function all_the_same(w, what)
  w.world:settle(w.road)
  for partition = 0, 1 do
    level(w, "apps.t", partition)
    local all = w.world:must_be_same("apps.t", partition, true, nil,
      "uncommitted")
    local committed = w.world:must_be_same("apps.t", partition, true)
    w.t.equal(w.world:kinds(w.road)["apps.t/" .. partition], "same")
    w.t.note(("%s, partition %d: %d of %d records committed"):format(what,
      partition, committed, all))
  end
end

local function finish(w, writers, what)
  writers:finish_all()
  all_the_same(w, what)
  w.t.note(("%d commits, %d aborts"):format(writers.commits, writers.aborts))
end

local function start(w)
  w.world:start_engine(w.road)
  while not w.world:engine_pid(w.road) do task.sleep(5) end
end

local function interleaved(w, writers)
  local old = w.world.old
  writers:steps(PLACES, 60)
  w.world:append(old, w.world.records("apps.t", 0, 50000, 100))
  local done = w.t.ok(old:client("write"):delete_records {
    { topic = "apps.t", partition = 1,
      before = w.world:ends(old, "apps.t", 1).stable // 2 },
  })
  w.t.ok(not done[1].err, done[1].err)
  w.world:reach(w.road:open())
  all_the_same(w, "some open")
  writers:steps(PLACES, 100)
  all_the_same(w, "some open")
  writers:finish_all()
  w.world:append(old, w.world.records("apps.t", 0, 60000, 100))
  finish(w, writers, "none open")
end

--- One transaction stays open all the time; another one is ended by the
-- source's coordinator.
local function killed(w, writers)
  local open <close> = load.open(w.world, w.world.old, 1, 3)
  open:write(1, PLACES, 30)
  local late <close> = load.open(w.world, w.world.old, 1, 4,
    { ["transaction.timeout.ms"] = "2000", ["socket.timeout.ms"] = "2000" })
  late:write(1, PLACES, 30)
  local stop = writers:run(PLACES)
  for _ = 1, KILLS do
    task.sleep(random(LONGEST_MS))
    w.world:kill_engine(w.road)
    start(w)
  end
  stop()
  all_the_same(w, "killed, one open")
  open:finish_all()
  finish(w, writers, "killed")
end

local function rivals(w, writers)
  local stop = writers:run(PLACES)
  local before
  for round = 1, 3 do
    local rival = w.world:rival_engine(w.road, "rival" .. round)
    if before then
      w.t.equal(w.t.ok(task.deadline(60000,
        function() return before:wait() end)).code, 0)
      before:close()
    else
      while w.world:engine_pid(w.road) do task.sleep(20) end
    end
    before = rival
    task.sleep(500)
  end
  stop()
  finish(w, writers, "rivals")
  sys.kill(before.pid, "KILL")
  before:wait()
  before:close()
  start(w)
end

local function stalled(w, writers)
  local stop = writers:run(PLACES)
  local broker = tonumber(sys.read_file(w.world.dir .. "/new/pid"))
  for _ = 1, 3 do
    task.sleep(500 + random(500))
    sys.kill(broker, "STOP")
    task.sleep(300)
    w.world:kill_engine(w.road)
    w.world:start_engine(w.road)
    task.sleep(300)
    sys.kill(broker, "CONT")
    while not w.world:engine_pid(w.road) do task.sleep(5) end
  end
  stop()
  finish(w, writers, "stalled")
end

local function turned(w, writers)
  local old, new, road = w.world.old, w.world.new, w.road
  writers:write(1, PLACES, 10)
  local ok, why = road:turn({ "apps.t" }, { writer = new, within = "30s" })
  w.t.fails("conflict", ok, why)
  w.t.match(tostring(why), "open transaction")
  finish(w, writers, "before the turn")
  w.t.ok(road:turn({ "apps.t" }, { writer = new, within = "60s" }))
  local there <close> = load.open(w.world, new, 3, 11)
  there:steps(PLACES, 60)
  w.world:append(new, w.world.records("apps.t", 0, 70000, 100))
  finish(w, there, "turned")
  w.t.ok(road:turn({ "apps.t" }, { writer = old, within = "60s" }))
  writers:steps(PLACES, 60)
  finish(w, writers, "turned back")
  local answer = w.t.ok(road:same_records())
  w.t.ok(answer.ok, answer.text)
end

test("transactions keep their offsets, whatever happens", function(t)
  local world <close> = world_of.new(t)
  world:create(world.old, { { name = "apps.t", partitions = 2 } })
  local writers <close> = load.open(world, world.old, 4)
  local w = { t = t, world = world, road = world:bridge { topics = { "apps.*" } } }
  for _, stage in ipairs { "interleaved", "killed", "rivals", "stalled",
    "turned" } do
    local began = task.now()
    ;({ interleaved = interleaved, killed = killed, rivals = rivals,
      stalled = stalled, turned = turned })[stage](w, writers)
    t.note(("%s: %.1f s"):format(stage, (task.now() - began) / 1000))
  end
end)
