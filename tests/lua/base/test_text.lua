-- Text for people.
local test = ...
local text = require "base.text"

test("values on one line, keys sorted", function(t)
  t.equal(text.show { 1, "a\n", b = { c = true }, a = 2 },
    '{1, "a\\n", a = 2, b = {c = true}}')
  t.equal(text.show({ { { { {} } } } }, 2), "{{{...}}}")
  t.equal(text.show { ["odd key"] = 1, [3] = 2 }, '{[3] = 2, ["odd key"] = 1}')
end)

test("lists and counts read well", function(t)
  t.equal(text.list {}, "")
  t.equal(text.list { "a" }, "a")
  t.equal(text.list({ "a", "b", "c" }, "or"), "a, b or c")
  t.equal(text.count(1, "topic"), "1 topic")
  t.equal(text.count(2, "topic"), "2 topics")
  t.equal(text.count(0, "entry", "entries"), "0 entries")
end)

test("padding counts letters, not bytes", function(t)
  t.equal(text.pad("é", 3), "é  ")
  t.equal(text.pad("é", -3), "  é")
  t.equal(text.pad("long", 2), "long")
end)

test("the nearest word is near, or none", function(t)
  t.equal(text.distance("kitten", "sitting"), 3)
  t.equal(text.distance("", "abc"), 3)
  t.equal(text.nearest("topci", { "group", "topic" }), "topic")
  t.equal(text.nearest("zebra", { "group", "topic" }), nil)
end)
