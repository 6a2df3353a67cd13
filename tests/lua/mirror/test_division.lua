--- Partitions divided among members: evenly, moving little; and the bytes.

local division = require "mirror.engine.division"

local test = ...

local function ids(count)
  local list = {}
  for n = 0, count - 1 do list[#list + 1] = ("t%d/%d"):format(n % 3, n // 3) end
  return list
end

--- Every id once, shares that differ by one at most.
local function must_be_even(t, shares, all)
  local seen, least, most = {}, math.huge, 0
  for _, share in pairs(shares) do
    least, most = math.min(least, #share), math.max(most, #share)
    for _, id in ipairs(share) do
      t.ok(not seen[id], id .. " twice")
      seen[id] = true
    end
  end
  for _, id in ipairs(all) do t.ok(seen[id], id .. " belongs to nobody") end
  t.ok(most - least <= 1, most .. " and " .. least)
end

local function as_members(shares)
  local members = {}
  for id, owned in pairs(shares) do
    members[#members + 1] = { id = id, owned = owned }
  end
  return members
end

local function moved(before, after)
  local owner, count = {}, 0
  for member, share in pairs(before) do
    for _, id in ipairs(share) do owner[id] = member end
  end
  for member, share in pairs(after) do
    for _, id in ipairs(share) do
      if owner[id] and owner[id] ~= member then count = count + 1 end
    end
  end
  return count
end

test("shares are even, and little moves when members come and go", function(t)
  for _, count in ipairs { 0, 1, 2, 7, 30, 100 } do
    local all = ids(count)
    local one = division.divide(ids(count), { { id = "a", owned = {} } })
    must_be_even(t, one, all)
    local members = as_members(one)
    members[2] = { id = "b", owned = {} }
    local two = division.divide(ids(count), members)
    must_be_even(t, two, all)
    t.equal(moved(one, two), count // 2)
    members = as_members(two)
    members[3] = { id = "c", owned = {} }
    local three = division.divide(ids(count), members)
    must_be_even(t, three, all)
    t.ok(moved(two, three) <= count // 3 + 1)
    three.b = nil
    local left = division.divide(ids(count), as_members(three))
    must_be_even(t, left, all)
    t.equal(moved(three, left), 0)
  end
end)

test("what two claim goes to one, what is gone to nobody", function(t)
  local shares = division.divide({ "x/0", "x/1" }, {
    { id = "a", owned = { "x/0", "gone/0", "x/1" } },
    { id = "b", owned = { "x/0", "x/1" } } })
  must_be_even(t, shares, { "x/0", "x/1" })
  t.equal(#shares.a + #shares.b, 2)
end)

test("the bytes are the consumer protocol's", function(t)
  local said = division.subscription("road", { "a.b/0", "c/12" })
  t.equal(said, "\0\0\0\0\0\1\0\4road\0\0\0\10a.b/0\nc/12")
  t.equal(division.owned(said), { "a.b/0", "c/12" })
  t.equal(division.owned(division.subscription("road", {})), {})
  t.equal(division.owned "", {})
  local share = division.assignment { "a/1", "b/0", "a/3" }
  t.equal(share, "\0\0\0\0\0\2\0\1a\0\0\0\2\0\0\0\1\0\0\0\3\0\1b\0\0\0\1\0\0\0\0"
    .. "\0\0\0\0")
  t.equal(division.share(share), { ["a/1"] = true, ["a/3"] = true,
    ["b/0"] = true })
  t.equal(division.share "", {})
end)
