--- The difference between two stretches of log that should be the same. Digests
-- made in C over the wire decide, slice by slice; where they differ, the slice is
-- cut down to the first record that differs, and that one is shown side by side.
-- A range is { bridge, topic, partition, name, same, lo, hi, slices }; name, lo
-- and hi are by side, and so are those of each slice.

local context = require "base.context"
local err = require "base.err"
local task = require "vm.task"
local proof = require "mirror.offsets.proof"

local M = {}

local BUCKETS = 1024  -- that keys are spread over
local STILL_MS = 10000
local LOOKS = 3       -- at a key that differs: the cleaner may be at work

local CHUNKS = { 20000, 500, 10 } -- records; each cuts the one before

local function id_of(range) return range.topic .. "/" .. range.partition end

local function take_digest(range, side, options)
  options.topic, options.partition = range.name[side], range.partition
  options.from, options.to = range.lo[side], range.hi[side]
  return range.bridge:wire(side):digests(options)
end

--- The same digest of both sides, taken at the same time.
local function both(range, options)
  local work = {}
  local _ <close> = task.spawn(function() -- a digest ends itself when it hangs
    while true do
      task.sleep(STILL_MS)
      context.progress("still reading %s", id_of(range))
    end
  end)
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

--- A slice of the range, as a range of its own.
local function slice_of(range, slice)
  return setmetatable({ lo = slice.lo, hi = slice.hi }, { __index = range })
end

--- Are whole batches the same? Where they are not, batches were divided anew on
-- the way, and the rest of the range is not tried.
local function same_batches(range, slice)
  if range.batches_differ then return nil end
  local found, why = both(slice, { mode = "batches", chunk = CHUNKS[1],
    with_offsets = range.same })
  if not found then return nil, why end
  if not first_difference(found) then return count(found.from) end
  range.batches_differ = true
end

local function plain_slice(range, slice)
  local same, why = same_batches(range, slice)
  if same or why then return nil, same, why end
  local found
  found, why = both(slice, { mode = "records", chunk = CHUNKS[1],
    with_offsets = range.same })
  if not found then return nil, nil, why end
  local chunk = first_difference(found)
  if not chunk then return nil, count(found.from) end
  local where
  where, why = bisect(slice, chunk)
  if not where then return nil, nil, why or err.new {
    kind = "conflict", origin = "bridge", message = id_of(range)
      .. ": digests differ, but the records read were the same",
  } end
  return where
end

--- Compares one range up to its first difference; that one, or nil and how many
-- records are the same.
---@param told fun(offsets: integer)  how many more were compared
function M.plain(range, told)
  local sum = 0
  for _, slice in ipairs(range.slices) do
    local where, same, why = plain_slice(range, slice_of(range, slice))
    if where or why then return where, nil, why end
    sum = sum + same
    told(slice.hi.from - slice.lo.from)
  end
  return nil, sum
end

local function hash_of(bucket)
  return bucket and bucket.records > 0 and bucket.hash or nil
end

--- The first bucket that differs, the keys of it by side.
local function keys_that_differ(range)
  local found, why = both(range, { mode = "compacted", buckets = BUCKETS })
  if not found then return nil, why end
  local same = count(found.from)
  for index = 1, BUCKETS do
    if hash_of(found.from[index]) ~= hash_of(found.to[index]) then
      found, why = both(range, { mode = "compacted", buckets = BUCKETS,
        bucket = index })
      if not found then return nil, why end
      return { from = found.from.keys or {}, to = found.to.keys or {} }
    end
  end
  return same
end

--- The first key that has another final value on the other side.
local function first_key(keys)
  local there = {}
  for _, key in ipairs(keys.to) do there[key.key] = key end
  for _, key in ipairs(keys.from) do
    local other = there[key.key]
    there[key.key] = nil
    if not other or other.hash ~= key.hash then
      return { key = key.key, from = key, to = other }
    end
  end
  for _, key in ipairs(keys.to) do
    if there[key.key] then return { key = key.key, to = key } end
  end
end

local function one_record(range, side, key)
  if not key then return nil end
  local list, why = read_all(range, side, key.offset, key.offset + 1)
  return list and list[1], why
end

local function show_key(range, found)
  local here, there = one_record(range, "from", found.from),
    one_record(range, "to", found.to)
  local part = here and there and proof.difference(here, there) or "presence"
  return { part = part, from = show(here), to = show(there),
    offset = here and here.offset, other_offset = there and there.offset }
end

--- Compacted topics: the cleaners of both sides run at different times, so what
-- counts is the final value of each key. Beside live traffic a cleaner may have
-- removed a value for a newer one behind the range: `again` makes it wider, and
-- only a key that differs every time is a difference.
---@param again fun(): boolean
function M.compacted(range, told, again)
  local before
  for _ = 1, LOOKS do
    local keys, why = keys_that_differ(range)
    if not keys then return nil, nil, why end
    if math.type(keys) == "integer" then
      told(range.hi.from - range.lo.from)
      return nil, keys
    end
    local found = first_key(keys)
    if found and found.key == before then return show_key(range, found) end
    before = found and found.key
    if not again() then
      if found then return show_key(range, found) end
      break
    end
  end
  return nil, nil, err.new { kind = "unsure", origin = "bridge",
    message = ("%s: keys differ, each look others: writers and cleaners are at "
      .. "work; look again"):format(id_of(range)) }
end

return M
