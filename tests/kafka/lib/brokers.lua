--- Clusters of several brokers in a world (mirror_world.lua), one by one.
-- local brokers = loadfile(...)(here .. "/lib")
-- local world <close> = brokers.world(t, settings)
-- brokers.order(world, "kill", "old", 2)     "up", "stop"; no number: all
-- brokers.partitions(world, "old", "apps.a") as Metadata tells them

local sys = require "vm.sys"
local task = require "vm.task"
local wire = require "vm.wire"

local here = ...
local world_of = loadfile(here .. "/mirror_world.lua")(here)

local M = { COUNT = 3 }

--- Small brokers that are soon missed when they are gone, and whose leaders
-- soon go home when they are back.
local SETTINGS = {
  "BROKERS=" .. M.COUNT, "HEAP=256m", "min.insync.replicas=2",
  "num.network.threads=1", "broker.heartbeat.interval.ms=500",
  "broker.session.timeout.ms=3000", "controller.quorum.fetch.timeout.ms=3000",
  "leader.imbalance.check.interval.seconds=2",
  "leader.imbalance.per.broker.percentage=0",
}

--- Two clusters of three; topics have as many replicas.
function M.world(t, settings)
  local all = table.move(SETTINGS, 1, #SETTINGS, 1, {})
  table.move(settings or {}, 1, #(settings or {}), #all + 1, all)
  local world = world_of.new(t, all)
  world.replication = M.COUNT
  return world
end

--- One verb of tests/world/cluster for a node, or for all of a cluster.
---@async
function M.order(world, verb, at, node)
  local dir = ("%s/%s%s"):format(world.dir, at, node and "/" .. node or "")
  local done = world.t.ok(sys.run { here .. "/../../world/cluster", verb, dir })
  world.t.equal(done.code, 0, done.stderr)
end

local function ask(world, at, names)
  for host, port in world[at].bootstrap:gmatch "([^,]+):(%d+)" do
    local conn <close> = wire.connect { host = host, timeout_ms = 2000,
      port = math.tointeger(port) }
    local topics = {}
    for index, name in ipairs(names) do topics[index] = { Name = name } end
    local answer = conn and conn:call("Metadata", { Topics = topics })
    if answer then return answer.Topics end
  end
end

--- Partitions of topics by "topic/partition": { leader, epoch, replicas, isr };
-- nil while no broker answers.
local function look(world, at, names)
  local found = {}
  for _, topic in ipairs(ask(world, at, names) or {}) do
    for _, part in ipairs(topic.Partitions) do
      found[topic.Name .. "/" .. part.PartitionIndex] = { leader = part.LeaderId,
        epoch = part.LeaderEpoch, replicas = part.ReplicaNodes,
        isr = part.IsrNodes }
    end
  end
  return next(found) and found
end

--- Waits until `is_so(partition)` holds of every partition of the topics.
---@async
function M.await(world, what, at, names, is_so)
  return world:await(what .. " on " .. at, function()
    local found = look(world, at, names)
    for _, one in pairs(found or {}) do
      if not is_so(one) then return false end
    end
    return found
  end, 120000)
end

--- The partitions of topics as Metadata tells them, once a broker answers.
---@async
function M.partitions(world, at, names)
  return M.await(world, "an answer", at, names, function() return true end)
end

--- Both sides at once: `fn(at)`.
---@async
function M.on_both(world, fn)
  world.t.ok(task.together { function() fn "old" end, function() fn "new" end })
end

--- Gives a topic's partitions to the same brokers in another order, as an
-- administrator does, and waits until others lead.
---@async
function M.reassign(world, at, topic)
  local moves, wanted = {}, {}
  for id, one in pairs(M.partitions(world, at, { topic })) do
    local list = one.replicas
    table.insert(list, table.remove(list, 1))
    wanted[list[1] .. id] = true
    moves[#moves + 1] = ('{"topic":"%s","partition":%s,"replicas":[%s]}')
      :format(topic, id:match "%d+$", table.concat(list, ","))
  end
  local path = ("%s/%s-moves.json"):format(world.dir, at)
  world.t.ok(sys.write_file(path, ('{"version":1,"partitions":[%s]}')
    :format(table.concat(moves, ","))))
  local done = world.t.ok(sys.run { here .. "/../../world/kafka/java",
    "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "--bootstrap-server", world[at].bootstrap, "--reassignment-json-file", path,
    "--execute" })
  world.t.equal(done.code, 0, done.stdout .. done.stderr)
  world:await("the new leaders of " .. topic .. " on " .. at, function()
    for id, one in pairs(look(world, at, { topic }) or { [""] = {} }) do
      if not wanted[tostring(one.leader) .. id] then return false end
    end
    return true
  end, 120000)
end

return M
