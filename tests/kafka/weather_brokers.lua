--- Three brokers on either side, under load, and an engine that is never
-- touched: brokers are killed (-9) one by one, then all of a side at once;
-- leaders and coordinators move away and home again, and are moved by hand; a
-- topic that lacks a replica waits and says so. In the end there is one copy, at
-- the same offsets.
--   Engines of a group go on when the broker dies that coordinates it.
--   A leader that never kept up is elected all the same (unclean election), on
-- either side: what was copied and is gone, or was acknowledged and is gone, is
-- named to the offset, and nothing goes on over it; also by an engine that was not
-- there when it happened, and knows what its predecessor wrote down.

local sys = require "vm.sys"
local task = require "vm.task"
local wire = require "vm.wire"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local brokers = loadfile(here .. "/lib/brokers.lua")(here .. "/lib")
local place = require "mirror.engine.place"

local PLAIN, TXN, MAPPED = "apps.plain", "apps.txn", "apps.mixed"
local STRICT = "apps.strict" -- the target has two replicas of it, and wants both
local PARTITIONS = 3
local PATIENCE_MS = 120000
local TOPICS = { PLAIN, TXN, MAPPED }

local SHARED, COPY = "shared.a", "copy." -- what engines of a group divide
local GROUP = "__tranship.shared"

