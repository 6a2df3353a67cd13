--- The wall clock of the engine's machine is stepped, forwards and back, by
-- days: nothing in an engine waits, expires or decides by it, and no broker
-- refuses what it writes. It goes on copying within moments, and another engine
-- whose clock is a year behind takes over as it would from any other.

local sys = require "vm.sys"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local CLOCK = sys.executable():match "^(.*)/" .. "/apps/stepped.so"
local DAY = 24 * 3600 -- s
local STEPS = { DAY, -DAY, 3600, 365 * DAY }
local TOPIC, PARTITIONS = "apps.timed", 3
local MOMENTS_MS = 30000 -- no wait of the engine's is as long as an hour

--- An engine on a machine of its own, whose clock `set(seconds)` steps.
local function engine(t, world, name)
  local file, state = world.dir .. "/" .. name, world.dir .. "/state-" .. name
  local function set(seconds) t.ok(sys.write_file(file, tostring(seconds))) end
  set(0)
  local process = t.ok(sys.spawn {
    args = { sys.executable(), "mirror", "road", "--from", world.old.bootstrap,
      "--to", world.new.bootstrap, "--topics", "apps.*", "--state", state,
      "--metrics", "off" },
    env = { LD_PRELOAD = CLOCK, STEPPED_CLOCK = file, ASAN_OPTIONS =
      (sys.env "ASAN_OPTIONS" or "") .. ":verify_asan_link_order=0" },
    stdin = "null", stdout = file .. ".log", stderr = file .. ".log",
  })
  return setmetatable({ process = process, set = set, log = file .. ".log" },
    { __close = function(_, why)
      if why then t.note(name .. ":\n" .. (sys.read_file(file .. ".log") or "")) end
      sys.kill(process.pid, "KILL")
      process:close()
    end })
end

local function copied(world)
  local sum = 0
  for partition = 0, PARTITIONS - 1 do
    local found = world.new:client("read"):offsets {
      { topic = TOPIC, partition = partition, at = "end" } }
    sum = sum + (found and found[1].offset or 0)
  end
  return sum
end

local function must_advance(world, what)
  local before = copied(world)
  world:await(what, function() return copied(world) > before end, MOMENTS_MS)
end

--- When an engine said goodbye, by its own clock.
local function goodbye(t, world, road, reason)
  return world:await("an engine has " .. reason, function()
    local said = t.ok(road:ledger()).goodbye
    return said and said.state == reason and said.time
  end)
end

test("a clock that is stepped changes nothing", function(t)
  local world <close> = world_of.new(t)
  world:create(world.old, { { name = TOPIC, partitions = PARTITIONS } })
  local road = world:bridge { topics = { "apps.*" } }
  local first <close> = engine(t, world, "first")
  local loaded = {}
  for n = 0, PARTITIONS - 1 do loaded[n + 1] = { TOPIC, n } end
  local stop = world:load(world.old, loaded, 20)
  must_advance(world, "copying")
  for _, seconds in ipairs(STEPS) do
    first.set(seconds)
    must_advance(world, ("copied after a step to %d s"):format(seconds))
  end
  -- The one whose clock says tomorrow is the older one.
  local second <close> = engine(t, world, "second")
  local said = goodbye(t, world, road, "superseded")
  t.ok(said > sys.time() + 364 * DAY * 1000, "the clock was not stepped")
  first.process:wait()
  second.set(-DAY)
  must_advance(world, "copied by the other engine")
  t.equal(sys.read_file(first.log):match "not written[^\n]*", nil)
  local count = stop()
  world:settle(road)
  sys.kill(second.process.pid, "TERM")
  t.equal(t.ok(second.process:wait()).code, 0, sys.read_file(second.log))
  t.ok(goodbye(t, world, road, "stopped") < sys.time() - DAY * 1000 / 2)
  local found = 0
  for n = 0, PARTITIONS - 1 do
    found = found + world:must_be_same(TOPIC, n, true)
  end
  t.equal(found, count, "records, none twice")
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
end)
