--- Every kind of batch that a source may hold and a target may not take as it
-- is: what can be made to fit keeps its offsets and contents, what cannot is
-- named to the record, and goes on once somebody has acted.

local sys = require "vm.sys"
local task = require "vm.task"

local cluster = require "kafka.cluster"
local stopping = require "mirror.bridge.stopping"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local old_format = dofile(here .. "/lib/old_format.lua")

local LARGEST = 20000000 -- bytes of a batch on the source; the target: 1 MiB
local LARGE = {
  ["message.max.bytes"] = tostring(LARGEST),
  ["batch.size"] = tostring(LARGEST - 1000000),
  ["batch.num.messages"] = "100000", ["linger.ms"] = "500",
}

local function random(size)
  local pieces = {}
  for _ = 1, size // 4000 do pieces[#pieces + 1] = sys.random(4000) end
  return table.concat(pieces)
end

--- `count` records of `size` bytes; what repeats is small in a batch.
local function large(topic, count, size, repeats)
  local list = {}
  for n = 1, count do
    list[n] = { topic = topic, partition = 0, key = tostring(n),
      value = repeats and ("x"):rep(size) or random(size),
      timestamp = 1700000000000 + n }
  end
  return list
end

--- The largest batch of a partition in a broker's log, as it lies there.
local function largest_batch(world, name, topic)
  local log = sys.read_file(("%s/%s/data/%s-0/%020d.log"):format(world.dir,
    name, topic, 0))
  local at, most = 1, 0
  while log and at + 12 <= #log do
    local size = string.unpack(">I4", log, at + 8) + 12
    most, at = math.max(most, size), at + size
  end
  return most
end

local function stops(world, road, id, reason)
  local row = world:await(id .. " stops", function()
    local now = world:row(road, id)
    return now and now.state == "stopped" and now
  end)
  world.t.equal(row.reason, reason, row.text)
  world.t.note(row.text)
  return row
end

local function broker(world, verb, name)
  local done = assert(sys.run { here .. "/../world/cluster", verb,
    world.dir .. "/" .. name })
  assert(done.code == 0, done.stderr)
end

local function write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
end

--- All records of a topic by a client that shares nothing with us.
local function dump(t, at, topic)
  local done = t.ok(sys.run { "kcat", "-q", "-C", "-e", "-b", at.bootstrap,
    "-t", topic, "-p", "0", "-o", "beginning", "-f",
    "\\n%o %T %K %S %k %s %h" })
  t.equal(done.code, 0, done.stderr)
  return done.stdout
end

--- Old segments, put into the log of a stopped broker.
local function formats_before(t, world)
  local old = world.old
  world:create(old, { { name = "old.formats" } })
  broker(world, "stop", "old")
  local bytes, count, next_offset = old_format.segment()
  local folder = world.dir .. "/old/data/old.formats-0/"
  write(folder .. ("%020d.log"):format(0), bytes)
  -- As after a crash: the broker looks through the segment and indexes it.
  os.remove(world.dir .. "/old/data/.kafka_cleanshutdown")
  for _, kind in ipairs { "index", "timeindex" } do
    os.remove(folder .. ("%020d.%s"):format(0, kind))
  end
  broker(world, "up", "old")
  t.equal(world:await("old.formats has a leader", function()
    local found = old:client("read"):offsets {
      { topic = "old.formats", partition = 0, at = "end" } }
    return found and not found[1].err and found[1].offset
  end), next_offset)
  world:append(old, world.records("old.formats", 0, 0, 300), { codec = "lz4" })

  local road = world:bridge { name = "formats", topics = { "old.formats" } }
  world:reach(road:open())
  world:settle(road)
  -- Without a time is 0 where the format has none, and -1 where it has.
  local here_is = dump(t, old, "old.formats"):gsub("(\n%d+) 0 ", "%1 -1 ")
  t.equal(select(2, here_is:gsub("\n%d", "")), count + 300)
  t.ok(here_is == dump(t, world.new, "old.formats"), "the same records")
  t.equal(world:kinds(road)["old.formats/0"], "same")
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  world:reach(road:closed())
end

local function too_large(t, world)
  local old, new = world.old, world.new
  world:create(old, { { name = "apps.large" }, { name = "apps.txn" },
    { name = "apps.anew" }, { name = "apps.record" } })
  -- Made anew by the target, each of these batches would be too large.
  world:create(new, { { name = "apps.anew", configs = {
    ["compression.type"] = "uncompressed" } } })

  -- Larger than the target's limit, some larger than any fetch asks for.
  for _, codec in ipairs { "none", "gzip", "snappy", "lz4", "zstd" } do
    local count = codec == "none" and 100 or 15
    world:append(old, large("apps.large", count, 100000),
      { codec = codec, settings = LARGE })
  end
  t.ok(largest_batch(world, "old", "apps.large") > 8 << 20)
  for _, verdict in ipairs { "commit", "abort", "commit" } do
    world:append(old, large("apps.txn", 15, 100000),
      { codec = "lz4", settings = LARGE, transaction = verdict })
  end
  world:append(old, large("apps.anew", 40, 100000, true),
    { codec = "zstd", settings = LARGE })
  t.ok(largest_batch(world, "old", "apps.anew") < 100000)
  world:append(old, world.records("apps.record", 0, 0, 3))
  world:append(old, large("apps.record", 1, 2000000), { settings = LARGE })
  world:append(old, world.records("apps.record", 0, 3, 3))

  local road = world:bridge { topics = { "apps.*" }, configs = "created" }
  road:open():apply {} -- fails if the first batch it meets is that record
  local row = stops(world, road, "apps.record/0", "too_large")
  t.equal({ row.range.side, row.range.from, row.range.to }, { "from", 3, 4 })
  t.match(row.text, "max.message.bytes to at least 2000%d%d%d")
  local done = t.ok(new:client("write"):alter_configs { { type = "topic",
    name = "apps.record", set = { ["max.message.bytes"] = "2100000" } } })
  t.ok(not done[1].err, done[1].err)
  world:settle(road)
  for _, topic in ipairs { "apps.large", "apps.txn", "apps.anew",
    "apps.record" } do
    world:must_be_same(topic, 0, true)
    world:must_be_same(topic, 0, true, nil, "uncommitted")
    t.equal(world:kinds(road)[topic .. "/0"], "same", topic)
  end
  t.ok(largest_batch(world, "new", "apps.large") < 1 << 20)
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  world:reach(road:closed())
end

