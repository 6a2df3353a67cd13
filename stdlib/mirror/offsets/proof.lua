--- Proofs that rest on contents: what lies at two positions.

local sys = require "vm.sys"
local task = require "vm.task"

local M = {}

local SAMPLE = 8              -- records compared from each position
local MOST = 32768            -- ... where they are too alike to tell apart
local LEAST_SEEN = 2          -- records that tell of a repetition
local FIRST_WINDOW = 64       -- offsets looked at first; grows eightfold
local GROWTH = 8
local RECORD_BYTES = 1024     -- asked for at a time, for each offset of a window
local MOST_BYTES = 1 << 20    -- ... of one partition, at most
local ARRIVE_MS = 10000       -- for a record that is written but not yet copied
local LOOK_AGAIN_MS = 100
local HASH_LENGTH = 32        -- hexadecimal digits kept of a record's hash

--- Fills each want's field `at`, "start", "stable" or "end", with that offset.
---@async
function M.bounds(client, wants, at)
  local list = {}
  for index, want in ipairs(wants) do
    list[index] = { topic = want.topic, partition = want.partition, at = at }
  end
  local found, why = client:offsets(list)
  if not found then return nil, why end
  for index, item in ipairs(found) do
    if item.err then return nil, item.err end
    wants[index][at] = item.offset
  end
  return wants
end

