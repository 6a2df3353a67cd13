--- What follows beside the records while a bridge copies: topics, partitions,
-- settings, ACLs; and a source that removes records faster than they are
-- copied: forecast, then named to the offset.

local sys = require "vm.sys"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

local SETTINGS = {
  "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
  "super.users=User:ANONYMOUS", "log.retention.check.interval.ms=1000",
  "log.initial.task.delay.ms=500",
}

--- What may be allowed or denied on a topic.
local OPERATIONS = { "all", "read", "write", "create", "delete", "alter",
  "describe", "describe_configs", "alter_configs" }

local function own(t, at, name)
  local found = t.ok(at:client("read"):configs("topic", { name }))
  local set = {}
  for key, entry in pairs(found[name] or {}) do
    if entry.source == "topic" then set[key] = entry.value end
  end
  return set
end

local function alter(t, at, change)
  local done = t.ok(at:client("write"):alter_configs { change })
  t.ok(not done[1].err, done[1].err)
end

local function topics_follow(t, world, road)
  local old, new = world.old, world.new
  world:create(old, { { name = "apps.new", partitions = 2, configs = {
    ["retention.ms"] = "86400000", ["min.insync.replicas"] = "1",
    ["message.timestamp.type"] = "LogAppendTime" } } })
  world:await("the new topic is made", function()
    local there = t.ok(new:client("read"):describe_topics { "apps.new" })
    return there["apps.new"] and #there["apps.new"].partitions == 2
  end)
  t.equal(own(t, new, "apps.new"), { ["retention.ms"] = "86400000" })
  t.ok(old:client("write"):add_partitions { { name = "apps.new", total = 3 } })
  world:await("the new partition is copied", function()
    local row = world:row(road, "apps.new/2")
    return row and row.state == "copying"
  end)
  -- What is deleted at the source stays.
  t.ok(old:client("write"):delete_topics { "apps.gone" })
  alter(t, old, { name = "apps.new", set = { ["retention.ms"] = "90000000",
    ["cleanup.policy"] = "compact,delete" } })
  world:await("settings follow", function()
    local set = own(t, new, "apps.new")
    return set["retention.ms"] == "90000000"
      and set["cleanup.policy"] == "compact,delete"
  end)
  alter(t, old, { name = "apps.new", delete = { "cleanup.policy" } })
  alter(t, old, { name = "apps.new", set = { ["segment.bytes"] = "2097152" } })
  world:await("settings go back", function()
    local set = own(t, new, "apps.new")
    return not set["cleanup.policy"] and set["segment.bytes"] == "2097152"
  end)
  world:must_be_same("apps.new", 0, true)
  local there = t.ok(new:client("read"):describe_topics { "apps.gone" })
  t.ok(there["apps.gone"], "a deletion followed")
  local same = t.ok(road:same_topics())
  t.ok(same.ok, same.text)
end

--- Somebody sets it back again and again: then it is left alone.
local function fights_end(t, world, road)
  local new, times = world.new, 0
  world:await("it is left alone", function()
    if own(t, new, "apps.new")["retention.ms"] == "90000000" then
      alter(t, new, { name = "apps.new", set = { ["retention.ms"] = "1000000" } })
      times = times + 1
    end
    return world:log(road):match "somebody else sets retention.ms back"
  end, 90000)
  t.ok(times >= 2 and times <= 3, times)
  t.equal(own(t, new, "apps.new")["retention.ms"], "1000000")
end

local function keys(t, at)
  local set = {}
  for _, one in ipairs(t.ok(at:client("read"):acls {})) do
    set[("%s %s %s %s %s %s%s"):format(one.permission, one.principal,
      one.operation, one.resource_type, one.pattern, one.name, one.host == "*"
      and "" or " from " .. one.host)] = true
  end
  return set
end

