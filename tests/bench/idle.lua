--- What partitions cost when nothing comes: CPU and memory of the copier alone
-- (in this process), then of the whole engine (`tranship mirror`), its brokers'
-- CPU beside it.
--   tranship --lua tests/bench/idle.lua FOLDER COUNT
-- COPYING_PAIR names the clusters, FOLDER holds theirs, `old` and `new`.

local lib = dofile "tests/bench/lib.lua"
local copying = dofile "tests/world/copying.lua"
local sys = require "vm.sys"
local task = require "vm.task"
local check = copying.check

local folder, count = ...
count = math.tointeger(tonumber(count))
local MOST_CREATED = 2000 -- partitions at once; a controller refuses 10,000
local SETTLE_MS, SECONDS = 15000, 30
local brokers = { lib.broker(folder .. "/old"), lib.broker(folder .. "/new") }
local world = copying.world()
local pair <close> = world.open()
local prefix = copying.name "idle"

-- Topics with `left` partitions together, as a controller takes them.
local function many(left)
  local list = {}
  while left > 0 do
    local share = math.min(left, MOST_CREATED)
    list[#list + 1] = { name = ("%s-%d"):format(prefix, #list + 1),
      partitions = share, replication = 1 }
    left = left - share
  end
  return list
end

local topics = many(count)

-- Both sides have them once the last of them answers and the brokers rest.
local function create_both()
  for _, side in ipairs { pair.a, pair.b } do
    for _, topic in ipairs(topics) do
      local made = check(side.client:create_topics { topic })
      if made[1].err then error(made[1].err, 0) end
    end
  end
  local newest = topics[#topics]
  for _, side in ipairs { pair.a, pair.b } do
    repeat
      task.sleep(500)
      local last = side.client:offsets { { topic = newest.name,
        partition = newest.partitions - 1, at = "end" } }
    until last and last[1].offset == 0
  end
  task.sleep(5000)
end

local function measure(what, pid, rest)
  task.sleep(SETTLE_MS)
  local own, old, new = lib.cpu(pid), lib.cpu(brokers[1]), lib.cpu(brokers[2])
  task.sleep(SECONDS * 1000)
  local function share(before, pid_of)
    return 100 * (lib.cpu(pid_of) - before) / SECONDS
  end
  sys.out(("idle       %d partitions, %-11s %5.1f %% of a core, %3.0f MB (peak "
    .. "%.0f), brokers %.1f %% + %.1f %%%s\n"):format(count, what .. ":",
      share(own, pid), lib.memory(pid, "VmRSS"), lib.memory(pid, "VmHWM"),
      share(old, brokers[1]), share(new, brokers[2]), rest))
end

local function start_all(copier)
  local pid, epoch = pair.b:producer_id()
  for _, topic in ipairs(topics) do
    local told = check(pair.a.client:describe_topics { topic.name })[topic.name]
    for p = 0, topic.partitions - 1 do
      check(copier:start { id = topic.name .. "/" .. p,
        source = { host = pair.a.host, port = pair.a.port, topic = topic.name,
          partition = p, topic_id = told.id },
        target = { host = pair.b.host, port = pair.b.port, topic = topic.name,
          partition = p },
        source_offset = 0, target_offset = 0, log_end = 0, sequence = 0,
        producer_id = pid, producer_epoch = epoch })
    end
  end
end

local function inner()
  local copier <close> = check(copying.open {})
  start_all(copier)
  measure("the copier", nil, "")
  for _, event in ipairs(check(copier:next())) do
    assert(event.kind ~= "stopped", "a partition has stopped")
  end
end

--- Waits until every partition is copied; seconds since `begin`.
local function await_ready(log, begin)
  local address
  while true do
    task.sleep(500)
    local said = sys.read_file(log) or ""
    address = address or said:match "metrics at http://([%d%.:]+)/"
    local page = address and check(sys.run { "curl", "-s",
      "http://" .. address .. "/metrics" }).stdout or ""
    local copied = page:match 'tranship_mirror_partitions{state="copying"} (%d+)'
    if tonumber(copied) == count then return (task.now() - begin) / 1000 end
    assert(task.now() - begin < 600000, said:sub(-2000))
  end
end

local function whole()
  local log, begin = folder .. "/idle.log", task.now()
  local process <close> = check(sys.spawn { args = { sys.executable(), "mirror",
    prefix, "--from", world.address.a, "--to", world.address.b, "--topics",
    prefix .. "-*", "--state", folder .. "/state" }, stdin = "null",
    stdout = log, stderr = log })
  local seconds = await_ready(log, begin)
  local spent = lib.cpu(process.pid)
  measure("the engine", process.pid, ("; started in %.0f s, %.1f CPU s")
    :format(seconds, spent))
  process:kill "TERM"
  local ended = check(process:wait())
  assert(ended.code == 0, sys.read_file(log))
end

create_both()
inner()
whole()
