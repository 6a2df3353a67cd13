-- Modules that wait to be asked.
local test = ...
local lazy = require "base.lazy"

test("nothing is loaded before something is asked for", function(t)
  package.loaded["base.units"] = nil
  local units = lazy "base.units"
  t.equal(package.loaded["base.units"], nil)
  t.equal(units.duration "2s", 2000)
  t.ok(package.loaded["base.units"])
  t.ok(units.duration == require "base.units".duration)
  t.equal(units.no_such, nil)
end)
