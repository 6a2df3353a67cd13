--- The mirror against MirrorMaker 2: same brokers, same data, one after the
-- other in the same run, in turns; medians. The mirror is the whole engine as
-- a bridge runs it: map, progress, proofs of place. Bytes are those of the
-- source's log, so compressed ones count as they travel.
-- Rates count from the first record on the target to the last, so that neither
-- side's start-up is in them; "warm" is the second half alone, which does not
-- hold MirrorMaker's compiling against it. A first copy, not counted, warms the
-- brokers up for both. CPU is the whole process, as the operating system counts
-- it.
--   tranship --lua tests/bench/mirror.lua OLD NEW FOLDER MM2_PROPERTIES TOPIC
--       BYTES [ROUNDS]
-- OLD holds TOPIC, filled with BYTES; CP in the environment is Kafka's class
-- path. FOLDER holds the folders of both clusters, `old` and `new`. BENCH_TLS is
-- a file with the authority of both, which are TLS then; MirrorMaker 2 is left
-- out where MM2_PROPERTIES is "-".

local lib = dofile "tests/bench/lib.lua"
local sys = require "vm.sys"
local task = require "vm.task"
local try = require "base.try"
local bridge = require "mirror.bridge"
local cluster = require "kafka.cluster"
local context = require "base.context"
local place = require "mirror.engine.place"

local old_at, new_at, folder, mm2_file, TOPIC, bytes, rounds = ...
rounds = tonumber(rounds) or 3
local GB = tonumber(bytes) / 1e9
local LIMIT_MS, LOOK_MS = 180000, 50
local _, CORES = try(sys.read_file "/proc/stat"):gsub("\ncpu%d", "")
context.get().state = folder .. "/state"

local ca = sys.env "BENCH_TLS" and try(sys.read_file(sys.env "BENCH_TLS"))
local old = cluster.new { name = "old", bootstrap = old_at, ca = ca }
local new = cluster.new { name = "new", bootstrap = new_at, ca = ca }
local writer = new:client "write"
local partitions = try(old:client("read"):describe_topics { TOPIC })[TOPIC].partitions
local brokers = { lib.broker(folder .. "/old"), lib.broker(folder .. "/new") }

local function ends(client)
  local list = {}
  for i, one in ipairs(partitions) do
    list[i] = { topic = TOPIC, partition = one.partition, at = "end" }
  end
  local sum = 0
  for _, one in ipairs(try(client:offsets(list))) do
    if one.err then error(one.err, 0) end
    sum = sum + one.offset
  end
  return sum
end

local total = ends(old:client "read")

-- A broker removes the files of a deleted topic some time later, at a price that
-- the next copy shall not pay.
local function files_are_gone()
  for _, name in ipairs(try(sys.list(folder .. "/new/data"))) do
    if name:find "%-delete" then return false end
  end
  return true
end

