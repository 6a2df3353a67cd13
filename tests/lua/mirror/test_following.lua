--- What of a source follows on the target beside its records: settings, ACLs;
-- and when retention will have removed what is not copied.

local acls = require "mirror.engine.acls"
local retention = require "mirror.engine.retention"
local settings = require "mirror.engine.settings"

local test = ...

test("settings: what belongs to the copy, what fits, what is named", function(t)
  local notes = {}
  local kept = settings.of_copy({
    ["retention.ms"] = "1000", ["min.insync.replicas"] = "2",
    ["segment.bytes"] = "16384", ["message.timestamp.type"] = "LogAppendTime",
    ["follower.replication.throttled.replicas"] = "0:1",
    ["message.timestamp.before.max.ms"] = "5", ["message.format.version"] = "3",
    ["remote.storage.enable"] = "true", ["cleanup.policy"] = "compact",
  }, { ["retention.ms"] = true, ["segment.bytes"] = true,
    ["cleanup.policy"] = true, ["remote.storage.enable"] = true },
    function(format, ...) notes[#notes + 1] = format:format(...) end)
  t.equal(kept, { ["retention.ms"] = "1000", ["segment.bytes"] = "1048576",
    ["cleanup.policy"] = "compact" })
  local all = table.concat(notes, "\n")
  for _, part in ipairs { "min.insync.replicas is not carried",
    "segment.bytes = 16384 becomes 1048576",
    "message.timestamp.type is not carried", "throttled.replicas is not",
    "before.max.ms is not carried", "message.format.version is not carried: it "
      .. "cannot be set there", "remote.storage.enable is not" } do
    t.ok(all:find(part, 1, true), part .. " in\n" .. all)
  end
  t.equal(settings.compared { ["min.insync.replicas"] = "1", a = "b" },
    { a = "b" })
end)

--- Settings as a cluster describes them: { name = { value, source } }.
local function described(list)
  local all = {}
  for name, one in pairs(list) do
    all[name] = { value = one[1], source = one[2] or "default" }
  end
  return all
end

test("settings: with the source's defaults a copy lives by what it does", function(t)
  local mine = described {
    ["retention.ms"] = { "1000", "topic" }, ["retention.bytes"] = { "-1" },
    ["file.delete.delay.ms"] = { "61000", "static" },
    ["segment.bytes"] = { "4194304", "cluster" }, ["max.message.bytes"] = { "5" },
    ["min.insync.replicas"] = { "2", "cluster" }, ["gone.by.now"] = { "1" },
  }
  local there = described {
    ["retention.ms"] = { "1000" }, ["retention.bytes"] = { "-1" },
    ["file.delete.delay.ms"] = { "60000" }, ["segment.bytes"] = { "4194304" },
    ["max.message.bytes"] = { "9", "topic" }, ["min.insync.replicas"] = { "1" },
  }
  local its = described { ["retention.bytes"] = { "2000", "topic" } }
  for name, entry in pairs(there) do its[name] = its[name] or entry end
  -- What the copy lives by anyhow is not set on it, and what it has is not dropped.
  t.equal(settings.change(mine, its, there, "source"), { set = {
    ["retention.bytes"] = "-1", ["file.delete.delay.ms"] = "61000",
    ["max.message.bytes"] = "5" }, delete = {} })
  t.equal(settings.change(mine, its, there, "target"), { set = {
    ["retention.ms"] = "1000" }, delete = { "max.message.bytes",
    "retention.bytes" } })
  -- One that is made has the topic's own settings as its own in any case.
  t.equal(settings.new_copy(mine, there, "source"), { ["retention.ms"] = "1000",
    ["file.delete.delay.ms"] = "61000", ["max.message.bytes"] = "5" })
  t.equal(settings.new_copy(mine, there, "target"), { ["retention.ms"] = "1000" })
  for _, change in ipairs { { "retention.bytes", "-1" },
    { "file.delete.delay.ms", "61000" }, { "max.message.bytes", "5" } } do
    its[change[1]] = { value = change[2], source = "topic" }
  end
  t.equal(settings.change(mine, its, there, "source"), nil) -- and it rests
end)

local function on(resource_type, name, pattern, more)
  local one = { resource_type = resource_type, name = name,
    pattern = pattern or "literal", principal = "User:a", host = "*",
    operation = "write", permission = "allow" }
  for key, value in pairs(more or {}) do one[key] = value end
  return one
end

test("ACLs: all of them, under the target's names", function(t)
  local policy = { topics = { "apps.*" }, names = { prefix = "blue." } }
  local wanted, notes = acls.wanted(policy, {
    on("topic", "apps.x"), on("topic", "other"), on("topic", "*"),
    on("topic", "apps.", "prefixed", { permission = "deny" }),
    on("group", "g"), on("group", "g", "prefixed"), on("cluster",
      "kafka-cluster"), on("transactional_id", "t", "prefixed"),
  })
  local names = {}
  for index, one in ipairs(wanted) do
    names[index] = ("%s %s %s"):format(one.resource_type, one.pattern, one.name)
  end
  t.equal(names, { "topic literal blue.apps.x", "topic literal *",
    "topic prefixed blue.apps.", "group literal g", "group prefixed g",
    "cluster literal kafka-cluster", "transactional_id prefixed t" })
  t.equal(wanted[3].permission, "deny")
  t.equal(notes, {})
  policy.names = { ["apps.x"] = "x" }
  wanted, notes = acls.wanted(policy, { on("topic", "apps.x"),
    on("topic", "apps.", "prefixed") })
  t.equal({ #wanted, wanted[1].name }, { 1, "x" })
  t.match(notes[1], "map of names")
end)

local function sample(seconds, source, start)
  return { time = seconds * 1000, source = source, start = start }
end

test("retention: the race is forecast from age and from movement", function(t)
  -- 100 records a second; what expires within a minute is behind us by then.
  local before, now = sample(0, 0, 0), sample(10, 1000, 0)
  t.equal(retention.forecast(now, before, { [60000] = 6999 }), nil)
  t.equal(retention.forecast(now, before, { [60000] = 7100 }),
    { ms = 60000, offset = 7100, records = 100 })
  -- Nothing moves: whatever expires beyond our position is lost.
  t.equal(retention.forecast(now, now, { [60000] = 1000 }), nil)
  t.equal(retention.forecast(now, now, { [60000] = 1000, [600000] = 1500 }),
    { ms = 600000, offset = 1500, records = 500 })
  -- No age, but the log's start comes nearer: 200 a second against 100.
  t.equal(retention.forecast(sample(10, 5000, 3000), sample(0, 4000, 1000), {}),
    { ms = 20000, offset = 5000, records = 1 })
  t.equal(retention.forecast(sample(10, 5000, 3000), sample(0, 2000, 1000), {}),
    nil)
end)

test("retention: a leg that begins while brokers are asked is no trouble", function(t)
  local flow = { id = "t/0", topic = "t", partition = 0, leg = { writer = "from" },
    at = { source = 5, source_end = 100 } }
  function flow.name_on() return "t" end
  function flow.side() return { name = "old" } end
  local client = { configs = function()
    return { t = { ["retention.ms"] = { value = "60000" } } }
  end }
  function client.offsets(_, list)
    flow.at = { state = "turning" }
    local found = {}
    for index, one in ipairs(list) do
      found[index] = { offset = one.at == "start" and 3 or -1 }
    end
    return found
  end
  flow.engine = { flows = { ["t/0"] = flow }, clients = { from = client },
    touch = function() end }
  t.ok(retention.look(flow.engine))
  t.match(flow.warning, "t/0: old may remove offsets up to 99 .* the copy is at 5")
  t.ok(retention.look(flow.engine))
  t.equal(flow.warning, nil, "nothing is known of it")
end)
