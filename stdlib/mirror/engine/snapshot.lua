--- What an engine is doing at this moment, in numbers: for progress lines, for
-- metrics and for whoever asks whether it is well. Reads nothing from outside.

local sys = require "vm.sys"
local ledger = require "mirror.topic.ledger"

local M = {}

local function blank()
  return {
    records = 0, bytes = 0, lag = 0, unknown = 0, partitions = 0,
    states = {}, offsets = { same = 0, mapped = 0 }, halts = {}, waits = {},
  }
end

local function count(map, key) map[key] = (map[key] or 0) + 1 end

--- Source offsets not copied yet, as far as the copier has seen the source.
local function lag_of(at)
  if not at or not at.source or not at.source_end then return nil end
  return math.max(0, at.source_end - at.source)
end

local function add(sum, one, lag)
  local state = one.at and one.at.state or "preparing"
  sum.partitions = sum.partitions + 1
  sum.records = sum.records + one.copied_records
  sum.bytes = sum.bytes + one.copied_bytes
  sum.lag = sum.lag + (lag or 0)
  if not lag then sum.unknown = sum.unknown + 1 end
  count(sum.states, state)
  if one.leg then
    count(sum.offsets, ledger.is_same(one.leg) and "same" or "mapped")
  end
  local why = (one.at or {}).reason or "unknown"
  if state == "stopped" then count(sum.halts, why) end
  if state == "waiting" then count(sum.waits, why) end
end

local function partition(one, lag)
  local at = one.at or {}
  return {
    topic = one.topic, partition = one.partition, lag = lag,
    state = at.state or "preparing", source = at.source, target = at.target,
    source_end = at.source_end, text = at.text,
  }
end

---@class tranship.Snapshot
---@field time integer  ms since 1970
---@field phase string  "starting", "running", "ended"
---@field total table   records, bytes, lag, partitions, states, offsets, halts,
--   waits
---@field topics table<string, table>  the same, by the source's name
---@field usage? table  memory, memory_limit, connections, throttled_ms
---@field rows table[]  one for each partition, sorted
---@field has_share? boolean  one of several engines, and all of its share is here

---@return tranship.Snapshot
function M.of(engine)
  local total, topics, rows = blank(), {}, {}
  for _, one in pairs(engine.flows) do
    local topic = topics[one.topic] or blank()
    topics[one.topic] = topic
    local lag = lag_of(one.at)
    add(topic, one, lag)
    add(total, one, lag)
    rows[#rows + 1] = partition(one, lag)
  end
  table.sort(rows, function(a, b)
    if a.topic ~= b.topic then return a.topic < b.topic end
    return a.partition < b.partition
  end)
  for name, past in pairs(engine.counts.left) do -- flows that were handed on
    local topic = topics[name] or blank()
    topics[name] = topic
    for _, sum in ipairs { topic, total } do
      sum.records = sum.records + past.records
      sum.bytes = sum.bytes + past.bytes
    end
  end
  return {
    time = sys.time(), phase = engine.phase, total = total, topics = topics,
    rows = rows, usage = engine:usage(), has_share = engine.has_share,
  }
end

--- Why the engine is not all well, in one line; nil when every partition that
-- it shall copy is being copied.
---@param seen tranship.Snapshot
function M.trouble(seen)
  if seen.phase ~= "running" then return "the engine is " .. seen.phase end
  if not seen.rows[1] and not seen.has_share then
    return "no partition is copied yet"
  end
  local worst = { stopped = 3, waiting = 2, preparing = 1 }
  local found, others = nil, 0
  for _, row in ipairs(seen.rows) do
    if worst[row.state] then
      others = others + 1
      if not found or worst[row.state] > worst[found.state] then found = row end
    end
  end
  if not found then return nil end
  local text = found.text or ("%s/%d is %s"):format(found.topic,
    found.partition, found.state)
  if others == 1 then return text end
  return ("%s; and %d more partitions"):format(text, others - 1)
end

return M
