--- A source with many transactional producers, copied while they write, with
-- transactions kept as such at the same offsets: does the engine keep up?
--   tranship --lua tests/bench/transactions.lua OLD NEW FOLDER [PRODUCERS]
--       [RATE] [SECONDS]
-- RATE is transactions per second of each producer (Transactions.java, with
-- Kafka's own client). FOLDER holds `old` and `new`. The same load goes through
-- uncounted first: a broker takes minutes of it to reach its speed.

local lib = dofile "tests/bench/lib.lua"
local sys = require "vm.sys"
local task = require "vm.task"
local try = require "base.try"
local bridge = require "mirror.bridge"
local cluster = require "kafka.cluster"
local context = require "base.context"
local place = require "mirror.engine.place"

local old_at, new_at, folder, producers, rate, seconds = ...
producers = math.tointeger(tonumber(producers)) or 10
rate, seconds = tonumber(rate) or 100, tonumber(seconds) or 20
local PARTITIONS, LOOK_MS, WARMING_SECONDS = 4, 100, 60
local TOPIC = "transactions"
context.get().state = folder .. "/transactions-state"

local old = cluster.new { name = "old", bootstrap = old_at }
local new = cluster.new { name = "new", bootstrap = new_at }
local brokers = { lib.broker(folder .. "/old"), lib.broker(folder .. "/new") }

local function ends(client)
  local wanted, list = {}, {}
  for p = 1, PARTITIONS do
    wanted[p] = { topic = TOPIC, partition = p - 1, at = "end" }
  end
  local sum = 0
  for p, one in ipairs(try(client:offsets(wanted))) do
    list[p] = one.offset
    sum = sum + one.offset
  end
  return sum, list
end

-- What another run has left.
local function clean(client)
  local gone = {}
  for _, one in ipairs(try(client:topics())) do
    if one.name == TOPIC or one.name:find "^__tranship" then
      gone[#gone + 1] = one.name
    end
  end
  if #gone > 0 then try(client:delete_topics(gone)) end
end
clean(old:client "write")
clean(new:client "write")
try(old:client("write"):create_topics {
  { name = TOPIC, partitions = PARTITIONS, replication = 1 } })
local road = bridge.new { name = "transactions", from = old, to = new,
  topics = { TOPIC }, offsets = "same" }
try(road:open {}:apply {})
local pid = place.holder(road.name).pid

local function load(for_seconds)
  return sys.run { "tests/world/java/run", "Transactions.java", "Transactions",
    old_at, TOPIC, tostring(PARTITIONS), tostring(producers), tostring(rate),
    tostring(for_seconds) }
end
load(WARMING_SECONDS)

local cpu, old_cpu, new_cpu = lib.cpu(pid), lib.cpu(brokers[1]), lib.cpu(brokers[2])
local began, lags = task.now(), {}
local writing <close> = task.spawn(load, seconds)
while not writing:is_done() do
  lags[#lags + 1] = ends(old:client "read") - ends(new:client "read")
  task.sleep(LOOK_MS)
end
local done = select(2, assert(writing:join()))
assert(done.code == 0, done.stderr)
local wrote = (task.now() - began) / 1000
local total = tonumber(done.stdout)
local goal, wanted = ends(old:client "read")
local stopped = task.now()
while ends(new:client "read") < goal do
  assert(task.now() - stopped < 60000, "the copy does not catch up")
  task.sleep(20)
end
local drained = task.now() - stopped
local _, got = ends(new:client "read")
local same = table.concat(wanted, " ") == table.concat(got, " ")
table.sort(lags)
local function cores(before, of) return (lib.cpu(of) - before) / wrote end
sys.out(("mirror     transactions of %d producers: %.0f/s (wanted %.0f), offsets "
  .. "behind p50 %d  most %d of %d, all there %d ms after the last; log ends "
  .. "%s\n           busy cores: engine %.2f, source %.2f, target %.2f; engine "
  .. "peak %.0f MB\n"):format(producers, total / seconds, producers * rate,
    lib.quantile(lags, 0.5), lags[#lags], goal, drained,
    same and "the same" or "DIFFER", cores(cpu, pid), cores(old_cpu, brokers[1]),
    cores(new_cpu, brokers[2]), lib.memory(pid, "VmHWM")))
try(road:closed():apply {})
road:close()
old:close()
new:close()
return same and 0 or 1
