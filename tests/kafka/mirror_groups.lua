--- A whole cluster's groups cross the bridge: idle, lagging, on empty
-- partitions, overtaken by retention; live ones of both protocols are refused
-- with their members, and what has no position is named. Those that moved are
-- shadowed back, so that going home costs no replay.

local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local function alter(world, at, group, list)
  for _, one in ipairs(world.t.ok(at:client("write"):alter_group_offsets(group,
    list))) do
    world.t.ok(not one.err, one.err)
  end
end

local function positions(world, at, group)
  local found = {}
  for _, one in ipairs(world.t.ok(at:client("read"):group_offsets(group,
    { stable = true }))) do
    found[one.topic .. "/" .. one.partition] = one.offset
  end
  return found
end

local function until_so(t, what, is_so)
  local deadline = task.now() + 120000
  while not is_so() do
    if task.now() > deadline then t.fail("it never came to be: " .. what) end
    task.sleep(200)
  end
end

--- Is somebody in the group? As the brokers list it, whatever its protocol.
local function is_live(world, group)
  for _, one in ipairs(world.t.ok(world.bridges[1]:wire("from"):groups())) do
    if one.group == group then
      return one.state ~= "Empty" and one.state ~= "Dead"
    end
  end
  return false
end

--- Starts a process that joins a group; goes on when it is in it.
local function join(world, group, args)
  local t = world.t
  local process = t.ok(sys.spawn { args = args, stdin = "null",
    stdout = "null", stderr = "null" })
  local function stop()
    process:kill "TERM" -- it leaves its group
    process:wait()
    process:close()
  end
  local ok, why = pcall(until_so, t, group .. " is live", function()
    return is_live(world, group)
  end)
  if not ok then
    stop()
    error(why, 0)
  end
  return setmetatable({}, { __close = stop })
end

local function kcat(world, group, topic)
  return join(world, group, { "kcat", "-b", world.old.bootstrap, "-X",
    "auto.offset.reset=latest", "-X", "session.timeout.ms=6000", "-G", group,
    topic })
end

--- A member of a group that only Java clients know.
local function java(world, group, topic, class, ...)
  return join(world, group, { "tests/world/kafka/java", "-Xmx64m",
    "org.apache.kafka.tools.consumer." .. class, "--bootstrap-server",
    world.old.bootstrap, "--topic", topic, "--group", group, ... })
end

local function make(world)
  local t, old = world.t, world.old
  world:create(old, { { name = "apps.a", partitions = 2 },
    { name = "apps.none" }, { name = "apps.gone" }, { name = "other" } })
  world:append(old, world.records("apps.a", 0, 0, 500))
  world:append(old, world.records("apps.a", 1, 0, 50), { transaction = "commit" })
  world:append(old, world.records("apps.gone", 0, 0, 100))
  world:append(old, world.records("other", 0, 0, 10))
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)
  alter(world, old, "lagging", { { topic = "apps.a", partition = 0, offset = 100 },
    { topic = "other", partition = 0, offset = 3 } })
  alter(world, old, "ahead/of it", { -- a name with a slash
    { topic = "apps.a", partition = 0, offset = 500 },
    { topic = "apps.a", partition = 1, offset = 51 } })
  alter(world, old, "on-empty", { { topic = "apps.none", partition = 0, offset = 0 } })
  alter(world, old, "overtaken", { { topic = "apps.gone", partition = 0, offset = 5 } })
  alter(world, old, "elsewhere", { { topic = "other", partition = 0, offset = 3 } })
  alter(world, old, "test-1", { { topic = "apps.a", partition = 0, offset = 9 } })
  for _, one in ipairs(t.ok(old:client("write"):delete_records {
    { topic = "apps.gone", partition = 0, before = 40 } })) do
    t.ok(not one.err, one.err)
  end
  return road
end

