--- same_records: every record of both sides, compared. Digests made in C over
-- the wire decide; where they differ, the range is cut down to the first
-- record that differs, and that one is shown side by side.

local digest = require "vm.digest"
local err = require "base.err"
local sys = require "vm.sys"
local task = require "vm.task"
local answer = require "mirror.answer"
local ledger = require "mirror.ledger"
local map = require "mirror.map"
local proof = require "mirror.proof"

local M = {}

local CHUNKS = { 20000, 500, 10 } -- records; each cuts the one before
local SETTLE_MS = 15000
local SHOWN = 3 -- differences per answer

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

--- Where the copied range begins and ends on both sides.
local function bounds(range, book)
  local starts = {}
  for _, side in ipairs { "from", "to" } do
    local wire, why = range.bridge:wire(side):bounds(range.name[side],
      range.partition)
    if not wire then return nil, why end
    starts[side] = wire.start
  end
  local exact = map.of(book, range.topic, range.partition)
  local low = math.max(starts.from, exact.start.from)
  local other = exact:lookup(low, "from")
  if other and other < starts.to then
    other = starts.to
    low = exact:lookup(other, "to")
  end
  range.lo = { from = low, to = other }
  return low and other and true or nil
end

--- What the engine wrote last of a partition, or where its leg began.
local function position(book, range)
  local part = book:partition(range.topic, range.partition)
  local leg = part.legs[part.last]
  local at = part.at
  if at and at.leg == leg.leg and at.source then return at end
  local reads, writes = ledger.sides(leg)
  return { source = leg.start[reads], target = leg.start[writes],
    state = at and at.state, text = at and at.text }
end

--- Waits until the engine has accounted for all that the target held when this
-- began; a pair of positions, and what is wrong if it does not come to that.
local function settle(range, stop)
  local bridge = range.bridge
  local found, why = bridge:topic():await(SETTLE_MS, function(book)
    local at = position(book, range)
    local ended = at.state == "stopped"
      or book.wanted and book.wanted.state == "closed"
    return (at.target >= stop or ended) and at
  end)
  if found then return found, found.state == "stopped" and found.text end
  if why.kind ~= "timeout" then return nil, why end
  found = position(bridge:topic().ledger, range)
  return found, ("%s: the bridge has accounted for target offsets below %d "
    .. "only, and the log ends at %d (%s)"):format(id_of(range), found.target,
    stop, bridge:engine_line())
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
local function compare(range)
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
local function compare_compacted(range)
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

local function is_compacted(bridge, topics)
  if #topics == 0 then return {} end
  local found, why = bridge.from:client("read"):configs("topic", topics)
  if not found then return nil, why end
  local compacted = {}
  for name, settings in pairs(found) do
    local policy = settings["cleanup.policy"]
    compacted[name] = policy and policy.value:find "compact" ~= nil
  end
  return compacted
end

--- Everything one partition needs to be compared; a problem as text otherwise.
local function one_range(bridge, book, name, number)
  local leg = book:leg(name, number)
  local range = {
    bridge = bridge, topic = name, partition = number,
    same = ledger.is_same(leg) and leg.kind == "same",
    name = { from = name, to = bridge:name_on(name, "to") },
  }
  local ok, why = bounds(range, book)
  if not ok then
    return nil, why and tostring(why)
      or id_of(range) .. ": nothing is on both sides any more"
  end
  local reads, writes = ledger.sides(leg)
  local wire, there = bridge:wire(writes), range.name[writes]
  local stop, at
  stop, why = wire:log_end(there, number)
  if not stop then return nil, tostring(why) end
  at, range.wrong = settle(range, stop)
  if not at then return nil, tostring(range.wrong) end
  stop, why = wire:log_end(there, number)
  if not stop then return nil, tostring(why) end
  local ended = range.wrong or book.wanted and book.wanted.state == "closed"
  range.hi = {
    [reads] = at.source, [writes] = ended and stop or math.min(stop, at.target),
  }
  return range
end

local function check_one(range, compacted, result)
  local difference, records, why
  if compacted[range.topic] then
    difference, records, why = compare_compacted(range)
  else
    difference, records, why = compare(range)
  end
  if why then
    result.problems[#result.problems + 1] = id_of(range) .. ": "
      .. tostring(why)
  elseif difference then
    difference.topic, difference.partition = range.topic, range.partition
    result.differences[#result.differences + 1] = difference
  else
    result.records = result.records + records
  end
  if range.wrong then
    result.problems[#result.problems + 1] = range.wrong
  end
  result.partitions = result.partitions + 1
end

local function text_of(bridge, result)
  local lines = {}
  for index = 1, math.min(SHOWN, #result.differences) do
    local one = result.differences[index]
    lines[#lines + 1] = ("%s/%d differs in %s: %s has %s; %s has %s"):format(
      one.topic, one.partition, one.part, bridge.from.name, one.from,
      bridge.to.name, one.to)
  end
  if #result.problems > 0 then
    lines[#lines + 1] = answer.some(result.problems, SHOWN)
  end
  if #lines > 0 then return table.concat(lines, "\n") end
  return ("%d records in %d partitions are the same on both sides")
    :format(result.records, result.partitions)
end

--- Compares every partition of the bridge; see the head of this file.
---@async
function M.same_records(bridge, options)
  if options.sample then
    return nil, err.new { kind = "invalid", origin = "bridge", message =
      "same_records compares everything; 'sample' is not built" }
  end
  local book, why = bridge:open_ledger()
  if not book then return nil, why end
  local result = { differences = {}, problems = {}, records = 0,
    partitions = 0 }
  local compacted
  compacted, why = is_compacted(bridge, book:names())
  if not compacted then return nil, why end
  for _, name in ipairs(book:names()) do
    for _, number in ipairs(book:numbers(name)) do
      if book:leg(name, number) then
        local range, problem = one_range(bridge, book, name, number)
        if range then
          check_one(range, compacted, result)
        else
          result.problems[#result.problems + 1] = problem
        end
      end
    end
  end
  result.ok = #result.differences == 0 and #result.problems == 0
  return {
    ok = result.ok, want = "the same records", text = text_of(bridge, result),
    seen = { records = result.records, partitions = result.partitions,
      differences = result.differences, problems = result.problems,
      at = sys.time() },
  }
end

return M
