--- What shapes of load cost the copier alone, on two clusters that run:
--   tranship --lua tests/bench/copier.lua FOLDER SHAPE ARGUMENTS...
--     busy TOPIC...        each topic copied: CPU per GB, MB/s
--     hot TOPIC IDLE       partition 0 alone, then beside IDLE idle ones
--     latency SECONDS      10 MB/s: from one log to the other, milliseconds
--     ceiling TOPIC        a bare producer that sends TOPIC's batches, and the
--                          copy of the same topic, in turns
-- COPYING_PAIR names the clusters, FOLDER holds theirs, `old` and `new`.

local lib = dofile "tests/bench/lib.lua"
local copying = dofile "tests/world/copying.lua"
local sys = require "vm.sys"
local task = require "vm.task"
local wire = require "vm.wire"
local check = copying.check

local folder, shape = ...
local brokers = { lib.broker(folder .. "/old"), lib.broker(folder .. "/new") }
local world = copying.world()
local pair <close> = world.open()

local function partitions_of(topic)
  return #check(pair.a.client:describe_topics { topic })[topic].partitions
end

-- Flows of a topic's partitions [first, last] to a fresh topic.
local function flows_of(topic, first, last, follow)
  local target = copying.name(topic)
  pair.b:topic(target, partitions_of(topic))
  local flows = {}
  for p = first, last do
    local flow = copying.flow(pair, topic, p)
    flow.target.topic = target
    if not follow then flow.until_offset = pair.a:offset(topic, p, "end") end
    flows[#flows + 1] = flow
  end
  return flows, target
end

local function run(copier, flows)
  local before, begin = lib.cpu(), task.now()
  local old, new = lib.cpu(brokers[1]), lib.cpu(brokers[2])
  local state, bytes = copying.run_all(copier, flows, 600000), 0
  local seconds = (task.now() - begin) / 1000
  for _, flow in ipairs(flows) do
    local of = state[flow.id]
    assert(of.stop.reason == "reached", of.stop.err or of.stop.reason)
    bytes = bytes + of.bytes
  end
  local gb = bytes / 1e9
  return { mb_s = bytes / seconds / 1e6, cpu_gb = (lib.cpu() - before) / gb,
    old_gb = (lib.cpu(brokers[1]) - old) / gb,
    new_gb = (lib.cpu(brokers[2]) - new) / gb, gb = gb }
end

local ROUNDS = 3
local function print_line(what, list)
  local function m(field) return lib.median(list, field) end
  sys.out(("copier     %-34s %6.1f MB/s  %5.2f CPU s/GB  brokers %.2f + %.2f"
    .. "  (%.2f GB, median of %d)\n"):format(what, m "mb_s", m "cpu_gb",
      m "old_gb", m "new_gb", list[1].gb, #list))
end

local shapes = {}

local function ratio(text, a, b, field)
  sys.out(("copier     " .. text .. "\n"):format(
    lib.median(a, field) / lib.median(b, field)))
end

local function copy_once(topic)
  local copier <close> = check(copying.open {})
  local flows, target = flows_of(topic, 0, partitions_of(topic) - 1)
  local result = run(copier, flows)
  check(pair.b.client:delete_topics { target })
  return result
end

function shapes.busy(...)
  local of = {}
  for i, topic in ipairs { ... } do
    of[i] = {}
    for round = 1, ROUNDS do of[i][round] = copy_once(topic) end
    print_line(("%s, %d busy partitions"):format(topic, partitions_of(topic)),
      of[i])
  end
  if #of > 1 then
    ratio("the last of them costs %.2f x the CPU per GB of the first (aim 1)",
      of[#of], of[1], "cpu_gb")
  end
end

function shapes.hot(topic, idle)
  idle = math.tointeger(idle)
  local quiet = copying.name "quiet"
  pair.a:topic(quiet, idle)
  local alone, among = {}, {}
  for round = 1, ROUNDS do
    for _, list in ipairs { alone, among } do
      local copier <close> = check(copying.open {})
      if list == among then
        for _, flow in ipairs(flows_of(quiet, 0, idle - 1, true)) do
          check(copier:start(flow))
        end
        task.sleep(3000) -- they have gone quiet
      end
      list[round] = run(copier, (flows_of(topic, 0, 0)))
    end
  end
  print_line("one busy partition alone", alone)
  print_line(("one busy partition beside %d idle"):format(idle), among)
  ratio("beside idle ones it runs at %.2f x its speed alone (aim 1)", among,
    alone, "mb_s")
end

--- Append to append, by the clocks of the brokers, which stamp what they append
-- on both sides. Such batches have to be built anew by the copier, so this says
-- too much rather than too little.
function shapes.latency(seconds)
  seconds = math.tointeger(seconds)
  local topic = copying.name "steady"
  local stamped = { ["message.timestamp.type"] = "LogAppendTime" }
  pair.a:topic(topic, 4, stamped)
  pair.b:topic(topic, 4, stamped)
  local copier <close> = check(copying.open {})
  for p = 0, 3 do check(copier:start(copying.flow(pair, topic, p))) end
  local before = lib.cpu()
  local done = check(sys.run { "java", "-Xmx256m", "-cp", sys.env "CP",
    "org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
    "--num-records", tostring(seconds * 10000), "--record-size", "1000",
    "--throughput", "10000", "--producer-props",
    "bootstrap.servers=" .. world.address.a, "linger.ms=0", "acks=1" })
  assert(done.code == 0, done.stderr)
  task.sleep(1000)
  local spent = lib.cpu() - before
  local waits = {}
  for p = 0, 3 do
    local skip = pair.a:offset(topic, p, "end") // 4 -- the producer warms up
    local from, to = pair.a:read(topic, p, skip), pair.b:read(topic, p, skip)
    assert(#from == #to, "not all was copied")
    for i, record in ipairs(from) do
      waits[#waits + 1] = tonumber(to[i].line:match "^%d+")
        - tonumber(record.line:match "^%d+")
    end
  end
  table.sort(waits)
  sys.out(("copier     steady 10 MB/s: append to append, p50 %d ms"
    .. "  p99 %d ms  most %d ms  (%d records; %.1f %% of a core)\n"):format(
      lib.quantile(waits, 0.5), lib.quantile(waits, 0.99), waits[#waits],
      #waits, 100 * spent / seconds))
end

--- The batches of a partition's first segment, as a producer would send them.
local function batches_of(topic, partition, most)
  local path = ("%s/old/data/%s-%d/%020d.log"):format(folder, topic, partition, 0)
  local text = check(sys.read_file(path))
  local list, at = {}, 1
  while #list < most and at + 61 < #text do
    local size = 12 + string.unpack(">i4", text, at + 8)
    list[#list + 1] = ("\0"):rep(8) .. text:sub(at + 8, at + 11) .. "\255\255\255\255"
      .. text:sub(at + 16, at + size - 1)
    at = at + size
  end
  return list
end

--- Sends batches to a partition, five requests at a time; adds to `sent`.
local function send_all(target, partition, batches, sent)
  local conn <close> = check(wire.connect { host = pair.b.host,
    port = pair.b.port })
  local function send()
    while #batches > 0 do
      local batch = table.remove(batches)
      sent.bytes = sent.bytes + #batch
      local answer = check(conn:call("Produce", { Acks = -1,
        TimeoutMs = 30000, TopicData = { { Name = target,
          PartitionData = { { Index = partition, Records = batch } } } } }))
      assert(answer.Responses[1].PartitionResponses[1].ErrorCode == 0)
    end
    return true
  end
  return check(task.together { send, send, send, send, send })
end

local function send_once(topic)
  local target, count = copying.name(topic), partitions_of(topic)
  pair.b:topic(target, count)
  local sent, work = { bytes = 0 }, {}
  for p = 0, count - 1 do
    local batches = batches_of(topic, p, 400)
    work[p + 1] = function() return send_all(target, p, batches, sent) end
  end
  local own, new, begin = lib.cpu(), lib.cpu(brokers[2]), task.now()
  check(task.together(work))
  local gb = sent.bytes / 1e9
  local result = { gb = gb, mb_s = sent.bytes / (task.now() - begin) / 1000,
    cpu_gb = (lib.cpu() - own) / gb, old_gb = 0,
    new_gb = (lib.cpu(brokers[2]) - new) / gb }
  check(pair.b.client:delete_topics { target })
  return result
end

--- The producer reads nothing while it sends, which the copier has to.
function shapes.ceiling(topic)
  local copied, sent = {}, {}
  for round = 1, ROUNDS do
    copied[round], sent[round] = copy_once(topic), send_once(topic)
  end
  print_line(topic .. ", bare producer", sent)
  print_line(topic .. ", copied", copied)
  ratio("the copy runs at %.2f x the bare producer's speed (aim 0.90)", copied,
    sent, "mb_s")
end

assert(shapes[shape], "no such shape: " .. tostring(shape))
shapes[shape](select(3, ...))
