--- The mirror against MirrorMaker 2: same brokers, same data, one after the
-- other in the same run, in turns; medians. MB are bytes of keys and values.
-- Throughput counts from the first record on the target to the last, so that
-- neither side's start-up is in it; CPU is the whole process, as the operating
-- system counts it, with MirrorMaker's JVM start told apart.
--   tranship --lua tests/bench/mirror.lua OLD NEW FOLDER MM2_PROPERTIES [ROUNDS]
-- OLD holds topic `bench`, filled; CP in the environment is Kafka's class path.

local sys = require "vm.sys"
local task = require "vm.task"
local try = require "base.try"
local bridge = require "mirror.bridge"
local cluster = require "kafka.cluster"
local context = require "base.context"

local old_at, new_at, folder, mm2_file, rounds = ...
rounds = tonumber(rounds) or 3
local TOPIC, TICKS, LIMIT_MS = "bench", 100, 300000
local RECORD_BYTES = tonumber(sys.env "BENCH_BYTES" or "") or 1000
context.get().state = folder .. "/state"

local old = cluster.new { name = "old", bootstrap = old_at }
local new = cluster.new { name = "new", bootstrap = new_at }
local writer = new:client "write"
local partitions = try(old:client("read"):describe_topics { TOPIC })[TOPIC].partitions

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

local function cpu_seconds(pid)
  local stat = sys.read_file(("/proc/%d/stat"):format(pid))
  if not stat then return 0 end
  local fields, n = {}, 0
  for word in stat:match("%) (.*)$"):gmatch "%S+" do
    n = n + 1
    fields[n] = word
  end
  return (tonumber(fields[12]) + tonumber(fields[13])) / TICKS
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
    task.sleep(500)
  end
  local made = try(writer:create_topics {
    { name = TOPIC, partitions = #partitions, replication = 1 } })
  if made[1].err then error(made[1].err, 0) end
end

-- Waits for the copy; `pid` is asked for its CPU before and after.
local function measure(pid)
  local client, begin, spent = new:client "read", nil, 0
  local started, seen = task.now(), 0
  while seen < total do
    seen = ends(client)
    if not begin and seen > 0 then begin, spent = task.now(), cpu_seconds(pid()) end
    if task.now() - started > LIMIT_MS then error("the copy does not end") end
    task.sleep(50)
  end
  local all = cpu_seconds(pid())
  local seconds = math.max(1, task.now() - begin) / 1000
  local mb = total * RECORD_BYTES / 1e6
  return { mb_s = mb / seconds, cpu_gb = all / (mb / 1000),
           warm_gb = (all - spent) / (mb / 1000),
           first_s = (begin - started) / 1000 }
end

local function by_tranship(round)
  fresh_topic()
  local road = bridge.new { name = "bench-" .. round, from = old, to = new,
                            topics = { TOPIC } }
  local pid
  local opening = task.spawn(function() try(road:open {}:apply {}) end)
  local result = measure(function()
    pid = pid or road:status().pid
    return pid or 0
  end)
  try(opening:join())
  local status = road:status()
  if status.pid then sys.kill(status.pid, "KILL") end
  road:close()
  return result
end

local function by_mirrormaker()
  fresh_topic()
  local text = try(sys.read_file(mm2_file))
    :gsub("@OLD@", old_at):gsub("@NEW@", new_at)
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

local function median(list, field)
  local values = {}
  for i, one in ipairs(list) do values[i] = one[field] end
  table.sort(values)
  return values[(#values + 1) // 2]
end

local ours, theirs = {}, {}
for round = 1, rounds do
  ours[round] = by_tranship(round)
  theirs[round] = by_mirrormaker()
end

sys.out(("mirror     %d records of %d B, %d partitions, %d rounds, medians\n")
  :format(total, RECORD_BYTES, #partitions, rounds))
local function line(name, list)
  sys.out(("           %-13s %7.1f MB/s   %6.2f CPU s/GB (warm %.2f)   "
    .. "first record after %.1f s\n"):format(name, median(list, "mb_s"),
      median(list, "cpu_gb"), median(list, "warm_gb"), median(list, "first_s")))
end
line("tranship", ours)
line("MirrorMaker 2", theirs)
sys.out(("           ratio         %7.1fx faster  %5.1fx less CPU (warm %.1fx)\n")
  :format(median(ours, "mb_s") / median(theirs, "mb_s"),
    median(theirs, "cpu_gb") / median(ours, "cpu_gb"),
    median(theirs, "warm_gb") / median(ours, "warm_gb")))
old:close()
new:close()
