--- Proofs of places: the same records around both, which stand nowhere near.

local proof = require "mirror.offsets.proof"

local test = ...

--- The place `at` in a log whose records say `value(offset)`, none behind `stop`.
local function place(value, at, stop)
  local function rec(offset)
    return { offset = offset, key = "k", value = tostring(value(offset)), timestamp = 1 }
  end
  local made = { offset = at, records = {}, sample = 8, stable = stop,
    next = math.min(at + 64, stop), before = at > 0 and rec(at - 1) or nil }
  for offset = at, math.min(at + 7, stop - 1) do
    made.records[#made.records + 1] = rec(offset)
  end
  return made
end

local function every(period) return function(offset) return offset % period end end

test("a log that repeats itself proves no place, whatever the period", function(t)
  for period = 1, 7 do
    local value = every(period)
    local same, why, again = proof.same_place(place(value, 20, 1000),
      place(value, 20 + period, 1000))
    t.equal({ same, again }, { false, true }, period)
    t.match(why, "repeat themselves")
  end
  t.ok((proof.same_place(place(every(100), 20, 1000), place(every(100), 20, 1000))))
end)

test("counted to the end, a repetition is told apart", function(t)
  t.ok((proof.same_place(place(every(2), 20, 24), place(every(2), 20, 24))))
  t.equal((proof.same_place(place(every(2), 20, 24), place(every(2), 22, 24))), false)
end)

test("another record before, at or behind is another place", function(t)
  local function but(offset)
    return function(at) return at == offset and "other" or at end
  end
  local real = place(every(1000), 20, 1000)
  for _, offset in ipairs { 19, 20, 27 } do
    local same, why = proof.same_place(real, place(but(offset), 20, 1000))
    t.equal(same, false, offset)
    t.match(why, "offsets " .. offset .. " and " .. offset .. " differ in their value")
  end
end)
