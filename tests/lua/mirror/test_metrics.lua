--- The engine's metrics page: the rules of its format, bounded label sets, and
-- the numbers; with the checker shown to find what is wrong.

local metrics = require "mirror.engine.metrics"
local snapshot = require "mirror.engine.snapshot"
local progress = require "mirror.engine.progress"
local prometheus = dofile "tests/support/prometheus.lua"

local test = ...

local function engine(flows)
  return {
    name = "road", phase = "running", instance = "ab", generation = 3,
    began = 1700000000000, progressed = 1700000001500,
    spec = { from = { name = "old" }, to = { name = "new" } },
    counts = { stops = { leader = 2 }, refusals = { sequence = 1 },
      retries = 4, left = {} },
    flows = flows,
    usage = function()
      return { memory = 4096, memory_limit = 65536, connections = 7,
        throttled_ms = 1500 }
    end,
  }
end

local function flow(topic, partition, at, records)
  return {
    topic = topic, partition = partition, at = at,
    leg = { kind = "same" }, copied_records = records or 0,
    copied_bytes = (records or 0) * 10,
  }
end

local function copying(source, stop)
  return { state = "copying", source = source, target = source,
    source_end = stop }
end

test("the page keeps to the format and says what is so", function(t)
  local work = engine {
    flow('a"\\\nb', 0, copying(5, 9), 5), flow("apps.x", 0, copying(7, 7), 7),
    flow("apps.x", 1, { state = "stopped", reason = "foreign", source = 1,
      target = 1, source_end = 4, text = "apps.x/1: somebody" }, 1),
    flow("apps.y", 0, nil),
    flow("apps.y", 1, { state = "waiting", reason = "not_enough_replicas" }),
  }
  local series, problems = prometheus.read(metrics.page(work))
  t.equal(problems, {})
  local function is(name, value)
    t.equal(series["tranship_mirror_" .. name], value, name)
  end
  is('lag_records{topic="apps.x"}', 3)
  is('lag_records{topic="a\\"\\\\\\nb"}', 4)
  is('copied_records_total{topic="apps.x"}', 8)
  is('copied_bytes_total{topic="apps.x"}', 80)
  is('partitions{state="copying"}', 2)
  is('halted_partitions{reason="foreign"}', 1)
  is('waiting_partitions{reason="not_enough_replicas"}', 1)
  is("lag_unknown_partitions", 2)
  is('source_offset{partition="0",topic="apps.x"}', 7)
  is('stops_total{reason="leader"}', 2)
  is('refusals_total{reason="sequence"}', 1)
  is("retries_total", 4)
  is("claim_number", 3)
  is("memory_held_bytes", 4096)
  is("memory_limit_bytes", 65536)
  is("connections", 7)
  is("throttled_seconds_total", 1.5)
  is("ready", 0)
  is("last_progress_time_seconds", 1700000001.5)
  t.ok(series["tranship_mirror_resident_memory_bytes"] > 1e6)
  t.ok(series["tranship_mirror_cpu_seconds_total"] >= 0)
end)

test("labels are bounded, and no counter changes its label", function(t)
  local flows = {}
  for n = 1, 1000 do
    flows[n] = flow(("t%04d"):format(n), 0, copying(n, 1000), n)
  end
  local work = engine(flows)
  local series, problems = prometheus.read(metrics.page(work))
  t.equal(problems, {})
  local count, sum = 0, 0
  for name, value in pairs(series) do
    count = count + 1
    if name:find "copied_records_total" then sum = sum + value end
  end
  t.ok(count < 1000, "series: " .. count)
  t.equal(sum, 500500)
  t.equal(series['tranship_mirror_copied_records_total{topic="t0007"}'], 7)
  t.equal(series['tranship_mirror_source_offset{partition="0",topic="t0007"}'],
    nil)
  flows[7].at.source_end = 10 ^ 6 // 1
  series = prometheus.read(metrics.page(work))
  t.equal(series['tranship_mirror_copied_records_total{topic="t0007"}'], 7)
end)

test("what is not well is told, the worst first", function(t)
  local one = flow("a", 0, copying(5, 9), 5)
  local two = flow("b", 0, { state = "waiting", text = "b/0: later" })
  local work = engine { one }
  t.equal(snapshot.trouble(snapshot.of(work)), nil)
  work.flows[2] = two
  t.equal(snapshot.trouble(snapshot.of(work)), "b/0: later")
  work.flows[3] = flow("c", 0, { state = "stopped", text = "c/0: gone" })
  t.equal(snapshot.trouble(snapshot.of(work)),
    "c/0: gone; and 1 more partitions")
  work.phase = "starting"
  t.match(snapshot.trouble(snapshot.of(work)), "starting")
  work.flows, work.phase = {}, "running"
  t.match(snapshot.trouble(snapshot.of(work)), "no partition")
end)

test("rate and ETA are what the numbers say", function(t)
  local function at(time, records, lag, unknown)
    return { time = time, phase = "running", rows = { { state = "copying" } },
      topics = {}, total = { records = records, bytes = records * 100,
        lag = lag, unknown = unknown or 0, states = { copying = 1 } } }
  end
  local line = progress.line("road", at(12000, 5000, 900), at(2000, 0, 1900))
  t.equal(line.records_per_second, 500)
  t.equal(line.bytes_per_second, 50000)
  t.equal(line.eta_seconds, 9)
  t.match(progress.text(line), "1 of 1 partitions copying.*caught up in 9s")
  local now, before = at(12000, 0, 0), at(2000, 0, 0)
  before.usage = { throttled_ms = 1000 }
  now.usage = { throttled_ms = 5000, connections = 3, memory = 1,
    memory_limit = 2 }
  line = progress.line("road", now, before)
  t.equal({ line.throttled_ms, line.connections, line.memory_limit_bytes },
    { 4000, 3, 2 })
  t.match(progress.text(line), "brokers let connections wait.*4s lately")
  t.equal(progress.eta_ms(at(2, 0, 0), at(1, 0, 0)), 0)
  t.equal(progress.eta_ms(at(2, 0, 7), at(1, 0, 5)), nil)
  t.equal(progress.eta_ms(at(2, 0, 3, 1), at(1, 0, 5)), nil)
end)

test("the checker finds what is wrong", function(t)
  local good = "# HELP a_total Help.\n# TYPE a_total counter\na_total 1\n"
  local _, problems = prometheus.read(good)
  t.equal(problems, {})
  for _, bad in ipairs {
    "a_total 1\n", good:gsub("a_total", "a"), good .. "a_total 1\n",
    good:gsub("counter", "gauge"), good:gsub(" 1\n", " x\n"),
    good:gsub("a_total 1", 'a_total{b="} 1'), good:sub(1, -2),
    good:gsub("a_total", "a_ms_total"), good:gsub("# HELP[^\n]*\n", ""),
    good:gsub("a_total 1", 'a_total{b="1",b="2"} 1'),
    good .. "# HELP b Help.\n# TYPE b gauge\nb 1\na_total{x=\"y\"} 1\n",
  } do
    _, problems = prometheus.read(bad)
    t.ok(#problems > 0, "found nothing wrong with\n" .. bad)
  end
end)