local function fresh_topic()
  local gone = {}
  for _, one in ipairs(try(writer:topics())) do
    if one.name == TOPIC or one.name:find "^mm2%-" or one.name:find "^__tranship"
        or one.name:find "%.internal$" then
      gone[#gone + 1] = one.name
    end
  end
  if #gone > 0 then
    try(writer:delete_topics(gone))
    while not files_are_gone() do task.sleep(100) end
    task.sleep(500)
  end
  local made = try(writer:create_topics {
    { name = TOPIC, partitions = #partitions, replication = 1 } })
  if made[1].err then error(made[1].err, 0) end
end

-- CPU seconds of all that takes part.
local function spent(pid)
  return { engine = lib.cpu(pid), source = lib.cpu(brokers[1]),
    target = lib.cpu(brokers[2]) }
end

-- Waits for the copy; `pid` gives the process that copies.
local function measure(pid)
  local client, started, seen = new:client "read", task.now(), 0
  local before, at_begin = spent(pid()), nil
  local begin, half, half_seen, peak = nil, nil, nil, 0
  while seen < total do
    seen = ends(client)
    if not begin and seen > 0 then begin, at_begin = task.now(), spent(pid()) end
    if not half and seen > total / 2 then half, half_seen = task.now(), seen end
    peak = math.max(peak, lib.memory(pid(), "VmHWM"))
    if task.now() - started > LIMIT_MS then error("the copy does not end") end
    task.sleep(LOOK_MS)
  end
  local now, after = task.now(), spent(pid())
  local function mb_s(from, share)
    return share * GB * 1e6 / math.max(LOOK_MS, now - from)
  end
  local function cores(who)
    return (after[who] - at_begin[who]) / math.max(LOOK_MS, now - begin) * 1000
  end
  return {
    mb_s = mb_s(begin, 1), warm = mb_s(half, 1 - half_seen / total),
    cpu_gb = after.engine / GB, peak = peak,
    old_gb = (after.source - before.source) / GB,
    new_gb = (after.target - before.target) / GB,
    first_s = (begin - started) / 1000,
    engine = cores "engine", source = cores "source", target = cores "target",
  }
end

-- Who was busiest while records were copied, in cores.
local function bottleneck(list)
  local busiest, sum, texts = nil, 0, {}
  for i, who in ipairs { "engine", "source", "target" } do
    local cores = lib.median(list, who)
    busiest = busiest and lib.median(list, busiest) > cores and busiest or who
    sum, texts[i] = sum + cores, ("%s %.2f"):format(who, cores)
  end
  return ("busy cores: %s; the bottleneck: %s"):format(table.concat(texts, ", "),
    sum > 0.9 * CORES and "the machine's " .. CORES .. " cores, most of all the "
      .. busiest or "the " .. busiest)
end

local function by_tranship(round)
  fresh_topic()
  local road = bridge.new { name = ("%s-%d"):format(TOPIC, round), from = old,
                            to = new, topics = { TOPIC } }
  local opening <close> = task.spawn(function() try(road:open {}:apply {}) end)
  local result = measure(function()
    if opening:is_done() then try(opening:outcome()) end
    return (place.holder(road.name) or {}).pid or 0
  end)
  try(opening:join())
  sys.kill(place.holder(road.name).pid, "KILL")
  road:close()
  return result
end

local function by_mirrormaker()
  fresh_topic()
  local text = try(sys.read_file(mm2_file))
    :gsub("@OLD@", old_at):gsub("@NEW@", new_at):gsub("@TOPIC@", TOPIC)
  local file = folder .. "/mm2.properties"
  try(sys.write_file(file, text))
  local java = try(sys.spawn {
    args = { "java", "-Xms1g", "-Xmx1g", "-XX:+UseSerialGC", "-cp", sys.env "CP",
             "org.apache.kafka.connect.mirror.MirrorMaker", file },
    stdout = folder .. "/mm2.log", stderr = folder .. "/mm2.log",
  })
  local result = measure(function() return java.pid end)
  java:kill "KILL"
  java:wait()
  java:close()
  return result
end

local with_mm2 = mm2_file ~= "-"
local ours, theirs = {}, {}
by_tranship(0)
for round = 1, rounds do
  ours[round] = by_tranship(round)
  if with_mm2 then theirs[round] = by_mirrormaker() end
end

sys.out(("mirror     %s%s: %d records, %.2f GB on the wire, %d partitions, "
  .. "medians of %d\n"):format(TOPIC, ca and " over TLS on both sides" or "",
    total, GB, #partitions, rounds))
local function line(name, list)
  local function m(field) return lib.median(list, field) end
  sys.out(("           %-13s %6.1f MB/s (warm %6.1f)  %6.2f CPU s/GB  peak "
    .. "%5.0f MB  brokers %.2f + %.2f CPU s/GB  first record after %.1f s\n"
    .. "           %13s %s\n")
    :format(name, m "mb_s", m "warm", m "cpu_gb", m "peak", m "old_gb",
      m "new_gb", m "first_s", "", bottleneck(list)))
end
line("tranship", ours)
if with_mm2 then
  line("MirrorMaker 2", theirs)
  sys.out(("           ratio         %6.1fx (against its warm rate %.1fx)  %.1fx "
    .. "less CPU  %.0fx less memory\n"):format(
      lib.median(ours, "mb_s") / lib.median(theirs, "mb_s"),
      lib.median(ours, "mb_s") / lib.median(theirs, "warm"),
      lib.median(theirs, "cpu_gb") / lib.median(ours, "cpu_gb"),
      lib.median(theirs, "peak") / lib.median(ours, "peak")))
end
old:close()
new:close()
