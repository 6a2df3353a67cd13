--- Whom the engine believes about leaders. The brokers are tables here: each says
-- what it has heard of the cluster, and some lag behind.

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
  function ask.at(_, host, _, name, body)
    heard[#heard + 1] = { host = host, name = name, body = body }
    local answer = said[host]
    if type(answer) == "function" then return answer(name, body) end
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
