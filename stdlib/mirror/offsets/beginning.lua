--- Where the copy of a topic begins: at its first record, or, with start =
-- "latest", at what is written after the bridge was opened. Where that was is
-- noted in the bridge's topic as it is opened, so that an engine which begins
-- later leaves nothing out; topics and partitions made since are copied whole.

local names = require "mirror.names"
local record = require "mirror.topic.record"

local M = {}

--- Topics that this opening makes the bridge carry.
local function newcomers(bridge, book, shapes)
  local before = book and book.bridge
  local list = {}
  for name in pairs(shapes) do
    local known = book and book.topics[name]
    local has_begun = known and (known.origin or next(known.partitions))
      or before and before.start == "latest" and names.carries(before, name)
    if not has_begun then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

--- One of the two ends of every partition; what of an open transaction was
-- written already is copied with the rest of it.
local function read_ends(client, topics, list, at)
  local asked = {}
  for _, name in ipairs(list) do
    for _, one in ipairs(topics[name] and topics[name].partitions or {}) do
      asked[#asked + 1] = { topic = name, partition = one.partition, at = at }
    end
  end
  if #asked == 0 then return {} end
  local found, why = client:offsets(asked)
  if not found then return nil, why end
  local ends = {}
  for index, one in ipairs(found) do
    if one.err then return nil, one.err end
    local topic = asked[index].topic
    ends[topic] = ends[topic] or {}
    ends[topic][asked[index].partition + 1] = one.offset
  end
  return ends
end

--- What the bridge's topic shall say of where topics begin: a list of records,
-- none for a bridge that copies everything.
---@async
---@param shapes table<string, any>  the topics it carries
---@return table[]?, tranship.Err?
function M.records(bridge, book, shapes)
  if bridge.start ~= "latest" then return {} end
  local list, client = newcomers(bridge, book, shapes), bridge.from:client "read"
  if #list == 0 then return {} end
  local topics, why = client:describe_topics(list)
  if not topics then return nil, why end
  local starts, stops
  starts, why = read_ends(client, topics, list, "start")
  if not starts then return nil, why end
  stops, why = read_ends(client, topics, list, "stable")
  if not stops then return nil, why end
  local said = {}
  for _, name in ipairs(list) do
    if stops[name] then
      said[#said + 1] = { record.key.origin(name), { id = topics[name].id,
        starts = starts[name], stops = stops[name] } }
    end
  end
  return said
end

--- The log that a first leg reads; with `start` where its copy begins, and
-- `left_out` where that begins which is not copied. What is copied `anew` has
-- been copied before: what retention has removed since is not missed.
---@async
function M.bounds(flow, reads, anew)
  local name = flow:name_on(reads)
  local bounds, why = flow:side(reads):bounds(name, flow.partition)
  if not bounds then return nil, why end
  local topic = flow.engine.ledger.topics[flow.topic]
  local origin = reads == "from" and topic and topic.origin
  local at = origin and origin.stops[flow.partition + 1]
  if not at then return bounds end
  local leader
  leader, why = flow:side(reads):leader(name, flow.partition)
  if not leader then return nil, why end
  if leader.topic_id ~= origin.id then return bounds end -- made again since
  local first = origin.starts[flow.partition + 1]
  bounds.start = anew and math.max(at, bounds.start) or at
  bounds.left_out = first < at and first or nil
  return bounds
end

--- "t/0: offsets 0 to 99", or nil where nothing was left out.
---@param leg table  the first one of the partition
function M.told(topic, partition, leg)
  return leg.left_out and ("%s/%d: offsets %d to %d"):format(topic, partition,
    leg.left_out, leg.start.from - 1)
end

return M
