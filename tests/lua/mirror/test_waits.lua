--- What a partition says while it waits.

local err = require "base.err"
local flow = require "mirror.flow"
local waits = require "mirror.flow.waits"

local test = ...

local function refused(code)
  return err.new { kind = "unavailable", origin = "kafka", code = code,
    retriable = true, message = "refused" }
end

--- A flow between topics of three replicas; those of the source are all in sync.
local function waiting(in_sync)
  local function cluster(name, there)
    return { name = name, describe = function()
      return { ["apps.a"] = { partitions = { [0] = { replicas = { 1, 2, 3 },
        in_sync = there } } } }
    end }
  end
  local client = { configs = function()
    return { ["apps.a"] = { ["min.insync.replicas"] = { value = "2" } } }
  end }
  return setmetatable({ topic = "apps.a", partition = 0, id = "apps.a/0",
    engine = { clients = { from = client, to = client },
      sides = { from = cluster("old", { 1, 2, 3 }), to = cluster("new", in_sync) },
      on_target = function(_, name) return name end } }, flow)
end

test("too few replicas: which are missing, and what to do", function(t)
  for code, name in pairs { [19] = "NOT_ENOUGH_REPLICAS",
    [20] = "NOT_ENOUGH_REPLICAS_AFTER_APPEND", [78] = "OFFSET_NOT_AVAILABLE" } do
    local why, reason = waits.explained(waiting { 2 }, refused(code))
    t.equal(why.message, ("apps.a/0 on new waits for replicas (%s): 1 of 3 are "
      .. "in sync, and its min.insync.replicas is 2: bring back brokers 1, 3, "
      .. "or lower that setting; the copy goes on by itself"):format(name))
    t.equal({ reason, why.code }, { "not_enough_replicas", code })
  end
end)

test("what else it waits for has a word, too", function(t)
  local function word(why) return select(2, waits.explained(waiting { 2, 3 }, why)) end
  t.equal(word(refused(6)), "not_leader_or_follower")
  t.equal(word(refused(78)), "offset_not_available", "enough are in sync")
  t.equal(word(err.new { kind = "not found", message = "x" }), "not_found")
  t.equal(word "a leader moved", "other")
end)
