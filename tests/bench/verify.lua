--- `verify data` over a topic that was mirrored batch by batch: everything read
-- again from both clusters and compared by digests. MB are bytes of the
-- log of one side; both sides are read. CPU is this process alone.
--   tranship --lua tests/bench/verify.lua OLD NEW FOLDER TOPIC BYTES [ROUNDS]
-- OLD holds the topic, filled, BYTES in all.

local sys = require "vm.sys"
local task = require "vm.task"
local try = require "base.try"
local bridge = require "mirror.bridge"
local cluster = require "kafka.cluster"
local context = require "base.context"

local old_at, new_at, folder, topic, bytes, rounds = ...
bytes = tonumber(bytes)
context.get().state = folder .. "/verify-state"

local old <close> = cluster.new { name = "old", bootstrap = old_at }
local new <close> = cluster.new { name = "new", bootstrap = new_at }
local road = bridge.new { name = "verify-bench", from = old, to = new,
  topics = { topic } }

try(road:open():apply {})
while not try(road:lag { at_most = 0 }).ok do task.sleep(200) end
for _ = 1, tonumber(rounds) or 3 do
  local begin, cpu = task.now_us(), os.clock()
  local answer = try(road:same_records())
  assert(answer.ok, answer.text)
  local wall, spent = (task.now_us() - begin) / 1e6, os.clock() - cpu
  sys.out(("verify     %d records, %.0f MB a side: %.0f MB/s, %.2f GB read per "
    .. "CPU second (both sides)\n"):format(answer.seen.records, bytes / 1e6,
      bytes / 1e6 / wall, 2 * bytes / 1e9 / spent))
end
try(road:closed():apply {})
road:close()
