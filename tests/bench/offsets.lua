--- Translations per second through the exact map: one asked by Lua one by one,
-- over a map with many segments, beside a plain Lua binary search over the same
-- segments in the same run.
--   tranship --lua tests/bench/offsets.lua

local offsets = require "vm.offsets"
local sys = require "vm.sys"
local task = require "vm.task"

local SEGMENTS, LOOKUPS = 100000, 2000000

local map = offsets.new()
local segments, source, target = {}, 0, 0
for i = 1, SEGMENTS do
  map:append(source, target, 90)
  segments[i] = { source, target, 90 }
  source, target = source + 100, target + 90
end

local function by_hand(wanted)
  local low, high = 1, #segments
  while low < high do
    local middle = (low + high + 1) // 2
    if segments[middle][1] <= wanted then low = middle else high = middle - 1 end
  end
  local s = segments[low]
  return s[2] + math.min(wanted - s[1], s[3])
end

local function rate(lookup)
  local begin, seed = task.now_us(), 1
  for _ = 1, LOOKUPS do
    seed = (seed * 1103515245 + 12345) % 2147483648
    lookup(seed % source)
  end
  return LOOKUPS / ((task.now_us() - begin) / 1e6)
end

for i = 0, 5000 do
  assert(map:lookup(i) == by_hand(i), "the two disagree at " .. i)
end
local ours = rate(function(wanted) return map:lookup(wanted) end)
local theirs = rate(by_hand)
sys.out(("offsets    %.2f million exact translations/s over %d segments"
  .. "   plain Lua binary search  %.2f   ratio %.1f\n")
  :format(ours / 1e6, SEGMENTS, theirs / 1e6, ours / theirs))
