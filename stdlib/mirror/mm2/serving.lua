--- Serves clients of MirrorMaker 2: while the bridge copies, its engine writes
-- what MirrorMaker would write, in its formats and under its names, so that an
-- unchanged RemoteClusterUtils or MirrorClient reads it. The difference is that
-- every checkpoint is exact: a position without an exact place gets none yet.

local sys = require "vm.sys"
local err = require "base.err"
local format = require "mirror.mm2.format"
local groups = require "mirror.mm2.groups"
local map = require "mirror.offsets.map"
local mirror_names = require "mirror.names"
local names = require "mirror.mm2.names"
local reading = require "mirror.mm2.reading"

local M = {}
M.__index = M
M.__name = "mm2.serving"

local REPLICATION = 3

local function new(engine)
  return setmetatable({ engine = engine, told = {}, synced = {},
    names = names.new(engine.policy.mirrormaker2), producers = {} }, M)
end

local function brokers_of(client)
  local cluster, why = client:cluster()
  if not cluster then return nil, why end
  return #cluster.brokers
end

--- Creates a topic of MirrorMaker's own shape unless it is there.
local function ensure(self, at, topic)
  local client = self.engine.clients[at]
  local shapes, why = client:describe_topics { topic }
  if not shapes then return nil, why end
  if shapes[topic] then return true end
  local brokers
  brokers, why = brokers_of(client)
  if not brokers then return nil, why end
  local done
  done, why = client:create_topics { { name = topic, partitions = 1,
    replication = math.min(REPLICATION, brokers),
    configs = { ["cleanup.policy"] = "compact" } } }
  if not done then return nil, why end
  local problem = done[1].err
  if problem and problem.kind ~= "exists" then return nil, problem end
  return true
end

local function ensure_topics(self)
  for topic, at in pairs {
    [self.names.checkpoints] = "to", [self.names.remote_heartbeats] = "to",
    [self.names.syncs] = self.names.syncs_side,
  } do
    local ok, why = ensure(self, at, topic)
    if not ok then return nil, err.wrap(why, "making " .. topic) end
  end
  return true
end

--- What an engine before this one has told already.
local function remember(self)
  local ok, why = reading.each(self.engine.clients.to, self.names.checkpoints,
    function(rec)
      local one = format.checkpoint(rec)
      if one then
        self.told[one.group .. "\0" .. one.topic .. "/" .. one.partition] = one
      end
    end)
  return ok ~= nil or nil, why
end

local function produce(producer, list)
  local done, why = producer:produce(list)
  if not done then return nil, why end
  for _, one in ipairs(done) do
    if err.is(one) then return nil, one end
    if one.err then return nil, one.err end
  end
  return true
end

--- Writes records to a side; after a failure by another producer.
local function write(self, at, list)
  if #list == 0 then return true end
  local producer = self.producers[at]
  if not producer then
    local made, refused = self.engine.clients[at]:producer {}
    if not made then return nil, refused end
    producer = made
    self.producers[at] = made
  end
  local ok, why = produce(producer, list)
  if ok then return true end
  producer:close()
  self.producers[at] = nil
  return nil, why
end

local function record_of(topic, key, value)
  return { topic = topic, partition = 0, key = key, value = value,
    timestamp = sys.time() }
end

--- The newest record of a flow that lies on both sides, as a sync.
local function newest(flow)
  local at, run = flow.at, flow.open_run
  if not at or not at.source then return nil end
  if run and run.leg == at.leg then
    return run.source + run.count - 1, run.target + run.count - 1
  elseif at.source == at.target and at.source > 0 then
    return at.source - 1, at.target - 1
  end
end

--- Which side writes this flow's partition now?
local function is_ours(flow) return flow.leg and flow.leg.writer == "from" end

local function write_syncs(self)
  local list, synced = {}, {}
  for id, flow in pairs(self.engine.flows) do
    local upstream, downstream = newest(flow)
    if upstream and is_ours(flow) and upstream > (self.synced[id] or -1) then
      synced[id] = upstream
      list[#list + 1] = record_of(self.names.syncs, format.encode_sync {
        topic = flow.topic, partition = flow.partition, upstream = upstream,
        downstream = downstream })
    end
  end
  local ok, why = write(self, self.names.syncs_side, list)
  if not ok then return nil, why end
  for id, upstream in pairs(synced) do self.synced[id] = upstream end
  return true
end

--- The exact place of a position; nil when it has none, or not yet.
local function place_of(self, maps, one)
  local id = one.topic .. "/" .. one.partition
  local flow = self.engine.flows[id]
  if not flow or not is_ours(flow) then return nil end
  if maps[id] == nil then
    maps[id] = map.of(self.engine.ledger, one.topic, one.partition) or false
  end
  return maps[id] and maps[id]:lookup(one.offset, "from") or nil
end

--- A checkpoint for a position that is not told yet, or nil.
local function checkpoint_of(self, maps, group, one)
  if not mirror_names.carries(self.engine.policy, one.topic) then return nil end
  local topic = self.engine:on_target(one.topic)
  local last = self.told[group .. "\0" .. topic .. "/" .. one.partition]
  if last and last.upstream == one.offset
    and last.metadata == (one.metadata or "") then return nil end
  local place = place_of(self, maps, one)
  return place and { group = group, topic = topic, partition = one.partition,
    upstream = one.offset, downstream = place, metadata = one.metadata or "" }
end

local function collect(self, maps, group, list)
  local offsets, why = self.engine.clients.from:group_offsets(group)
  if not offsets then return nil, why end
  for _, one in ipairs(offsets) do
    if not one.err and one.offset >= 0 then
      list[#list + 1] = checkpoint_of(self, maps, group, one)
    end
  end
  return true
end

local function write_checkpoints(self)
  local all, why = groups.of(self.engine.clients.from)
  if not all then return nil, why end
  local maps <close> = setmetatable({}, { __close = function(made)
    for _, one in pairs(made) do if one then one:close() end end
  end })
  local list, records = {}, {}
  for _, group in ipairs(all) do
    local ok, problem = collect(self, maps, group, list)
    if not ok then return nil, problem end
  end
  for index, one in ipairs(list) do
    records[index] = record_of(self.names.checkpoints,
      format.encode_checkpoint(one))
  end
  local ok
  ok, why = write(self, "to", records)
  if not ok then return nil, why end
  for _, one in ipairs(list) do
    self.told[one.group .. "\0" .. one.topic .. "/" .. one.partition] = one
  end
  return true
end

local function write_heartbeat(self)
  return write(self, "to", { record_of(self.names.remote_heartbeats,
    format.encode_heartbeat { source = self.names.source,
      target = self.names.target, time = sys.time() }) })
end

local ROUND = { write_syncs, write_checkpoints, write_heartbeat }

local function tell(self)
  if not self.ready then
    local ok, why = ensure_topics(self)
    if ok then ok, why = remember(self) end
    if not ok then return nil, why end
    self.ready = true
  end
  local problem
  for _, what in ipairs(ROUND) do
    local ok, why = what(self)
    if not ok then problem = problem or why end
  end
  return not problem or nil, problem
end

--- Tells what there is to tell now, if the bridge is declared to. The copying
-- does not depend on it.
---@async
---@return true?, tranship.Err?
function M.look(engine)
  local flow = engine.policy.mirrormaker2
  if not flow or not flow.checkpoints then return true end
  engine.server = engine.server or new(engine)
  return tell(engine.server)
end

function M:close()
  for _, producer in pairs(self.producers) do producer:close() end
  self.producers = {}
end

return M