--- `count` records as a producer would hardly write them.
local function odd(topic, count, spec)
  local list = {}
  for n = 1, count do
    local headers = {}
    for h = 1, spec.headers or 0 do
      headers[h] = { name = "h" .. h % 7, value = h % 3 > 0 and tostring(h)
        or h % 2 == 0 and "" or nil }
    end
    list[n] = { topic = topic, partition = 0, key = spec.key,
      value = spec.value, headers = headers,
      timestamp = (spec.timestamp or 1700000000000) + n }
  end
  return list
end

--- Waits until a setting of a topic or broker has a value that somebody has
-- set: brokers apply a change a moment after they said yes.
local function must_be_set(t, at, kind, name, key, value, source)
  local found
  for _ = 1, 100 do
    found = t.ok(at:client("read"):configs(kind, { name }))[name][key]
    if found.value == value and found.source == source then break end
    task.sleep(100)
  end
  t.equal({ found.value, found.source }, { value, source })
end

local AFTER = "message.timestamp.after.max.ms"
local FUTURE = sys.time() + 30 * 86400000

--- Times that the target would set, or not take, are borrowed room for.
local function odd_records(t, world)
  local old, new = world.old, world.new
  local stamped = { ["message.timestamp.type"] = "LogAppendTime" }
  local any_time = { [AFTER] = tostring(math.maxinteger) }
  world:create(old, { { name = "odd.appended", configs = stamped },
    { name = "odd.stamped" }, { name = "odd.future", configs = any_time },
    { name = "odd.headers" }, { name = "odd.empty" } })
  world:create(new, { { name = "odd.stamped", configs = stamped } })
  for _, codec in ipairs { "none", "zstd" } do
    for _, topic in ipairs { "odd.appended", "odd.stamped" } do
      world:append(old, world.records(topic, 0, 0, 100), { codec = codec })
    end
    world:append(old, odd("odd.future", 50, { value = "v",
      timestamp = FUTURE }), { codec = codec })
    world:append(old, odd("odd.headers", 5, { value = "v", headers = 1000 }),
      { codec = codec })
    for _, spec in ipairs { {}, { key = "" }, { value = "" },
      { key = "", value = "" } } do
      world:append(old, odd("odd.empty", 3, spec), { codec = codec })
    end
  end
  local road = world:bridge { name = "odd", topics = { "odd.*" },
    configs = "created" }
  world:reach(road:open())
  world:settle(road)
  for _, topic in ipairs { "appended", "stamped", "future", "headers",
    "empty" } do
    world:must_be_same("odd." .. topic, 0, true)
  end
  must_be_set(t, new, "topic", "odd.stamped", "message.timestamp.type",
    "CreateTime", "topic")
  must_be_set(t, new, "broker", "1", "producer.id.expiration.ms",
    "2147483647", "broker")
  -- Closed while no engine runs, everything is given back all the same.
  world:kill_engine(road)
  t.ok(stopping.stop(road, "test"))
  must_be_set(t, new, "topic", "odd.stamped", "message.timestamp.type",
    "LogAppendTime", "topic")
  must_be_set(t, new, "topic", "odd.future", AFTER, "3600000", "default")
  must_be_set(t, new, "broker", "1", "producer.id.expiration.ms", "86400000",
    "default")
end

--- Where nothing may be borrowed, the record is named.
local function named_records(t, world, later)
  local old = world.old
  world:create(old, { { name = "strict.future", configs = {
    [AFTER] = tostring(math.maxinteger) } } })
  world:append(old, odd("strict.future", 7, {}))
  world:append(old, odd("strict.future", 3, { timestamp = FUTURE }))
  local strict = cluster.new { name = "new",
    bootstrap = world.new.bootstrap, never = { "alter configs" } }
  later[1] = strict
  local road = world:bridge { name = "strict", topics = { "strict.*" },
    to = strict, configs = "created" }
  road:open():apply {}
  local row = stops(world, road, "strict.future/0", "timestamp")
  t.equal({ row.range.side, row.range.from, row.range.to }, { "from", 7, 8 })
  local done = t.ok(world.new:client("write"):alter_configs { {
    type = "topic", name = "strict.future",
    set = { [AFTER] = tostring(math.maxinteger) } } })
  t.ok(not done[1].err, done[1].err)
  world:settle(road)
  world:must_be_same("strict.future", 0, true)
end

test("every kind of batch is carried, or named", function(t)
  local later <close> = setmetatable({}, { __close = function(list)
    if list[1] then list[1]:close() end -- after the bridge that uses it
  end })
  local world <close> = world_of.new(t, {
    "old:message.max.bytes=" .. LARGEST,
  })
  formats_before(t, world)
  too_large(t, world)
  odd_records(t, world)
  named_records(t, world, later)
end)