test("a whole cluster's groups are carried, and shadowed back", function(t)
  local world <close> = world_of.new(t)
  local old, new = world.old, world.new
  local road = make(world)
  local all = { "*", except = "test-*", to = new }
  do
    local _ <close> = kcat(world, "live", "apps.a")
    local _ <close> = java(world, "young", "apps.a", "ConsoleConsumer",
      "--command-property", "group.protocol=consumer")
    local _ <close> = java(world, "sharers", "apps.a", "ConsoleShareConsumer")
    local done, why = road:carried(all):apply {}
    t.fails("conflict", done, why)
    t.match(why, "group live is live on old: .*127.0.0.1")
    t.match(why, "group young is live on old: .*127.0.0.1")
    t.ok(not tostring(why):find("sharers", 1, true), why)
    t.equal(positions(world, new, "lagging"), {}, "nothing was committed")
    local answer = t.ok(road:carried(all):check {})
    t.match(answer.text .. table.concat(answer.seen.problems, "; "),
      "lagging apps.a/0: not committed, not 100")
    t.equal(answer.seen.not_carried[1].group, "sharers")
    t.match(answer.seen.not_carried[1].why, "a share group: where it stands")
  end
  for _, id in ipairs { "live", "young" } do
    until_so(t, id .. " is idle", function() return not is_live(world, id) end)
  end
  world:reach(road:carried(all))
  t.equal(positions(world, new, "lagging"), { ["apps.a/0"] = 100 })
  local there = t.ok(road:translate({ topic = "apps.a", partition = 1,
    offset = 51 }, { to = new })).offset
  t.equal(positions(world, new, "ahead/of it"), { ["apps.a/0"] = 500,
    ["apps.a/1"] = there })
  t.equal(positions(world, new, "on-empty"), { ["apps.none/0"] = 0 })
  t.equal(positions(world, new, "overtaken"), { ["apps.gone/0"] = 40 })
  t.equal(positions(world, new, "elsewhere"), {})
  t.equal(positions(world, new, "test-1"), {})
  local answer = t.ok(road:carried(all):check {})
  t.match(answer.text, "elsewhere %(it has no position in the bridge's topics")
  t.ok(#answer.seen.certificates >= 5, #answer.seen.certificates)

  -- A group that was named is not passed over, also beside a pattern.
  for _, named in ipairs { { "elsewhere", "laging" }, { "ahead*", "elsewhere", "laging" } } do
    named.to = new
    answer = t.ok(road:carried(named):check {})
    t.equal({ answer.ok, answer.text }, { false,
      "group elsewhere: it has no position in the bridge's topics, "
      .. "group laging: it has no position in the bridge's topics" })
  end

  -- They work on; the side they came from is kept up.
  alter(world, new, "lagging", { { topic = "apps.a", partition = 0, offset = 333 } })
  alter(world, new, "ahead/of it", { { topic = "apps.a", partition = 1, offset = 20 } })
  until_so(t, "lagging is shadowed", function()
    return positions(world, old, "lagging")["apps.a/0"] == 333
  end)
  until_so(t, "a group that went back is said", function()
    return (road:status().text:find("beyond the proven position 20", 1, true))
  end)
  t.match(road:status().text, "groups that moved are shadowed where they came from")
  t.equal(positions(world, old, "ahead/of it")["apps.a/1"], 51, "never backwards")

  -- Nothing is committed for a group that somebody is in again.
  do
    local _ <close> = kcat(world, "lagging", "other")
    alter(world, new, "lagging", { { topic = "apps.a", partition = 0, offset = 400 } })
    until_so(t, "a live group is said", function()
      return (road:status().text:find("group lagging is live on old too", 1, true))
    end)
    t.equal(positions(world, old, "lagging")["apps.a/0"], 333)
  end
  until_so(t, "lagging is shadowed again", function()
    return positions(world, old, "lagging")["apps.a/0"] == 400
  end)
  -- Home, with the position it had there by then.
  t.equal(t.ok(road:carry_offsets("lagging", { to = old }))[1].exactly, 1)
  t.equal(positions(world, old, "lagging")["apps.a/0"], 400)

  -- One that cannot go home is shadowed as before.
  local done, why = road:carry_offsets("ahead/of it", { to = old })
  t.fails("conflict", done, why)
  t.match(why, "stands at 51 already, beyond the proven position 20")
  world:append(old, world.records("apps.a", 0, 500, 100))
  world:settle(road)
  alter(world, new, "ahead/of it", { { topic = "apps.a", partition = 0, offset = 555 } })
  until_so(t, "its shadow goes on", function()
    return positions(world, old, "ahead/of it")["apps.a/0"] == 555
  end)
end)
