--- Which offset of one cluster is which offset of the other: exact, or nil.
-- The exact place of position c is that of the first record at or after c; if
-- the bridge has passed c and there is no such record yet, the place where the
-- next one will go. Positions the bridge has not passed have no place yet.

local ledger = require "mirror.ledger"

local M = {}
M.__index = M
M.__name = "bridge.map"

--- Adds a run of `count` records; what overlaps a run before it is cut off (a
-- successor's walk may have told the end of a run a second time).
local function add(map, from, to, count)
  local last = map.runs[#map.runs]
  local known = last and last.from + last.count or from
  if from < known then
    local cut = known - from
    from, to, count = known, to + cut, count - cut
  end
  if count <= 0 then return end
  if last and last.from + last.count == from and last.to + last.count == to then
    last.count = last.count + count
  else
    map.runs[#map.runs + 1] = { from = from, to = to, count = count }
  end
end

--- Where a leg ends: the next leg's start, or what is copied by now.
local function end_of(part, leg)
  local after = part.legs[leg.leg + 1]
  if after then return after.start end
  local at = part.at
  if not at or at.leg ~= leg.leg or not at.source then return leg.start end
  local reads, writes = ledger.sides(leg)
  return { [reads] = at.source, [writes] = at.target }
end

local function add_leg(map, book, topic, number, part, leg)
  local stop = end_of(part, leg)
  if leg.kind == "same" then
    local until_here = leg.mapped_at or stop
    add(map, leg.start.from, leg.start.to, until_here.from - leg.start.from)
  end
  if not ledger.is_same(leg) then
    local reads, writes = ledger.sides(leg)
    for _, run in ipairs(book:segments(topic, number, leg.leg)) do
      local at = { [reads] = run.source, [writes] = run.target }
      add(map, at.from, at.to, run.count)
    end
  end
  map.passed = stop
end

--- The map of a partition, from everything the ledger knows; nil before its
-- first leg.
---@param book table  a mirror.ledger
function M.of(book, topic, number)
  local part = book:partition(topic, number)
  if not part or part.last == 0 then return nil end
  local map = setmetatable({ runs = {} }, M)
  for index = 1, part.last do
    local leg = part.legs[index]
    if leg then
      map.start = map.start or leg.start
      add_leg(map, book, topic, number, part, leg)
    end
  end
  return map
end

--- The first run that holds or follows `offset` of side `at`.
local function find(runs, at, offset)
  local low, high = 1, #runs + 1
  while low < high do
    local middle = (low + high) // 2
    local run = runs[middle]
    if run[at] + run.count > offset then
      high = middle
    else
      low = middle + 1
    end
  end
  return runs[low]
end

local OTHER = { from = "to", to = "from" }

--- The place on the other side of position `offset` on side `at`.
---@param offset integer
---@param at "from"|"to"
---@return integer? place, string? reason
function M:lookup(offset, at)
  local other = OTHER[at]
  local run = find(self.runs, at, offset)
  if run then
    return run[other] + math.max(0, offset - run[at])
  elseif offset <= self.passed[at] then
    return self.passed[other]
  end
  return nil, ("offset %d is not copied yet; the copy has passed %d")
    :format(offset, self.passed[at])
end

return M
