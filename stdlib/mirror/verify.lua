--- same_records: every record of both sides, read again and compared, up to
-- where the target's logs ended when this began; or a sample of them. This file
-- says which stretches of the two logs belong together (mirror.verify.slices cuts
-- them); mirror.verify.difference compares them.

local err = require "base.err"
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local context = require "base.context"
local answer = require "mirror.answer"
local beginning = require "mirror.offsets.beginning"
local difference = require "mirror.verify.difference"
local ledger = require "mirror.topic.ledger"
local map = require "mirror.offsets.map"
local names = require "mirror.names"
local slices = require "mirror.verify.slices"

local M = {}

local SETTLE_MS = 15000
local SHOWN = 3   -- differences per answer
local AT_ONCE = 4 -- partitions compared side by side

local function id_of(range) return range.topic .. "/" .. range.partition end

--- What retention has removed of a side that the bridge had copied.
local function note_removed(range, side, first, start)
  if start <= first then return end
  table.insert(range.removed, ("%s: %s no longer holds offsets %d to %d")
    :format(id_of(range), range.bridge:cluster(side).name, first, start - 1))
end

--- Where the copied range begins on both sides.
local function bounds(range, exact)
  local starts = {}
  for _, side in ipairs { "from", "to" } do
    local wire, why = range.bridge:wire(side):bounds(range.name[side],
      range.partition)
    if not wire then return nil, why end
    starts[side] = wire.start
    note_removed(range, side, exact.start[side], wire.start)
  end
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

--- Where the compared range ends on both sides: at what the target held when
-- this was called.
local function ends(range, leg, book)
  local reads, writes = ledger.sides(leg)
  local wire, there = range.bridge:wire(writes), range.name[writes]
  local stop, at, why
  stop, why = wire:log_end(there, range.partition)
  if not stop then return nil, why end
  at, range.wrong = settle(range, stop)
  if not at then return nil, range.wrong end
  stop, why = wire:log_end(there, range.partition)
  if not stop then return nil, why end
  local ended = range.wrong or book.wanted and book.wanted.state == "closed"
  range.hi = {
    [reads] = at.source, [writes] = ended and stop or math.min(stop, at.target),
  }
  return true
end

--- Everything one partition needs to be compared; a problem as text otherwise.
local function one_range(bridge, book, name, number)
  local leg = book:leg(name, number)
  local range = {
    bridge = bridge, topic = name, partition = number, removed = {},
    same = ledger.is_same(leg) and leg.kind == "same",
    name = { from = name, to = bridge:name_on(name, "to") },
  }
  local exact <close>, problem = map.of(book, name, number)
  if not exact then return nil, tostring(problem) end
  local ok, why = bounds(range, exact)
  if not ok then
    return nil, why and tostring(why)
      or id_of(range) .. ": nothing is on both sides any more"
  end
  ok, why = ends(range, leg, book)
  if not ok then return nil, tostring(why) end
  range.leg = leg
  return range
end

--- Cuts a range; by the map as it is now, which has passed the range's end.
local function cut(range, part)
  local book = range.bridge:topic().ledger
  local exact <close>, why = map.of(book, range.topic, range.partition)
  if not exact then return nil, why end
  range.slices = slices.of(range, exact, part)
  return true
end

--- Makes a compacted range wider; false when there is nothing more.
local function wider(range)
  local before = range.hi.to
  return ends(range, range.leg, range.bridge:topic().ledger) ~= nil
    and range.hi.to > before
end

local function check_one(range, compacted, result)
  local found, records, why
  local function told(offsets)
    result.offsets = result.offsets + offsets
    context.progress("%d of %d offsets compared, at %s", result.offsets,
      result.all_offsets, id_of(range))
  end
  if compacted[range.topic] then
    found, records, why = difference.compacted(range, told,
      function() return wider(range) end)
  else
    found, records, why = difference.plain(range, told)
  end
  if why then
    table.insert(result.problems, id_of(range) .. ": " .. tostring(why))
  elseif found then
    found.topic, found.partition = range.topic, range.partition
    table.insert(result.differences, found)
  else
    result.records = result.records + records
  end
  if range.wrong then table.insert(result.problems, range.wrong) end
  result.partitions = result.partitions + 1