local function partitions(topic, count)
  local list = {}
  for partition = 0, count - 1 do list[#list + 1] = { topic, partition } end
  return list
end

--- Transactions to one partition after the other, every third one aborted, until
-- it is stopped. What goes wrong meanwhile is the writer's own affair.
local function transactions(world, at)
  local stopping, count = false, 0
  local function once(producer)
    assert(producer:begin())
    local answers = assert(producer:produce(world.records(TXN,
      count % PARTITIONS, count * 10, 10)))
    for _, answer in ipairs(answers) do assert(not answer.err, answer.err) end
    assert(producer:flush())
    assert(producer[count % 3 == 2 and "abort" or "commit"](producer))
    count = count + 1
  end
  local work = task.spawn(function()
    while not stopping do
      local producer <close> = assert(at:client("write"):producer {
        transactional_id = "app", settings = { ["linger.ms"] = "1",
          ["transaction.timeout.ms"] = "10000",
          ["socket.timeout.ms"] = "5000" } })
      local ok = producer:init()
      while ok and not stopping do
        ok = pcall(once, producer)
        task.sleep(20)
      end
      if not ok then task.sleep(200) end
    end
  end)
  return function()
    stopping = true
    world.t.ok(work:join())
    return count
  end
end

--- Waits until every partition of the copy of a topic (PLAIN) has grown.
local function must_advance(world, what, topic)
  local function ends()
    local list = {}
    for _, one in ipairs(partitions(topic or PLAIN, PARTITIONS)) do
      list[#list + 1] = { topic = one[1], partition = one[2], at = "end" }
    end
    local found = world.new:client("read"):offsets(list)
    for _, one in ipairs(found or {}) do
      if one.err then return nil end
    end
    return found
  end
  local before = world:await("the copy answers", ends, PATIENCE_MS)
  world:await(what, function()
    local now = ends()
    for index, one in ipairs(now or {}) do
      if one.offset <= before[index].offset then return end
    end
    return now
  end, PATIENCE_MS)
end

--- How often a leader was elected, in all.
local function elections(world)
  local sum = 0
  for _, at in ipairs { "old", "new" } do
    local found = brokers.await(world, "a leader everywhere", at, TOPICS,
      function(one) return one.leader > 0 end)
    for _, one in pairs(found) do sum = sum + one.epoch end
  end
  return sum
end

--- The copy of STRICT waits for a replica that is gone, less and less often, and
-- says for which.
local function must_wait_for(t, world, road, gone)
  local text = ("on new waits for replicas %%([%%u_]+%%): 1 of 2 are in sync, and "
    .. "its min.insync.replicas is 2: bring back broker %d,"):format(gone)
  local row = world:await(STRICT .. " waits", function()
    local found = world:row(road, STRICT .. "/0")
    return found.state == "waiting" and found.text:find(text) and found
  end, PATIENCE_MS)
  t.note(row.text)
  t.equal(row.reason, "not_enough_replicas")
  world:await("its waits grow", function()
    return world:log(road):find(STRICT .. "/0 on new waits for replicas"
      .. "[^\n]* again in [35][02]00 ms")
  end, PATIENCE_MS)
end

--- One broker of each side dies; others lead without it; it comes back.
local function kill_one(t, world, road, node)
  brokers.on_both(world, function(at)
    brokers.order(world, "kill", at, node[at])
    brokers.await(world, "other leaders", at, TOPICS, function(one)
      return one.leader > 0 and one.leader ~= node[at]
    end)
  end)
  must_advance(world, ("copied without broker %d and broker %d")
    :format(node.old, node.new))
  local strict = brokers.partitions(world, "new", { STRICT })[STRICT .. "/0"]
  if strict.replicas[1] == node.new then
    must_wait_for(t, world, road, node.new)
  end
  brokers.on_both(world, function(at)
    brokers.order(world, "up", at, node[at])
    brokers.await(world, "all replicas in sync", at, TOPICS,
      function(one) return #one.isr == brokers.COUNT end)
  end)
end

--- All brokers of one side die at once.
local function kill_all(world, at)
  brokers.order(world, "kill", at)
  brokers.order(world, "up", at)
  must_advance(world, "copied after all of " .. at .. " were killed")
end

--- A coordinator that died while it wrote a marker writes it once more when it
-- is back, and no client can tell beforehand. Where the copy got such a second
-- one, its offsets are no longer the source's: then the engine has said so, and
-- from where on.
local function transactions_must_be_whole(t, world, road, partition, kind)
  local id = ("%s/%d"):format(TXN, partition)
  world:must_be_same(TXN, partition, kind == "same")
  if kind == "same" then
    world:must_be_same(TXN, partition, true, nil, "uncommitted")
    return
  end
  local said = world:log(road):match("[^\n]*" .. id .. " goes on mapped[^\n]*")
  t.note(said)
  t.ok(said and said:find "late control markers", id .. " is " .. kind)
end

local function must_be_whole(t, world, road)
  world:settle(road, PATIENCE_MS)
  local found, kinds = 0, world:kinds(road)
  for partition = 0, PARTITIONS - 1 do
    t.equal(kinds[("%s/%d"):format(PLAIN, partition)], "same")
    found = found + world:must_be_same(PLAIN, partition, true)
    transactions_must_be_whole(t, world, road, partition,
      kinds[("%s/%d"):format(TXN, partition)])
  end
  found = found + world:must_be_same(MAPPED, 0)
    + world:must_be_same(STRICT, 0, true)
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  return found
end

local function storm(t, world, road)
  local loaded = partitions(PLAIN, PARTITIONS)
  table.move({ { MAPPED, 0 }, { STRICT, 0 } }, 1, 2, #loaded + 1, loaded)
  local stop, stop_writer = world:load(world.old, loaded, 5),
    transactions(world, world.old)
  local before, began = elections(world), task.now()
  local function note(what)
    t.note(("%.0f s: %s"):format((task.now() - began) / 1000, what))
  end
  for node = 1, brokers.COUNT do
    kill_one(t, world, road, { old = node, new = node % brokers.COUNT + 1 })
    note(("broker %d of old, %d of new were killed"):format(node,
      node % brokers.COUNT + 1))
  end
  brokers.on_both(world, function(at) brokers.reassign(world, at, PLAIN) end)
  must_advance(world, "copied from and to other leaders")
  note "leaders were moved by hand"
  for _, at in ipairs { "old", "new" } do
    kill_all(world, at)
    note("all of " .. at .. " were killed")
  end
  local count, ended = stop(), stop_writer()
  t.ok(ended > 0)
  t.note(("%d records and %d transactions under way, %d elections"):format(
    count, ended, elections(world) - before))
  -- A writer that is answered by nobody may write twice: that is the source's.
  t.ok(must_be_whole(t, world, road) >= count, "records are missing")
end

--- Engines of a bridge's group, killed with what this gives.
local function members(t, world, road, count)
  local list = {}
  for number = 1, count do
    local log = ("%s/%s-%d.log"):format(world.dir, road.name, number)
    list[number] = t.ok(sys.spawn { args = { sys.executable(), "mirror",
      "--config", place.path(road.name, "json"), "--group", "--metrics", "off",
      "--state", world.state }, stdin = "null", stdout = log, stderr = log })
  end
  return setmetatable(list, { __close = function()
    for _, one in ipairs(list) do
      one:kill "KILL"
      one:wait()
      one:close()
    end
  end })
end

--- How many engines copy the partitions of a bridge now; nil unless all are copied.
local function engines_at_work(world, road)
  local book, engines, count = world.t.ok(road:ledger()), {}, 0
  for _, row in ipairs(world.t.ok(road:progress())) do
    local at = book:partition(row.topic, row.partition).at
    if not at or at.state ~= "copying" or not at.claim then return nil end
    local engine = book.claims[at.claim]
    count = count + (engines[engine] and 0 or 1)
    engines[engine] = true
  end
  return count
end

--- The broker that coordinates a group of the target.
local function coordinator(world, group)
  return world:await("a coordinator of " .. group, function()
    for host, port in world.new.bootstrap:gmatch "([^,]+):(%d+)" do
      local conn <close> = wire.connect { host = host, timeout_ms = 2000,
        port = math.tointeger(port) }
      local answer = conn and conn:call("FindCoordinator", { KeyType = 0,
        CoordinatorKeys = { group } })
      local found = answer and answer.Coordinators[1]
      if found and found.ErrorCode == 0 then return found.NodeId end
    end
  end, PATIENCE_MS)
end

--- Two engines of a group under load; the broker dies that coordinates them, and
-- they divide the work among them under another one.
local function coordinator_dies(t, world, road)
  local engines <close> = members(t, world, road, 2)
  local function both_work()
    world:await("both engines copy", function()
      return engines_at_work(world, road) == #engines
    end, PATIENCE_MS)
  end
  both_work()
  local stop = world:load(world.old, partitions(SHARED, PARTITIONS), 5)
  local before = coordinator(world, GROUP)
  brokers.order(world, "kill", "new", before)
  world:await("another coordinator", function()
    return coordinator(world, GROUP) ~= before
  end, PATIENCE_MS)
  must_advance(world, "the group goes on", COPY .. SHARED)
  both_work()
  brokers.order(world, "up", "new", before)
  must_advance(world, "and with the broker that is back", COPY .. SHARED)
  both_work()
  t.note(("the coordinator moved from broker %d under load, %d records")
    :format(before, stop()))
  world:settle(road, PATIENCE_MS)
  for partition = 0, PARTITIONS - 1 do
    world:must_be_same(SHARED, partition, true, COPY .. SHARED)
  end
end

--- A topic of two replicas on a side; the leader may be lost with all that it
-- alone holds, and the other one leads.
local LOST = { old = "lost.source", new = "lost.target" }
local UNCLEAN = { ["unclean.leader.election.enable"] = "true",
  ["min.insync.replicas"] = "1" }
local KEPT, GONE = 200, 100 -- records

local function leader_and_follower(world, at)
  local part = brokers.partitions(world, at, { LOST[at] })[LOST[at] .. "/0"]
  local one, other = table.unpack(part.replicas)
  return part.leader, one == part.leader and other or one
end

local function lose_leader(world, at, leader, follower)
  brokers.order(world, "kill", at, leader)
  brokers.order(world, "up", at, follower)
  brokers.await(world, "the follower leads", at, { LOST[at] },
    function(one) return one.leader == follower end)
end

local function must_be_named(t, world, road, at, side, from, to)
  local row = world:await(LOST[at] .. " has stopped on " .. road.name, function()
    local found = world:row(road, LOST[at] .. "/0")
    return found and found.state == "stopped" and found
  end, PATIENCE_MS)
  t.note(row.text)
  t.equal({ row.reason, row.range.side, row.range.from, row.range.to },
    { "diverged", side, from, to }, row.text)
end

--- The source's follower has what was written first. The target's has nothing:
-- it does not even know the copy's producer, and would take any batch of it.
local function unclean(t, world)
  local old, new = world.old, world.new
  world:create(old, { { name = LOST.old, replication = 2, configs = UNCLEAN },
    { name = LOST.new } })
  world:create(new, { { name = LOST.old },
    { name = LOST.new, replication = 2, configs = UNCLEAN },
    { name = COPY .. LOST.old } })
  world:create(old, { { name = SHARED, partitions = PARTITIONS } })
  local road = world:bridge { name = "loss", topics = { "lost.*" } }
  world:reach(road:open())
  local shared = world:bridge { name = "shared", topics = { LOST.old, SHARED },
    names = { prefix = COPY } }
  world:reach(shared:open())
  world:kill_engine(shared)
  coordinator_dies(t, world, shared)
  world:append(old, world.records(LOST.old, 0, 0, KEPT))
  world:settle(road, PATIENCE_MS)
  local leader, follower = {}, {}
  brokers.on_both(world, function(at)
    leader[at], follower[at] = leader_and_follower(world, at)
    brokers.order(world, "stop", at, follower[at])
  end)
  for _, topic in pairs(LOST) do
    world:append(old, world.records(topic, 0, KEPT, GONE))
  end
  world:settle(road, PATIENCE_MS)
  do
    local _ <close> = members(t, world, shared, 1)
    world:await("the group has copied it", function()
      local row = world:row(shared, LOST.old .. "/0")
      return row.source == KEPT + GONE
    end, PATIENCE_MS)
  end
  brokers.on_both(world, function(at)
    lose_leader(world, at, leader[at], follower[at])
  end)
  for _, topic in pairs(LOST) do
    world:append(old, world.records(topic, 0, KEPT + GONE, GONE // 2))
  end
  must_be_named(t, world, road, "old", "from", KEPT, KEPT + GONE)
  local _ <close> = members(t, world, shared, 1) -- it was not there
  must_be_named(t, world, shared, "old", "from", KEPT, KEPT + GONE)
  must_be_named(t, world, road, "new", "to", 0, GONE)
  local lag = t.ok(road:lag { at_most = 1000000 })
  t.ok(not lag.ok, "what has stopped shows in the lag")
end

test("three brokers on either side", function(t)
  local world <close> = brokers.world(t)
  world:create(world.old, { { name = PLAIN, partitions = PARTITIONS },
    { name = TXN, partitions = PARTITIONS }, { name = MAPPED },
    { name = STRICT } })
  world:create(world.new, { { name = STRICT, replication = 2 } })
  world:make_mapped(MAPPED)
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  local pid = t.ok(world:engine_pid(road))
  storm(t, world, road)
  t.equal(world:engine_pid(road), pid, "the engine went on by itself")
  unclean(t, world)
end)
