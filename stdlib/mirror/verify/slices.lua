--- Cuts a range of both logs into slices that hold the same records: the cuts
-- are exact places of each other. With a share, a sample of them: which ones is
-- decided by topic, partition and offset, so it is the same every time.

local sys = require "vm.sys"
local units = require "base.units"

local M = {}

local WHOLE = 500000  -- offsets in a slice when everything is compared
local SMALL = 1000    -- ... of a sample

--- The part of "1%": 0.01; nil and why not.
function M.share(text)
  if text == nil then return nil end
  local share, why = units.share(text)
  if share and share > 0 then return share end
  return nil, "sample: " .. (why or "0% is nothing")
end

--- Is this slice in the sample?
local function is_drawn(range, from, part)
  local text = ("%s/%d/%d"):format(range.topic, range.partition, from)
  return tonumber(sys.sha256(text):sub(1, 8), 16) < part * (1 << 32)
end

--- The slices of a range, by the map `exact`; the first and the last one are in
-- every sample.
---@param part? number  of all slices
function M.of(range, exact, part)
  local list, all = {}, 0
  local size = part and SMALL or WHOLE
  local lo, stop = range.lo, range.hi
  while lo.from < stop.from or lo.to < stop.to do
    local hi = stop
    local cut = (lo.from // size + 1) * size
    local place = cut < stop.from and exact:lookup(cut, "from")
    if place and place <= stop.to then hi = { from = cut, to = place } end
    all = all + 1
    if not part or all == 1 or hi == stop or is_drawn(range, lo.from, part) then
      list[#list + 1] = { lo = lo, hi = hi }
    end
    lo = hi
  end
  range.all_slices = all
  return list
end

--- Offsets to be compared.
function M.size(range)
  if not range.slices then return range.hi.from - range.lo.from end
  local sum = 0
  for _, slice in ipairs(range.slices) do
    sum = sum + slice.hi.from - slice.lo.from
  end
  return sum
end

--- What a sample was, for reports.
function M.evidence(share, ranges)
  local taken, all, whole = 0, 0, 0
  for _, range in ipairs(ranges) do
    taken = taken + #(range.slices or {})
    all = all + (range.all_slices or 0)
    whole = whole + (range.slices and 0 or 1)
  end
  return {
    share = share, slices = taken, of = all, offsets_each = SMALL,
    chosen = "by the hash of topic, partition and offset; first and last always",
    compared_whole = whole > 0 and ("%d compacted partitions"):format(whole)
      or nil,
  }
end

return M
