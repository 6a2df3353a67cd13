--- Where a source position exactly lies in a copy that MirrorMaker 2 made:
-- counted from the nearest sync, and proved by content. From a sync (u, d) that
-- both logs still hold, the records between u and the position are counted on
-- the source and walked on the target; both stretches must hash alike.
-- MirrorMaker copies the records of aborted transactions too unless it is told
-- not to: which of the two it did shows in the content.

local M = {}

local WINDOW = 10000       -- offsets more than records are looked at first
local NOTHING = { records = 0, hash = "" }

---@class mm2.log One partition on one cluster.
---@field side table      mirror.side
---@field topic string
---@field partition integer
---@field start integer
---@field stop integer
---@field stable integer

--- Digests of a range, `chunk` records each; none for an empty range.
---@async
function M.digests(log, from, to, chunk, isolation)
  return log.side:digests {
    topic = log.topic, partition = log.partition, from = from, to = to,
    chunk = chunk, isolation = isolation,
  }
end

--- All records of a range as one digest.
local function whole(log, from, to, isolation)
  local found, why = M.digests(log, from, to, nil, isolation)
  if not found then return nil, why end
  return found[1] or NOTHING
end
M.whole = whole

--- The first `count` records from `offset` on, or all there are.
local function first(log, offset, count, isolation)
  local limit = isolation == "uncommitted" and log.stop or log.stable
  local window = count + WINDOW
  while true do
    local stop = math.min(offset + window, limit)
    local found, why = M.digests(log, offset, stop, count, isolation)
    if not found then return nil, why end
    local one = found[1] or NOTHING
    if one.records >= count or stop >= limit then return one end
    window = window * 8
  end
end
M.first = first

--- The last `count` records before `offset`, or all there are.
local function last(log, offset, count, isolation)
  local low = math.max(log.start, offset - count)
  while true do
    local found, why = whole(log, low, offset, isolation)
    if not found then return nil, why end
    if found.records > count then
      local skipped
      skipped, why = M.digests(log, low, offset, found.records - count,
        isolation)
      if not skipped then return nil, why end
      return whole(log, skipped[1].to, offset, isolation)
    elseif found.records == count or low == log.start then
      return found
    end
    low = math.max(log.start, low - 2 * (count - found.records))
  end
end
M.last = last

--- Counts on from a sync at or before the position.
local function forward(from, to, sync, offset, isolation)
  local here, why = whole(from, sync.upstream, offset, isolation)
  if not here then return nil, why end
  if here.records == 0 then return { offset = sync.downstream } end
  local there
  there, why = first(to, sync.downstream, here.records)
  if not there then return nil, why end
  if there.records < here.records then
    return { missing = here.records - there.records }
  elseif there.hash ~= here.hash then
    return { differs = true }
  end
  return { offset = there.to }
end

--- Counts back from a sync behind the position.
local function backward(from, to, sync, offset, isolation)
  local here, why = whole(from, offset, sync.upstream, isolation)
  if not here then return nil, why end
  if here.records == 0 then return { offset = sync.downstream } end
  local there
  there, why = last(to, sync.downstream, here.records)
  if not there then return nil, why end
  if there.records < here.records then
    return { trimmed = true }
  elseif there.hash ~= here.hash then
    return { differs = true }
  end
  return { offset = there.from }
end

--- The syncs to count from, of those that both logs still hold: the last one
-- written at or before the position, and the one behind it. A MirrorMaker that
-- was killed begins again further back and copies records twice: what it wrote
-- later counts.
local function nearest(from, to, syncs, offset)
  local before, behind
  for _, sync in ipairs(syncs or {}) do
    if sync.upstream >= from.start and sync.downstream >= to.start
      and sync.upstream < from.stop and sync.downstream < to.stop then
      if sync.upstream <= offset then
        before, behind = sync, nil
      else
        behind = behind or sync
      end
    end
  end
  return before, behind
end

--- Why counting from a sync gave no place.
local function reason(found, sync, offset, to)
  if found.missing then
    return ("not copied yet: %d records are missing on the target")
      :format(found.missing)
  elseif found.trimmed then
    return ("the target begins at offset %d, behind this position")
      :format(to.start)
  end
  return ("source offset %d and target offset %d belong together, but "
    .. "between there and position %d the two sides hold different records: "
    .. "copied twice, written by somebody else, or compacted"):format(
      sync.upstream, sync.downstream, offset)
end

--- Nothing was copied: an empty target is where the first record will go.
local function without_sync(from, to, offset)
  local records, why = whole(from, from.start, offset)
  if not records then return nil, why end
  if records.records == 0 and to.start == to.stop then return to.stop end
  return nil, "no sync that both logs still hold: nothing to count from"
end

--- Counts from one sync, by what MirrorMaker copies unless it is told not to,
-- then by what it copies else.
local function count(from, to, sync, offset)
  local by = sync.upstream <= offset and forward or backward
  local found, why = by(from, to, sync, offset, "uncommitted")
  if not found or found.offset
    or math.max(offset, sync.upstream) > from.stable then
    return found, why
  end
  local committed
  committed, why = by(from, to, sync, offset, "committed")
  if not committed then return nil, why end
  return committed.offset and committed or found
end

--- The exact place of position `offset`; or nil and why there is none, as text;
-- or nil and an err.
---@async
---@param from mm2.log
---@param to mm2.log
---@param syncs table[]  of the partition, as they were written
---@param offset integer
---@return integer? place, string|tranship.Err|nil why
function M.place(from, to, syncs, offset)
  if offset > from.stop then
    return nil, ("the source ends at offset %d"):format(from.stop)
  end
  offset = math.max(offset, from.start)
  local before, behind = nearest(from, to, syncs, offset)
  if not before and not behind then return without_sync(from, to, offset) end
  local problem
  for _, sync in ipairs { before or behind, before and behind } do
    local found, why = count(from, to, sync, offset)
    if not found then return nil, why end
    if found.offset then return found.offset end
    problem = problem or reason(found, sync, offset, to)
  end
  return nil, problem
end

return M