local function acls_follow(t, world)
  local mine = "allow User:mine read topic literal apps.a"
  local wanted = { "allow User:a write topic literal apps.a",
    "deny User:b read topic prefixed apps.", "allow User:a read group literal g",
    "allow User:a write transactional_id prefixed tx-",
    "allow User:a describe cluster literal kafka-cluster",
    "allow User:a read topic literal apps.a from 10.0.0.7" }
  for _, operation in ipairs(OPERATIONS) do
    wanted[#wanted + 1] = ("deny User:all %s topic literal *"):format(operation)
  end
  world:await("ACLs follow", function()
    local there = keys(t, world.new)
    for _, one in ipairs(wanted) do
      if not there[one] then return false end
    end
    t.ok(there[mine], "an ACL of the target's own is gone")
    t.ok(not there["allow User:a read topic literal other"])
    return true
  end, 90000)
end

local function acl(resource_type, name, pattern, principal, operation,
  permission, host)
  return { resource_type = resource_type, name = name, pattern = pattern,
    principal = principal, host = host or "*", operation = operation,
    permission = permission }
end

local function make_acls(t, world)
  local every = {}
  for i, operation in ipairs(OPERATIONS) do
    every[i] = acl("topic", "*", "literal", "User:all", operation, "deny")
  end
  for at, list in pairs { [world.old] = {
    acl("topic", "apps.a", "literal", "User:a", "read", "allow", "10.0.0.7"),
    acl("topic", "apps.a", "literal", "User:a", "write", "allow"),
    acl("topic", "other", "literal", "User:a", "read", "allow"),
    acl("topic", "apps.", "prefixed", "User:b", "read", "deny"),
    acl("group", "g", "literal", "User:a", "read", "allow"),
    acl("transactional_id", "tx-", "prefixed", "User:a", "write", "allow"),
    acl("cluster", "kafka-cluster", "literal", "User:a", "describe", "allow"),
    table.unpack(every),
  }, [world.new] = {
    acl("topic", "apps.a", "literal", "User:mine", "read", "allow"),
  } } do
    for _, one in ipairs(t.ok(at:client("write"):create_acls(list))) do
      t.ok(not one.err, one.err)
    end
  end
end

local function beside_the_records(t, world)
  world:create(world.old, { { name = "apps.a" }, { name = "apps.gone" } })
  world:append(world.old, world.records("apps.gone", 0, 0, 10))
  make_acls(t, world)
  local road = world:bridge { topics = { "apps.*" }, configs = "followed",
    acls = "copied" }
  world:reach(road:open())
  world:settle(road)
  topics_follow(t, world, road)
  acls_follow(t, world)
  fights_end(t, world, road)
end

--- Records of 10 KB that were written now.
local function young(topic, count)
  local list = {}
  for n = 1, count do
    list[n] = { topic = topic, partition = 0, key = "k" .. n,
      value = sys.random(1024):rep(10), timestamp = sys.time(), headers = {} }
  end
  return list
end

local function race(t, world)
  local old, new = world.old, world.new
  world:create(old, { { name = "race.a", configs = {
    ["retention.ms"] = "20000", ["segment.bytes"] = "1048576" } },
    { name = "race.kept" } })
  world:create(new, { { name = "race.a" } })
  for _ = 1, 12 do world:append(old, young("race.a", 100)) end
  world:append(old, young("race.kept", 100))
  world:quota(new, 200000)
  local log = world.dir .. "/engine.log"
  local engine <close> = t.ok(sys.spawn { args = { sys.executable(), "mirror",
    "race", "--from", old.bootstrap, "--to", new.bootstrap, "--topics", "race.*",
    "--state", world.state, "--memory", "1MiB", "--metrics", "off" },
    stdin = "null", stdout = log, stderr = log })
  local said = world:await("a warning", function()
    return sys.read_file(log):match("race%.a/0: from may remove offsets up to "
      .. "(%d+) within 1m, and the copy is at %d+: %d+ records or more")
  end)
  t.ok(math.tointeger(tonumber(said)) >= 1000, said)
  local road = world:bridge { name = "race", topics = { "race.*" } }
  local row = world:await("the race is lost", function()
    local found = world:row(road, "race.a/0")
    return found and found.state == "stopped" and found
  end, 120000)
  t.equal(row.reason, "out_of_range", row.text)
  t.note(row.text)
  -- The range is what is neither on the target nor on the source any more.
  local bounds = world:ends(old, "race.a", 0)
  t.equal(row.range.from, world:ends(new, "race.a", 0).stop)
  t.ok(row.range.to <= bounds.start and row.range.to > row.range.from)
  t.ok(not sys.read_file(log):find "race%.kept/0: from may remove")
  world:quota(new, nil)
  world:await("the other one is copied", function()
    return world:ends(new, "race.kept", 0).stop == 100
  end)
  sys.kill(engine.pid, "TERM")
  t.equal(t.ok(engine:wait()).code, 0, sys.read_file(log))
end

test("what follows beside the records; and a source that will not wait",
  function(t)
    local world <close> = world_of.new(t, SETTINGS)
    beside_the_records(t, world)
    race(t, world)
  end)
