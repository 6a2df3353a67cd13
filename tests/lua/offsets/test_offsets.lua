-- vm.offsets: what Lua sees of the map; its arithmetic is tested in C.
local test = ...
local offsets = require "vm.offsets"

test("positions translate, and say how", function(t)
  local map <close> = offsets.new { source = 100, target = 7 }
  t.equal({ map:lookup(100) }, { 7, "end" })
  t.equal({ map:lookup(101) }, { nil, "behind" })
  t.equal({ map:lookup(99) }, { nil, "before" })
  t.ok(map:append(105, 7, 10))
  map:reach(120, 17)
  t.equal({ map:lookup(100) }, { 7, "next" })
  t.equal({ map:lookup(106) }, { 8, "exact" })
  t.equal({ map:lookup(118) }, { 17, "end" })
  t.equal({ map:reverse(8) }, { 106, "exact" })
  t.equal({ map:position() }, { 120, 17 })
end)

test("offsets beyond 2^53 survive saving", function(t)
  local map <close> = offsets.new { source = 9007199254740993, target = 1 }
  t.ok(map:append(9007199254740993, 1, 5))
  local copy <close> = t.ok(offsets.load(t.ok(map:save())))
  t.equal(copy:segments(),
    { { source = 9007199254740993, target = 1, count = 5 } })
  t.equal(copy:reverse(3), 9007199254740995)
end)

test("segments load in any order, and conflicts are refused", function(t)
  local map <close> = t.ok(offsets.load {
    { source = 20, target = 10, count = 5 },
    { source = 0, target = 0, count = 10 },
    { source = 5, target = 5, count = 5 },
  })
  t.equal(#map:segments(), 2)
  t.fails("conflict", map:append(20, 11, 1))
  t.fails("conflict", offsets.load { { source = 0, target = 0, count = 10 },
    { source = 5, target = 6, count = 1 } })
  t.fails("protocol", offsets.load "no map at all, these bytes")
  t.raises("integers source", offsets.load, { { source = 1, target = 2 } })
  collectgarbage()
end)