--- Reads the spans { want, from, to }; `take(want, record)` for each record.
-- A fetch brings `max_bytes` of a partition, however few records are wanted.
local function read_spans(client, spans, take, max_bytes)
  local partitions, by_id, later = {}, {}, {}
  for _, span in ipairs(spans) do
    local want = span.want
    local id = want.topic .. "/" .. want.partition
    if by_id[id] then
      later[#later + 1] = span -- a reader knows a partition once
    else
      by_id[id] = want
      partitions[#partitions + 1] = { topic = want.topic,
        partition = want.partition, from = span.from, to = span.to }
    end
  end
  local reader <close>, why = client:reader {
    partitions = partitions, isolation = "committed", max_bytes = max_bytes,
  }
  if not reader then return nil, why end
  while true do
    local records
    records, why = reader:read(1000)
    if not records then return nil, why end
    if #records == 0 then break end
    for _, rec in ipairs(records) do
      take(by_id[rec.topic .. "/" .. rec.partition], rec)
    end
  end
  return #later == 0 or read_spans(client, later, take, max_bytes)
end

--- Looks at ever wider spans until `next_span(want, window)` has none left.
local function search(client, wants, next_span, take)
  local window = FIRST_WINDOW
  while true do
    local spans = {}
    for _, want in ipairs(wants) do
      local from, to = next_span(want, window)
      if from then spans[#spans + 1] = { want = want, from = from, to = to } end
    end
    if #spans == 0 then return wants end
    local ok, why = read_spans(client, spans, take,
      math.min(window * RECORD_BYTES, MOST_BYTES))
    if not ok then return nil, why end
    window = window * GROWTH
  end
end

--- Fills each want { topic, partition, offset } with its first committed
-- `records` at or after the offset (up to `sample`), none if there are none,
-- and with `start` and `stable` of its log.
---@async
---@param sample? integer
function M.first_records(client, wants, sample)
  local ok, why = M.bounds(client, wants, "stable")
  if not ok then return nil, why end
  ok, why = M.bounds(client, wants, "start")
  if not ok then return nil, why end
  sample = sample or SAMPLE
  for _, want in ipairs(wants) do
    want.records, want.next = {}, math.max(want.offset, want.start)
    want.sample = sample
  end
  return search(client, wants, function(want, window)
    if #want.records > 0 and sample <= SAMPLE or #want.records >= sample
      or want.next >= want.stable then
      return nil
    end
    local from = want.next
    want.next = math.min(from + math.max(window, sample), want.stable)
    return from, want.next
  end, function(want, rec)
    if #want.records < sample then want.records[#want.records + 1] = rec end
  end)
end

--- Fills each want with `before`: its last committed record before the offset,
-- at or after `floor`; nil if there is none.
---@async
function M.record_before(client, wants)
  for _, want in ipairs(wants) do
    want.low = math.max(want.floor or 0, want.start)
    want.back = math.min(want.offset, want.stable)
    want.before = nil
  end
  return search(client, wants, function(want, window)
    if want.before or want.back <= want.low then return nil end
    local to = want.back
    want.back = math.max(to - window, want.low)
    return want.back, to
  end, function(want, rec) want.before = rec end)
end

local function same_headers(a, b)
  a, b = a.headers or {}, b.headers or {}
  if #a ~= #b then return false end
  for index, header in ipairs(a) do
    local other = b[index]
    if header.name ~= other.name or header.value ~= other.value then
      return false
    end
  end
  return true
end

--- Which part of two records differs: "key", "value", ..., or nil.
function M.difference(a, b)
  if a.key ~= b.key then return "key" end
  if a.value ~= b.value then return "value" end
  if a.timestamp ~= b.timestamp then return "timestamp" end
  if not same_headers(a, b) then return "headers" end
end

--- Is there a record at one place, and none at or after the other?
function M.is_one_sided(a, b) return (#a.records == 0) ~= (#b.records == 0) end

local function packed(bytes)
  return bytes and string.pack(">s4", bytes) or "null"
end

--- What identifies a record whatever its offset: 32 hexadecimal digits.
function M.hash(rec)
  local parts = { packed(rec.key), packed(rec.value),
    string.pack(">i8", rec.timestamp) }
  for _, header in ipairs(rec.headers or {}) do
    parts[#parts + 1] = packed(header.name)
    parts[#parts + 1] = packed(header.value)
  end
  return sys.sha256(table.concat(parts)):sub(1, HASH_LENGTH)
end

--- Would the same records also be there some places further on?
local function is_periodic(hashes)
  for shift = 1, math.max(#hashes // 2, #hashes - LEAST_SEEN) do
    local same = true
    for index = 1, #hashes - shift do
      same = same and hashes[index] == hashes[index + shift]
      if not same then break end
    end
    if same then return true end
  end
  return false
end

local function hashes_of(place)
  local list = { place.before and M.hash(place.before) or nil }
  for _, rec in ipairs(place.records) do list[#list + 1] = M.hash(rec) end
  return list
end

--- The record that differs first, in words, or nil.
local function disagreement(a, b)
  local count = math.min(#a.records, #b.records)
  if count == 0 and #a.records ~= #b.records then
    local there = #a.records > 0 and a or b
    return ("only one side has a record there (offset %d)")
      :format(there.records[1].offset)
  end
  for index = a.before and b.before and 0 or 1, count do
    local one, other = a.records[index], b.records[index]
    if index == 0 then one, other = a.before, b.before end
    local part = M.difference(one, other)
    if part then
      return ("the records at offsets %d and %d differ in their %s")
        :format(one.offset, other.offset, part)
    end
  end
end

local function has_ended(place)
  return place.next >= place.stable and #place.records < place.sample
end

--- Are the records at and around both places the same, or are there none at
-- both? `again`: it may be told when more has been read.
---@return boolean same, string? why, boolean? again
function M.same_place(a, b)
  local problem = disagreement(a, b)
  if problem then return false, problem, M.is_one_sided(a, b) end
  if #a.records == 0 or not is_periodic(hashes_of(a)) then return true end
  if has_ended(a) and has_ended(b) and #a.records == #b.records then
    return true -- counted to the end on both sides
  end
  return false, ("%d records from offset %d on repeat themselves, so that one "
    .. "place cannot be told from the next"):format(#a.records, a.offset), true
end

--- Reads both sides of `pairs` { here, there } until each is the same place or
-- is not: sets `same` and `why` of each. Where somebody writes, a record is on
-- his side first: the copy of it gets time to arrive.
---@async
---@param pairs table[]
---@param here userdata  client of the one side
---@param there userdata
function M.compare(pairs, here, there)
  local open, sample, until_ms = pairs, SAMPLE, task.now() + ARRIVE_MS
  while #open > 0 do
    local sides = { here = {}, there = {} }
    for index, pair in ipairs(open) do
      sides.here[index], sides.there[index] = pair.here, pair.there
    end
    for _, name in ipairs { "here", "there" } do
      local client = name == "here" and here or there
      local ok, why = M.first_records(client, sides[name], sample)
      if ok then ok, why = M.record_before(client, sides[name]) end
      if not ok then return nil, why end
    end
    local left = {}
    for _, pair in ipairs(open) do
      local again
      pair.same, pair.why, again = M.same_place(pair.here, pair.there)
      if again then left[#left + 1] = pair end
    end
    if #left == 0 or task.now() >= until_ms then break end
    open, sample = left, math.min(sample * GROWTH, MOST)
    task.sleep(LOOK_AGAIN_MS)
  end
  return true
end

return M
