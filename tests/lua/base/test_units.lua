-- Text with units, and what is said of text without.
local test = ...
local units = require "base.units"

test("durations", function(t)
  t.equal(units.duration "250ms", 250)
  t.equal(units.duration "30s", 30000)
  t.equal(units.duration "5m", 300000)
  t.equal(units.duration "1h30m", 5400000)
  t.equal(units.duration "1.5s", 1500)
  t.equal(units.duration "2d", 172800000)
  t.equal(math.type(units.duration "1.5s"), "integer")
end)

test("a bare number is refused with its possible meanings", function(t)
  for _, value in ipairs { 2, "2" } do
    local ms, why, unitless = units.duration(value)
    t.equal(ms, nil)
    t.equal(why, '2 needs a unit: "2s", "2m" or "2h"')
    t.equal(unitless, true)
  end
  t.equal(select(2, units.size(20)), '20 needs a unit: "20B", "20KiB" or "20MiB"')
  t.equal(select(2, units.rate(1)), '1 needs a unit: "1/s" or "1/min"')
  t.equal(select(2, units.share(1)), '1 needs a unit: "1%"')
end)

test("what is no duration", function(t)
  for _, value in ipairs { "", "5 m", "m5", "5x", "-5m", "5m!", "5mm", "1e3s" } do
    local ms, why = units.duration(value)
    t.equal(ms, nil, value)
    t.ok(#why > 0, value)
  end
  t.equal(units.duration(nil), nil)
  t.equal(units.duration {}, nil)
end)

test("sizes, rates and shares", function(t)
  t.equal(units.size "512B", 512)
  t.equal(units.size "20MiB", 20 * 1024 * 1024)
  t.equal(units.size "1.5GB", 1500000000)
  t.equal(units.rate "1/s", 1)
  t.equal(units.rate "120/min", 2)
  t.equal(units.rate "20MiB/s", 20 * 1024 * 1024)
  t.equal(units.share "1%", 0.01)
  t.equal(units.share "101%", nil)
end)

test("shown again", function(t)
  t.equal(units.show_duration(0), "0ms")
  t.equal(units.show_duration(999), "999ms")
  t.equal(units.show_duration(90000), "1m30s")
  t.equal(units.show_duration(172800000), "2d")
  t.equal(units.show_duration(-1500), "-1.5s")
  t.equal(units.show_size(20 * 1024 * 1024), "20MiB")
  t.equal(units.show_size(1536), "1.5KiB")
  t.equal(units.show_size(3), "3B")
end)

test("what is shown reads back as the same", function(t)
  for ms = 1000, 400000000, 1000 * 60 * 61 do
    local shown = units.show_duration(ms)
    local again = units.duration(shown)
    t.ok(again <= ms and ms - again < 24 * 3600 * 1000, shown)
  end
end)
