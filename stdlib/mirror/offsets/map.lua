--- Which offset of one cluster is which offset of the other: exact, or nil.
-- The exact place of position c is that of the first record at or after c; if
-- the bridge has passed c and there is no such record yet, the place where the
-- next one will go. Positions the bridge has not passed have no place yet.
-- The arithmetic is vm.offsets'; this file puts the legs of a partition, which
-- copy now this way and now that, into one map from `from` to `to`.

local offsets = require "vm.offsets"
local ledger = require "mirror.topic.ledger"

local M = {}
M.__index = M
M.__name = "bridge.map"

--- Where a leg ends: the next leg's start, or what is copied by now. The number
-- of a turn that was called off is missing.
local function end_of(part, leg)
  for number = leg.leg + 1, part.last do
    if part.legs[number] then return part.legs[number].start end
  end
  local at = part.at
  if not at or at.leg ~= leg.leg or not at.source then return leg.start end
  local reads, writes = ledger.sides(leg)
  return { [reads] = at.source, [writes] = at.target }
end

local function append(exact, from, to, count)
  if count <= 0 then return true end
  return exact:append(from, to, count)
end

local function add_leg(exact, book, topic, number, leg, stop)
  if leg.kind == "same" then
    local here = leg.mapped_at or stop
    local ok, why = append(exact, leg.start.from, leg.start.to,
      here.from - leg.start.from)
    if not ok then return nil, why end
  end
  if ledger.is_same(leg) then return true end
  local reads, writes = ledger.sides(leg)
  for _, run in ipairs(book:segments(topic, number, leg.leg)) do
    local at = { [reads] = run.source, [writes] = run.target }
    local ok, why = append(exact, at.from, at.to, run.count)
    if not ok then return nil, why end
  end
  return true
end

--- The map of a partition, from everything the ledger knows; to be closed.
-- Nil before the first leg; nil and an err when the ledger contradicts itself.
---@param book table  a mirror.topic.ledger
function M.of(book, topic, number)
  local part = book:partition(topic, number)
  local first = book:first_leg(topic, number)
  if not first then return nil end
  local start = first.start
  local exact = offsets.new { source = start.from, target = start.to }
  local map = setmetatable({ start = start, exact = exact,
    unproven = first.unproven, left_out = first.left_out }, M)
  for index = first.leg, part.last do
    local leg = part.legs[index]
    if leg then
      local stop = end_of(part, leg)
      local ok, why = add_leg(exact, book, topic, number, leg, stop)
      if not ok then
        map:close()
        return nil, why
      end
      exact:reach(stop.from, stop.to)
    end
  end
  return map
end

--- The place on the other side of position `offset` on side `at`. A position
-- below the bridge's beginning is where the first record is; unless somebody
-- else copied records before that, of which nothing could be proved, or the
-- bridge left them out.
---@param offset integer
---@param at "from"|"to"
---@return integer? place, string? reason
function M:lookup(offset, at)
  if self.unproven and offset < self.start[at] then
    return nil, ("offset %d is below %d, where what is proved of the copy "
      .. "begins"):format(offset, self.start[at])
  end
  if self.left_out and at == "from" and offset < self.start.from then
    return nil, ("below where copying began: offset %d was left out, the copy "
      .. "begins at %d"):format(offset, self.start.from)
  end
  local asked = math.max(offset, self.start[at])
  local place
  if at == "from" then
    place = self.exact:lookup(asked)
  else
    place = self.exact:reverse(asked)
  end
  if place then return place end
  local passed = {}
  passed.from, passed.to = self.exact:position()
  return nil, ("offset %d is not copied yet; the copy has passed %d")
    :format(offset, passed[at])
end

--- As plain data: runs { from, to, count }, and what has been passed.
function M:plain()
  local runs = {}
  for index, run in ipairs(self.exact:segments()) do
    runs[index] = { from = run.source, to = run.target, count = run.count }
  end
  local from, to = self.exact:position()
  return { runs = runs, passed = { from = from, to = to } }
end

function M:position() return self.exact:position() end

--- The bytes that vm.places and vm.offsets load.
function M:save() return self.exact:save() end

function M:close() self.exact:close() end
M.__close = M.close

return M