end

local function show(bridge, one)
  local width = math.max(#bridge.from.name, #bridge.to.name)
  local line = "  %-" .. width .. "s  %s"
  return ("%s/%d differs in %s:\n%s\n%s"):format(one.topic, one.partition,
    one.part, line:format(bridge.from.name, one.from),
    line:format(bridge.to.name, one.to))
end

local function text_of(bridge, result)
  local lines = {}
  for index = 1, math.min(SHOWN, #result.differences) do
    lines[#lines + 1] = show(bridge, result.differences[index])
  end
  if #result.differences > SHOWN then
    lines[#lines + 1] = ("and %d partitions more differ")
      :format(#result.differences - SHOWN)
  end
  if #result.problems > 0 then
    lines[#lines + 1] = answer.some(result.problems, SHOWN)
  end
  if #lines == 0 then
    lines[1] = ("%s%d records in %d partitions are the same on both sides")
      :format(result.sample and "a sample of " .. result.sample.share .. ": "
        or "", result.records, result.partitions)
  end
  if #result.removed > 0 then
    lines[#lines + 1] = "removed since, so not compared: "
      .. answer.some(result.removed, SHOWN)
  end
  if #result.left_out > 0 then
    lines[#lines + 1] = "written before the bridge was opened, so not copied: "
      .. answer.some(result.left_out, SHOWN)
  end
  return table.concat(lines, "\n")
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

--- What is to be compared: a range for each partition of the bridge that has a leg.
local function ranges_of(bridge, book, compacted, part, result)
  local ranges = {}
  for _, name in ipairs(names.carried(bridge, book:names())) do
    for _, number in ipairs(book:numbers(name)) do
      if book:leg(name, number) then
        context.progress("looking at %s/%d", name, number)
        local range, problem = one_range(bridge, book, name, number)
        if range and not compacted[name] then
          local ok, why = cut(range, part)
          if not ok then range, problem = nil, tostring(why) end
        end
        if range then
          ranges[#ranges + 1] = range
          result.all_offsets = result.all_offsets + slices.size(range)
          table.insert(result.left_out, beginning.told(name, number,
            book:first_leg(name, number)))
          table.move(range.removed, 1, #range.removed, #result.removed + 1,
            result.removed)
        else
          table.insert(result.problems, problem)
        end
      end
    end
  end
  return ranges
end

local function seen_of(result)
  return {
    records = result.records, partitions = result.partitions,
    differences = json.array(result.differences), problems = json.array(result.problems),
    removed = #result.removed > 0 and result.removed or nil,
    left_out = #result.left_out > 0 and result.left_out or nil,
    sample = result.sample, at = sys.time(),
  }
end

local function in_order(a, b)
  if a.topic ~= b.topic then return a.topic < b.topic end
  return a.partition < b.partition
end

--- Compares every partition of the bridge; see the head of this file.
---@async
---@param options { sample?: string }
function M.same_records(bridge, options)
  local part, why = slices.share(options.sample)
  if options.sample and not part then
    return nil, err.new { kind = "invalid", origin = "bridge", message = why }
  end
  local book
  book, why = bridge:open_ledger()
  if not book then return nil, why end
  local result = { differences = {}, records = 0, partitions = 0, removed = {}, left_out = {},
    offsets = 0, all_offsets = 0 }
  local compacted
  compacted, why = is_compacted(bridge, book:names())
  if not compacted then return nil, why end
  result.problems, why = not_copied(bridge, book)
  if not result.problems then return nil, why end
  local ranges = ranges_of(bridge, book, compacted, part, result)
  result.sample = part and slices.evidence(options.sample, ranges)
  local work = {}
  for index, range in ipairs(ranges) do
    work[index] = function()
      check_one(range, compacted, result)
      return true
    end
  end
  local done
  done, why = task.together(work, { at_once = AT_ONCE })
  if not done then return nil, why end
  table.sort(result.differences, in_order)
  return {
    ok = #result.differences == 0 and #result.problems == 0,
    want = "the same records", text = text_of(bridge, result),
    seen = seen_of(result),
  }
end

return M
