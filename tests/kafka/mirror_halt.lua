--- What must stop a partition, and be named with its exact range: a retention
-- gap, a topic made again, a cut log, a stranger on the target. Everything
-- else goes on meanwhile.

local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local function row_of(t, road, id)
  for _, row in ipairs(t.ok(road:progress())) do
    if row.topic .. "/" .. row.partition == id then return row end
  end
end

--- Waits until the partition has stopped, for that reason.
local function stops(t, world, road, id, reason)
  local deadline = task.now() + 40000
  local row
  repeat
    task.sleep(200)
    row = row_of(t, road, id)
  until row.state == "stopped" or task.now() > deadline
  if row.state ~= "stopped" then
    t.fail(id .. " has not stopped\n" .. world:log(road))
  end
  t.equal(row.reason, reason, row.text)
  t.note(row.text)
  return row
end

local function restart(world, road)
  world:start_engine(road)
  while not world:engine_pid(road) do task.sleep(5) end
end

local function delete(t, at, name)
  for _, one in ipairs(t.ok(at:client("write"):delete_topics { name })) do
    t.ok(not one.err, one.err)
  end
  task.sleep(500)
end

test("a partition stops at what cannot be copied, and says where", function(t)
  local world <close> = world_of.new(t)
  local old, new = world.old, world.new
  local names = { "apps.gap", "apps.again", "apps.alien", "apps.busy",
    "apps.fine" }
  for _, name in ipairs(names) do
    world:create(old, { { name = name } })
    world:append(old, world.records(name, 0, 0, 200))
  end
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)

  -- A stranger writes to the target of an idle partition.
  world:append(new, world.records("apps.alien", 0, 5000, 3))
  local row = stops(t, world, road, "apps.alien/0", "foreign")
  t.equal({ row.range.from, row.range.to }, { 200, 203 })
  local said = t.ok(sys.run { sys.executable(), "translate", "road", "--back",
    "--state", world.state, "apps.alien/0/199", "apps.alien/0/201" })
  t.equal(said.code, 1)
  t.match(said.stdout, "apps.alien/0/199 +exact")
  t.match(said.stdout, "foreign record: .*somebody else writes")

  -- While nobody copies, the source removes what was not copied yet; another
  -- topic is made again; a stranger writes where the engine will go on.
  world:kill_engine(road)
  world:append(old, world.records("apps.gap", 0, 200, 100))
  t.ok(old:client("write"):delete_records {
    { topic = "apps.gap", partition = 0, before = 250 },
  })
  delete(t, old, "apps.again")
  world:create(old, { { name = "apps.again" } })
  world:append(old, world.records("apps.again", 0, 0, 300))
  world:append(new, world.records("apps.busy", 0, 5000, 5))
  world:append(old, world.records("apps.busy", 0, 200, 50))
  world:append(old, world.records("apps.fine", 0, 200, 50))
  restart(world, road)
  row = stops(t, world, road, "apps.gap/0", "out_of_range")
  t.equal({ row.range.from, row.range.to }, { 200, 250 })
  stops(t, world, road, "apps.again/0", "topic_id")
  stops(t, world, road, "apps.busy/0", "foreign")
  world:append(old, world.records("apps.fine", 0, 250, 50))
  local deadline = task.now() + 20000
  while world:ends(new, "apps.fine", 0).stop < 300 do
    t.ok(task.now() < deadline, "the others went no further")
    task.sleep(100)
  end
  world:must_be_same("apps.fine", 0, true)
  local lag = t.ok(road:lag { at_most = 1000000 })
  t.ok(not lag.ok, "a stopped partition must show in the lag")
  t.match(lag.text, "apps.gap/0")

  -- Made again while it is being copied.
  delete(t, old, "apps.fine")
  world:create(old, { { name = "apps.fine" } })
  world:append(old, world.records("apps.fine", 0, 0, 10))
  stops(t, world, road, "apps.fine/0", "topic_id")

  -- What cannot go on keeps the bridge from being closed, until it is left out.
  local done, why = road:closed():apply {}
  t.fails("conflict", done, why)
  t.match(why, "`except` in the bridge leaves out: .*has stopped: .*apps.gap/0")
  world:create(old, { { name = "apps.last" } })
  world:append(old, world.records("apps.last", 0, 0, 20))
  local rest = world:bridge { topics = { "apps.*" }, except = names }
  world:await("the last topic is copied", function()
    local seen = t.ok(rest:lag { at_most = 0 })
    return seen.ok and seen.partitions == 1
  end)
  local seen = t.ok(rest:same_records())
  t.ok(seen.ok, seen.text)
  t.match(seen.text, "20 records in 1 partitions are the same")
  world:reach(rest:closed())
end)

local function cluster(at, what, dir)
  local done = sys.run { here .. "/../world/cluster", what, dir .. "/" .. at }
  assert(done.code == 0, done.stderr)
end

test("a source log that was cut back is noticed", function(t)
  local world <close> = world_of.new(t)
  local old = world.old
  world:create(old, { { name = "apps.cut" } })
  for part = 0, 9 do
    world:append(old, world.records("apps.cut", 0, part * 100, 100))
  end
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)
  world:kill_engine(road)
  cluster("old", "kill", world.dir)
  local path = world.dir .. "/old/data/apps.cut-0/00000000000000000000.log"
  local size = #t.ok(sys.read_file(path))
  t.equal(sys.run { "truncate", "-s", tostring(size // 2), path }.code, 0)
  cluster("old", "up", world.dir)
  local stop = world:ends(old, "apps.cut", 0).stop
  t.ok(stop < 1000, "the log was not cut: " .. stop)
  world:append(old, world.records("apps.cut", 0, 7000, 2000 - stop))
  restart(world, road)
  local row = stops(t, world, road, "apps.cut/0", "diverged")
  t.match(row.text, tostring(stop))
end)
