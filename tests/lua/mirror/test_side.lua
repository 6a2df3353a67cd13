--- Whom the engine believes about leaders. The brokers are tables here: each says
-- what it has heard of the cluster, and some lag behind.

local task = require "vm.task"
local wire = require "vm.wire"
local side = require "mirror.side"
local ask = require "mirror.side.ask"

local test = ...

local BROKERS = {
  { NodeId = 1, Host = "b1", Port = 1 }, { NodeId = 2, Host = "b2", Port = 2 },
}

local function metadata(id, leader, epoch)
  return { ClusterId = "c", Brokers = BROKERS, Topics = { {
    ErrorCode = 0, Name = "apps.a", TopicId = id, Partitions = { {
      PartitionIndex = 0, LeaderId = leader, LeaderEpoch = epoch,
      ReplicaNodes = { 1, 2 }, IsrNodes = { leader } } } } } }
end

--- A side whose brokers answer with `said[host]`; nil: not at all. `heard` lists
-- who was asked for what.
local function world(said)
  local heard, kept = {}, ask.at
  local one = side.new { name = "old", bootstrap = "b1:1,b2:2" }
  function ask.at(_, host, _, name, body, options)
    heard[#heard + 1] = { host = host, name = name, body = body }
    local answer = said[host]
    if type(answer) == "function" then return answer(name, body, options) end
    return answer, not answer and "silent" or nil
  end
  return one, heard, setmetatable({}, { __close = function() ask.at = kept end })
end

test("what a broker tells of an older leader epoch is not believed", function(t)
  local said = { b1 = metadata("t1", 2, 5), b2 = metadata("t1", 1, 4) }
  local one, _, _ <close> = world(said)
  t.equal(one:leader("apps.a", 0).epoch, 5)
  one:forget "apps.a"
  local leader = one:leader("apps.a", 0)
  t.equal({ leader.host, leader.epoch }, { "b2", 5 }, "b2 lags behind")
  said.b1 = metadata("t1", 1, 6)
  t.equal(one:describe({ "apps.a" })["apps.a"].partitions[0],
    { leader = 1, epoch = 6, replicas = { 1, 2 }, in_sync = { 1 } })
  t.equal(one:leader("apps.a", 0).host, "b1")
  said.b1 = metadata("t2", 2, 0)
  one:describe { "apps.a" }
  t.equal(one:leader("apps.a", 0).topic_id, "t2", "another topic begins anew")
  t.equal(one:leader("apps.a", 0).epoch, 0)
end)

test("an older leader than who wrote what was copied is not believed", function(t)
  local said = { b1 = metadata("t1", 1, 4), b2 = metadata("t1", 2, 5) }
  local one, heard, _ <close> = world(said)
  one:describe()
  one:has_led("apps.a", "t1", 0, 5) -- as the bridge's topic says
  local leader, why = one:leader("apps.a", 0)
  t.fails("unavailable", leader, why)
  t.ok(why.retriable)
  t.match(why, "tell of epoch 4, and one of epoch 5 has been seen")
  t.equal({ one:leader("apps.a", 0).host, heard[#heard].host }, { "b2", "b2" },
    "another broker is asked")
  one:has_led("apps.a", "t1", 0, 3)
  t.equal(one:leader("apps.a", 0).epoch, 5, "what is known already stays")
  one:has_led("apps.a", "t0", 0, 9) -- of a topic that was made again since
  t.equal(one:leader("apps.a", 0).epoch, 5)
end)

test("who answered is asked again, until a leader was not there", function(t)
  local said = { b2 = metadata("t1", 2, 1) }
  local one, heard, _ <close> = world(said)
  one:describe()
  one:describe()
  t.equal({ heard[1].host, heard[2].host, heard[3].host }, { "b1", "b2", "b2" })
  said.b1 = said.b2
  one:forget "apps.a"
  one:describe()
  t.equal(heard[#heard].host, "b1", "another one is asked")
end)

local function log_says(code, offset)
  return { Topics = { { Name = "apps.a", Partitions = { { PartitionIndex = 0,
    ErrorCode = code, Offset = offset } } } } }
end

test("an epoch that has aged is looked up anew, once", function(t)
  local said, epochs = {}, {}
  local one, heard, _ <close> = world(said)
  local function leader_of(epoch)
    return function(name, body)
      if name == "Metadata" then return metadata("t1", 1, epoch) end
      epochs[#epochs + 1] = body.Topics[1].Partitions[1].CurrentLeaderEpoch
      return log_says(epochs[#epochs] == 8 and 0 or 74, 42)
    end
  end
  said.b1 = leader_of(7)
  one:describe { "apps.a" }
  said.b1, said.b2 = leader_of(8), leader_of(8)
  t.equal(one:log_end("apps.a", 0), 42)
  t.equal(epochs, { 7, 8 })
  said.b1, said.b2 = leader_of(9), leader_of(9)
  one:forget "apps.a"
  local before = #heard
  t.fails("unavailable", one:log_end("apps.a", 0))
  t.equal(#heard - before, 4, "asked about twice, and twice where it leads")
end)

test("a log's ends are asked of the leader of an epoch", function(t)
  local one, heard, _ <close> = world { b1 = metadata("t1", 2, 7) }
  t.equal(one:log_end("apps.a", 0), nil)
  t.equal(heard[2].host, "b2")
  t.equal(heard[2].body.Topics[1].Partitions[1].CurrentLeaderEpoch, 7)
end)

test("what all topics are is not read again while it is said in the same bytes",
  function(t)
    local answer, mark, wanted = metadata("t1", 1, 5), 7, {}
    local one, _, _ <close> = world { b1 = function(_, body, options)
      if body.Topics then return answer end
      wanted[#wanted + 1] = options.unless
      return options.unless ~= mark and answer, mark
    end }
    local first = one:describe()
    t.equal(one:describe(), first)
    t.equal(first["apps.a"].partitions[0].epoch, 5)
    answer, mark = metadata("t1", 2, 6), 8
    t.equal(one:describe()["apps.a"].partitions[0].epoch, 6)
    answer, mark = metadata("t1", 1, 4), 9
    t.equal(one:describe()["apps.a"].partitions[0].epoch, 6, "who lags behind ...")
    one:describe()
    t.equal(wanted, { 0, 7, 7, 8, 0 }, "... is read each time")
  end)

--- A broker that leads `count` partitions of apps.a; the answers to ListOffsets
-- wait for `gate`. A partition's log ends at its number, and begins at 1.
local function leader_of(count, gate)
  local described = metadata("t1", 1, 3)
  local parts = described.Topics[1].Partitions
  for number = 1, count - 1 do
    parts[number + 1] = { PartitionIndex = number, LeaderId = 1, LeaderEpoch = 3,
      ReplicaNodes = { 1 }, IsrNodes = { 1 } }
  end
  return function(name, body)
    if name == "Metadata" then return described end
    gate:wait()
    local answered = {}
    for index, part in ipairs(body.Topics[1].Partitions) do
      local number = part.PartitionIndex
      answered[index] = { PartitionIndex = number,
        Offset = part.Timestamp == -1 and number or 1,
        ErrorCode = number == 13 and 6 or 0 }
    end
    return { Topics = { { Name = "apps.a", Partitions = answered } } }
  end
end

test("what is asked while a leader answers goes to it in one request", function(t)
  local gate, found = task.flag(), {}
  local one, heard, _ <close> = world { b1 = leader_of(20, gate) }
  one:describe { "apps.a" }
  local tasks = {}
  for number = 0, 19 do
    tasks[number] = task.spawn(function()
      local log_end, why = one:log_end("apps.a", number)
      local log_start = one:log_start("apps.a", number)
      found[number] = { log_end or why.code, log_start or "gone" }
    end)
  end
  task.sleep(0)
  gate:set()
  for _, each in pairs(tasks) do each:join() end
  for number = 0, 19 do
    t.equal(found[number], number == 13 and { 6, "gone" } or { number, 1 })
  end
  local offsets = 0
  for _, asked in ipairs(heard) do
    offsets = offsets + (asked.name == "ListOffsets" and 1 or 0)
  end
  t.ok(offsets <= 4, offsets .. " requests for 40 questions")
end)

test("a connection that ends fails all who asked on it", function(t)
  local one, _, _ <close> = world { b1 = function(name)
    if name == "Metadata" then return metadata("t1", 1, 3) end
    return nil, "cut"
  end }
  local first = task.spawn(function() return select(2, one:log_end("apps.a", 0)) end)
  t.equal(select(2, one:log_start("apps.a", 0)), "cut")
  t.equal(select(2, first:join()), "cut")
end)

test("log ends of many partitions: what cannot be told is left out", function(t)
  local gate = task.flag()
  gate:set()
  local one, heard, _ <close> = world { b1 = leader_of(20, gate) }
  t.equal(one:log_ends { { topic = "apps.a", partition = 5 },
    { topic = "apps.a", partition = 13 }, { topic = "apps.a", partition = 99 },
    { topic = "apps.a", partition = 7 } }, { 5, [4] = 7 })
  t.equal(heard[#heard].body.Topics[1].Partitions[1].CurrentLeaderEpoch, 3)
  t.equal(one:log_starts { { topic = "apps.a", partition = 5 } }, { 1 })
  t.equal(heard[#heard - 1].name, "Metadata", "a leader that moved is looked up")
end)

test("an answer about what was not asked is none", function(t)
  for _, at in ipairs { { "apps.b", 0 }, { "apps.a", 7 } } do
    local one, _, _ <close> = world { b1 = function(name)
      return name == "Metadata" and metadata("t1", 1, 5) or { Topics = { {
        Name = at[1], Partitions = { { PartitionIndex = at[2], ErrorCode = 0,
          Offset = 9 } } } } }
    end }
    t.fails("protocol", task.deadline(2000, one.log_end, one, "apps.a", 0))
    t.equal(one:log_ends { { topic = "apps.a", partition = 0 } }, {})
  end
end)

test("a connection that fails takes no other one along", function(t)
  local kept, made = wire.connect, {}
  local _ <close> = setmetatable({}, { __close = function() wire.connect = kept end })
  local down, up = task.flag(), task.flag()
  function wire.connect(options)
    local conn, number = { host = options.host, is_closed = false }, #made + 1
    made[number] = conn
    function conn.is_open() return not conn.is_closed end
    function conn.close() conn.is_closed = true end
    function conn.call()
      if number == 1 then
        down:wait()
        return nil, "gone"
      end
      up:wait()
      return { number = number }
    end
    return conn
  end
  local one = side.new { name = "old", bootstrap = "[::1]:1" }
  local function call() return ask.at(one, "b1", 1, "Metadata", {}) end
  local again = task.spawn(function() return call() or call() end)
  local other = task.spawn(call)
  task.sleep(5)
  down:set(true)
  task.sleep(5)
  t.equal({ #made, made[1].is_closed, made[2].is_closed }, { 2, true, false })
  up:set(true)
  t.equal({ again:join() }, { true, { number = 2 } })
  t.ok(other:join())
  t.equal(ask.any(one, "Metadata", {}), { number = 3 })
  t.equal(made[3].host, "::1")
end)
