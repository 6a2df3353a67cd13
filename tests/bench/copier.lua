-- How fast the copier is on two real clusters: MB/s, records/s, CPU seconds
-- per GB. Not a test: it prints.
--   tranship --lua tests/bench/copier.lua [MEGABYTES [RECORD_BYTES [CODEC
--       [BATCH_BYTES [PARTITIONS]]]]]
-- The data is made by Kafka's own ProducerPerformance. COPYING_PAIR names two
-- clusters that run already.
local copying = dofile "tests/world/copying.lua"
local sys = require "vm.sys"
local task = require "vm.task"
local check = copying.check

local megabytes, record_bytes, codec, batch_bytes, partitions = ...
megabytes = math.tointeger(megabytes or 500)
record_bytes = math.tointeger(record_bytes or 1000)
codec = codec or "none"
batch_bytes = math.tointeger(batch_bytes or 262144)
partitions = math.tointeger(partitions or 4)

local CLOCK_TICKS = 100 -- per second, of Linux

-- User and system CPU seconds of a process (this one without a pid).
local function cpu(pid)
  local stat = check(sys.read_file(("/proc/%s/stat"):format(pid or "self")))
  local after = stat:match("^.*%) (.*)$")
  local fields = {}
  for field in after:gmatch("%S+") do fields[#fields + 1] = field end
  return (tonumber(fields[12]) + tonumber(fields[13])) / CLOCK_TICKS
end

local function fill(bootstrap, topic)
  local home = sys.env("XDG_CACHE_HOME") or sys.env("HOME") .. "/.cache"
  local done = check(sys.run { "java", "-Xmx512m",
    "-cp", home .. "/tranship/kafka-4.3.1/*",
    "org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
    "--num-records", tostring(megabytes * 1000000 // record_bytes),
    "--record-size", tostring(record_bytes), "--throughput", "-1",
    "--producer-props", "bootstrap.servers=" .. bootstrap,
    "compression.type=" .. codec, "batch.size=" .. batch_bytes,
    "linger.ms=50", "buffer.memory=67108864" })
  assert(done.code == 0, done.stderr)
end

local world = copying.world()
do
  local pair <close> = world.open()
  local topic = copying.name("bench")
  pair.a:topic(topic, partitions)
  pair.b:topic(topic, partitions)
  fill(world.address.a, topic)
  local copier <close> = check(copying.open {})
  local flows = {}
  for p = 0, partitions - 1 do
    flows[p + 1] = copying.flow(pair, topic, p,
      { until_offset = pair.a:offset(topic, p, "end") })
  end
  local cpu_before, begin = cpu(), task.now()
  local state = copying.run_all(copier, flows, 600000)
  local seconds, cpu_seconds = (task.now() - begin) / 1000, cpu() - cpu_before
  local bytes, records = 0, 0
  for _, flow in ipairs(flows) do
    local of = state[flow.id]
    assert(of.stop.reason == "reached", of.stop.err or of.stop.reason)
    bytes, records = bytes + of.bytes, records + of.records
  end
  print(("%d MB in %d records of %d bytes, %s, %d partitions"):format(
    bytes // 1000000, records, record_bytes, codec, partitions))
  print(("%.0f MB/s  %.0f records/s  %.2f CPU s/GB"):format(
    bytes / seconds / 1e6, records / seconds, cpu_seconds / (bytes / 1e9)))
end
world.down()
