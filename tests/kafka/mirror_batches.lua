--- Every kind of batch that a source may hold and a target may not take as it
-- is: what can be made to fit keeps its offsets and contents, what cannot is
-- named to the record, and goes on once somebody has acted.

local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

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

test("batches that the target does not take", function(t)
  local world <close> = world_of.new(t, {
    "old:message.max.bytes=" .. LARGEST,
  })
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
end)
