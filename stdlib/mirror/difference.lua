--- The difference between two stretches of log that should be the same. Digests
-- made in C over the wire decide; where they differ, the stretch is cut down to
-- the first record that differs, and that one is shown side by side.
-- A range is { bridge, topic, partition, name, same, lo, hi }; name, lo and hi
-- are by side.

local digest = require "vm.digest"
local err = require "base.err"
local task = require "vm.task"
local proof = require "mirror.proof"

local M = {}

local CHUNKS = { 20000, 500, 10 } -- records; each cuts the one before
local OTHER = { from = "to", to = "from" }

local function id_of(range) return range.topic .. "/" .. range.partition end

local function take_digest(range, side, options)
  if range.lo[side] >= range.hi[side] then return {} end
  local leader, why = range.bridge:wire(side):leader(range.name[side],
    range.partition)
  if not leader then return nil, why end
  options.host, options.port = leader.host, leader.port
  options.topic, options.partition = range.name[side], range.partition
  options.from, options.to = range.lo[side], range.hi[side]
  options.isolation = "committed"
  return digest.range(options)
end

--- The same digest of both sides, taken at the same time.
local function both(range, options)
  local work = {}
  for index, side in ipairs { "from", "to" } do
    local copy = {}
    for key, value in pairs(options) do copy[key] = value end
    work[index] = function()
      return table.pack(take_digest(range, side, copy))
    end
  end
  local found, why = task.together(work)
  if not found then return nil, why end
  for _, one in ipairs(found) do
    if not one[1] then return nil, one[2] end
  end
  return { from = found[1][1], to = found[2][1] }
end

--- The first chunk that differs, by side, or nil.
local function first_difference(found)
  local a, b = found.from, found.to
  for index = 1, math.max(#a, #b) do
    local one, other = a[index], b[index]
    if not one or not other or one.hash ~= other.hash
      or one.records ~= other.records then
      return { from = one, to = other }
    end
  end
end

local function count(list)
  local sum = 0
  for _, chunk in ipairs(list) do sum = sum + chunk.records end
  return sum
end

local function show(rec)
  if not rec then return "no record" end
  local function text(bytes)
    if bytes == nil then return "null" end
    if #bytes > 40 then return ("%q... (%d bytes)"):format(bytes:sub(1, 40),
      #bytes) end
    return ("%q"):format(bytes)
  end
  local headers = {}
  for index, header in ipairs(rec.headers or {}) do
    headers[index] = header.name .. "=" .. text(header.value)
  end
  return ("offset %d time %d key %s value %s headers {%s}"):format(rec.offset,
    rec.timestamp, text(rec.key), text(rec.value), table.concat(headers, ", "))
end

local function read_all(range, side, from, to)
  local reader <close>, why = range.bridge:cluster(side):client("read"):reader {
    partitions = { { topic = range.name[side], partition = range.partition,
      from = from, to = to } },
    isolation = "committed",
  }
  if not reader then return nil, why end
  local list = {}
  while true do
    local some
    some, why = reader:read(1000)
    if not some then return nil, why end
    if #some == 0 then return list end
    table.move(some, 1, #some, #list + 1, list)
  end
end

--- The first record that differs in a range small enough to be read.
local function pinpoint(range, chunk)
  local lists = {}
  for _, side in ipairs { "from", "to" } do
    local one = chunk[side]
    local list, why = {}, nil
    if one then list, why = read_all(range, side, one.from, one.to) end
    if not list then return nil, why end
    lists[side] = list
  end
  local a, b = lists.from, lists.to
  for index = 1, math.max(#a, #b) do
    local one, other = a[index], b[index]
    local part = (not one or not other) and "presence"
      or proof.difference(one, other)
      or range.same and one.offset ~= other.offset and "offset"
    if part then
      return { part = part, from = show(one), to = show(other),
        offset = one and one.offset, other_offset = other and other.offset }
    end
  end
end

--- Cuts a range down to the first record that differs.
local function bisect(range, chunk)
  local narrow = range
  for level = 2, #CHUNKS do
    if not (chunk.from and chunk.to) then break end
    narrow = setmetatable({
      lo = { from = chunk.from.from, to = chunk.to.from },
      hi = { from = chunk.from.to, to = chunk.to.to },
    }, { __index = range })
    local found, why = both(narrow, { mode = "records", chunk = CHUNKS[level],
      with_offsets = range.same })
    if not found then return nil, why end
    chunk = first_difference(found) or chunk
  end
  return pinpoint(narrow, chunk)
end

--- Compares one range; a difference, or nil and how much was compared.
function M.plain(range)
  if range.same then
    local batches = both(range, { mode = "batches", chunk = CHUNKS[1],
      with_offsets = true })
    if batches and not first_difference(batches) then
      return nil, count(batches.from)
    end
  end
  local found, why = both(range, { mode = "records", chunk = CHUNKS[1],
    with_offsets = range.same })
  if not found then return nil, nil, why end
  local chunk = first_difference(found)
  if not chunk then return nil, count(found.from) end
  local where
  where, why = bisect(range, chunk)
  if not where then return nil, nil, why or err.new {
    kind = "conflict", origin = "bridge", message = id_of(range)
      .. ": digests differ, but the records read were the same",
  } end
  return where
end

--- The newest value of each key, and how many keys.
local function final_values(range, side)
  local list, why = read_all(range, side, range.lo[side], range.hi[side])
  if not list then return nil, why end
  local last = {}
  for _, rec in ipairs(list) do
    if rec.key then last[rec.key] = rec.value and rec or nil end
  end
  return last
end

--- Compacted topics: the cleaners of both sides run at different times, so what
-- counts is the final value of each key.
function M.compacted(range)
  local found, why = both(range, { mode = "compacted" })
  if not found then return nil, nil, why end
  if not first_difference(found) then return nil, count(found.from) end
  local last = {}
  for _, side in ipairs { "from", "to" } do
    last[side], why = final_values(range, side)
    if not last[side] then return nil, nil, why end
  end
  for _, side in ipairs { "from", "to" } do
    for key, rec in pairs(last[side]) do
      local other = last[OTHER[side]][key]
      local part = not other and "presence" or proof.difference(rec, other)
      if part then
        local here = side == "from" and rec or other
        local there = side == "from" and other or rec
        return { part = part, from = show(here), to = show(there),
          offset = here and here.offset, other_offset = there and there.offset }
      end
    end
  end
  return nil, count(found.from)
end

return M
