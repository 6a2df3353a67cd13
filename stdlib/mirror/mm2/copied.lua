--- What of a partition MirrorMaker 2 has copied: found in the content of both
-- logs, not believed. `up_to` finds the source position at which the target's
-- log ends; `stretch` how far back from there both logs hold the same records;
-- `runs` which offsets of that stretch belong together.

local exact = require "mirror.mm2.exact"

local M = {}

local WINDOW = 10000     -- records a tail is compared by when there is no sync
local PROBES = 12        -- of a search for the beginning of a stretch
local CHUNK = 10000      -- records
local MOST_RUNS = 100000 -- that the bridge's topic shall hold of a partition
local ISOLATIONS = { "uncommitted", "committed" }

--- The newest sync that both logs still hold.
local function anchor_of(from, to, syncs)
  for index = #(syncs or {}), 1, -1 do
    local sync = syncs[index]
    if sync.upstream >= from.start and sync.upstream < from.stop
      and sync.downstream >= to.start and sync.downstream < to.stop then
      return sync
    end
  end
end

--- Counts what the target holds from the sync on, on the source.
local function from_sync(from, to, sync)
  local there, why = exact.whole(to, sync.downstream, to.stop)
  if not there then return nil, why end
  for _, isolation in ipairs(ISOLATIONS) do
    local here
    here, why = exact.first(from, sync.upstream, there.records, isolation)
    if not here then return nil, why end
    if here.records > 0 and here.hash == there.hash then
      return here.to
    end
  end
  return false
end

--- Compares the last records before a source position with the target's last.
local function from_position(from, to, position)
  for _, isolation in ipairs(ISOLATIONS) do
    if isolation == "committed" and position > from.stable then break end
    local there, why = exact.last(to, to.stop, WINDOW)
    if not there then return nil, why end
    local here
    here, why = exact.last(from, position, there.records, isolation)
    if not here then return nil, why end
    if here.records > 0 and here.records < there.records then
      there, why = exact.last(to, to.stop, here.records)
      if not there then return nil, why end
    end
    if there.records > 0 and here.hash == there.hash then
      return position
    end
  end
  return false
end

--- The source position whose records are exactly those the target ends with;
-- false when the contents show none.
---@async
---@param from mm2.log
---@param to mm2.log
---@param syncs? table[]  of the partition
---@param stored? integer  the position that Connect has stored
function M.up_to(from, to, syncs, stored)
  local sync = anchor_of(from, to, syncs)
  if sync then
    local found, why = from_sync(from, to, sync)
    if found or why then return found, why end
  end
  if stored and stored <= from.stop then
    return from_position(from, to, stored)
  end
  return false
end

--- Are the last `count` records before both ends the same? If so, where they
-- begin.
local function same_tail(from, to, at, count, isolation)
  local here, why = exact.last(from, at, count, isolation)
  if not here then return nil, why end
  local there
  there, why = exact.last(to, to.stop, count)
  if not there then return nil, why end
  if here.records ~= there.records or here.hash ~= there.hash then
    return false
  end
  return { from = here.from, to = there.from, records = here.records,
    isolation = isolation }
end

--- The stretch under one isolation; not whole, most of it is found by a search.
local function stretch_of(from, to, at, isolation)
  local here, why = exact.whole(from, from.start, at, isolation)
  if not here then return nil, why end
  local there
  there, why = exact.whole(to, to.start, to.stop)
  if not there then return nil, why end
  local low, high, best = 0, math.min(here.records, there.records), false
  local middle = high
  for _ = 1, high > 0 and PROBES or 0 do
    local found
    found, why = same_tail(from, to, at, middle, isolation)
    if found == nil then return nil, why end
    if found then low, best = middle, found else high = middle end
    if low == high then
      best.whole = true
      break
    end
    middle = (low + high + 1) // 2
    if middle == high then break end
  end
  return best
end

--- The longest stretch up to source position `at` that both logs hold alike:
-- where it begins on both sides, how many records it has, which isolation
-- MirrorMaker read with, and whether it is `whole`: it reaches back to where
-- one of the logs begins. False if not even one record is alike.
---@async
function M.stretch(from, to, at)
  local best = false
  for _, isolation in ipairs(ISOLATIONS) do
    if isolation == "committed" and at > from.stable then break end
    local found, why = stretch_of(from, to, at, isolation)
    if found == nil then return nil, why end
    if found and (not best or found.whole or found.records > best.records) then
      best = found
    end
    if best and best.whole then break end
  end
  return best
end

local function is_unbroken(chunk) return chunk.to - chunk.from == chunk.records end

local function add_run(runs, source, target, count)
  local last = runs[#runs]
  if last and last.source + last.count == source
    and last.target + last.count == target then
    last.count = last.count + count
  else
    runs[#runs + 1] = { source = source, target = target, count = count }
  end
end

--- Chunk by chunk; those with holes on either side record by record.
local function pair(from, to, range, size, isolation, runs)
  local here, why = exact.digests(from, range.from, range.from_stop, size,
    isolation)
  if not here then return nil, why end
  local there
  there, why = exact.digests(to, range.to, range.to_stop, size)
  if not there then return nil, why end
  for index, mine in ipairs(here) do
    local other = there[index]
    if is_unbroken(mine) and is_unbroken(other) then
      add_run(runs, mine.from, other.from, mine.records)
    else
      local ok
      ok, why = pair(from, to, { from = mine.from, from_stop = mine.to,
        to = other.from, to_stop = other.to }, 1, isolation, runs)
      if not ok then return nil, why end
    end
    if #runs > MOST_RUNS then return false end
  end
  return true
end

--- The runs { source, target, count } of a stretch that ends at source position
-- `at`; false if they are too many to be kept.
---@async
function M.runs(from, to, at, stretch)
  local runs = {}
  local ok, why = pair(from, to, { from = stretch.from, from_stop = at,
    to = stretch.to, to_stop = to.stop }, CHUNK, stretch.isolation, runs)
  if ok == nil then return nil, why end
  return ok and runs
end

return M
