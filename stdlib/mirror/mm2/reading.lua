--- Reads a MirrorMaker 2 flow, running or past, from its own topics. Nothing is
-- written. Records that cannot be read are kept in `problems`.

local format = require "mirror.mm2.format"

local M = {}

local AT_ONCE = 5000 -- records

--- Hands every committed record of a topic to `take`, in the order of each
-- partition; false if there is no such topic.
---@async
---@return boolean? there, tranship.Err?
function M.each(client, topic, take)
  local shapes, why = client:describe_topics { topic }
  if not shapes then return nil, why end
  if not shapes[topic] then return false end
  local asked = {}
  for _, part in ipairs(shapes[topic].partitions) do
    for _, at in ipairs { "start", "stable" } do
      asked[#asked + 1] = { topic = topic, partition = part.partition, at = at }
    end
  end
  local bounds
  bounds, why = client:offsets(asked)
  if not bounds then return nil, why end
  local ranges = {}
  for index = 1, #bounds, 2 do
    local start, stop = bounds[index], bounds[index + 1]
    if start.err or stop.err then return nil, start.err or stop.err end
    if start.offset < stop.offset then
      ranges[#ranges + 1] = { topic = topic, partition = start.partition,
        from = start.offset, to = stop.offset }
    end
  end
  if #ranges == 0 then return true end
  local reader <close>, problem = client:reader {
    partitions = ranges, isolation = "committed",
  }
  if not reader then return nil, problem end
  repeat
    local records
    records, why = reader:read(AT_ONCE)
    if not records then return nil, why end
    for _, record in ipairs(records) do take(record) end
  until #records == 0
  return true
end

local function id_of(one) return one.topic .. "/" .. one.partition end

--- What is read of one topic: decoded records go to `take`.
local function decoded(flow, client, topic, decode, take)
  local there, why = M.each(client, topic, function(record)
    local said, problem = decode(record)
    if said then
      take(said, record)
    elseif problem then
      flow.problems[#flow.problems + 1] = ("%s: %s"):format(topic,
        tostring(problem))
    end
  end)
  if there == false then flow.missing[#flow.missing + 1] = topic end
  return there ~= nil or nil, why
end

--- The flow's offset syncs: `syncs` by "topic/partition", as they were written.
local function read_syncs(flow, from, to)
  flow.syncs = {}
  local client = flow.names.syncs_side == "from" and from or to
  return decoded(flow, client, flow.names.syncs, format.sync, function(sync)
    local list = flow.syncs[id_of(sync)] or {}
    flow.syncs[id_of(sync)] = list
    list[#list + 1] = sync
  end)
end

--- The last checkpoint of each group and partition, by the target's names.
local function read_checkpoints(flow, to)
  flow.checkpoints = {}
  return decoded(flow, to, flow.names.checkpoints, format.checkpoint,
    function(one)
      local group = flow.checkpoints[one.group] or {}
      flow.checkpoints[one.group] = group
      group[id_of(one)] = one
    end)
end

--- The last heartbeat that came through the flow.
local function read_heartbeats(flow, to)
  return decoded(flow, to, flow.names.remote_heartbeats, format.heartbeat,
    function(beat) flow.heartbeat = beat end)
end

--- Connect's offsets of this flow's partitions, by the source's names: the
-- last record copied, and where exactly that was written.
---@async
function M.offsets(flow, to)
  flow.offsets = {}
  return decoded(flow, to, flow.names.offsets, format.offset,
    function(at, record)
      if at.connector == flow.names.connector
        and at.cluster == flow.names.source then
        at.key, at.written_to = record.key, record.partition
        flow.offsets[id_of(at)] = at
      end
    end)
end

--- Everything a flow has written down.
---@async
---@param names table  mirror.mm2.names
---@param from userdata  a vm.kafka client of the source
---@param to userdata    ... and of the target
---@return table? flow { names, syncs, checkpoints, heartbeat, offsets,
--- missing, problems }, tranship.Err?
function M.flow(names, from, to)
  local flow = { names = names, missing = {}, problems = {} }
  local ok, why = read_syncs(flow, from, to)
  if ok then ok, why = read_checkpoints(flow, to) end
  if ok then ok, why = read_heartbeats(flow, to) end
  if ok then ok, why = M.offsets(flow, to) end
  if not ok then return nil, why end
  return flow
end

return M
