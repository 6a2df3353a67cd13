--- same_records: every record of both sides, compared. This file says which
-- stretches of the two logs belong together; mirror.difference compares them.

local err = require "base.err"
local sys = require "vm.sys"
local answer = require "mirror.answer"
local difference = require "mirror.difference"
local ledger = require "mirror.ledger"
local map = require "mirror.map"
local names = require "mirror.names"

local M = {}

local SETTLE_MS = 15000
local SHOWN = 3 -- differences per answer

local function id_of(range) return range.topic .. "/" .. range.partition end

--- Where the copied range begins and ends on both sides.
local function bounds(range, book)
  local starts = {}
  for _, side in ipairs { "from", "to" } do
    local wire, why = range.bridge:wire(side):bounds(range.name[side],
      range.partition)
    if not wire then return nil, why end
    starts[side] = wire.start
  end
  local exact <close>, problem = map.of(book, range.topic, range.partition)
  if not exact then return nil, problem end
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
  local found, records, why
  if compacted[range.topic] then
    found, records, why = difference.compacted(range)
  else
    found, records, why = difference.plain(range)
  end
  if why then
    result.problems[#result.problems + 1] = id_of(range) .. ": "
      .. tostring(why)
  elseif found then
    found.topic, found.partition = range.topic, range.partition
    result.differences[#result.differences + 1] = found
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

--- Partitions that belong to the bridge, and have no leg yet.
local function not_copied(bridge, book)
  local all, why = bridge.from:client("read"):topics()
  if not all then return nil, why end
  local missing = {}
  for _, one in ipairs(all) do
    for number = 0, names.carries(bridge, one.name) and one.partitions - 1
      or -1 do
      if not book:leg(one.name, number) then
        missing[#missing + 1] = ("%s/%d is not copied yet"):format(one.name,
          number)
      end
    end
  end
  return missing
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
  local missing
  missing, why = not_copied(bridge, book)
  if not missing then return nil, why end
  result.problems = missing
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
