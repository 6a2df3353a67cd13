-- Values as the REPL prints them.
local test = ...
local show = require "repl.show"

test("scalars as they are", function(t)
  t.equal(show.text(9007199254740993), "9007199254740993")
  t.equal(show.text "a\tb", "a\tb")
  t.equal(show.text(true), "true")
  t.equal(show.text {}, "(none)")
end)

test("records as a table: names first, numbers to the right", function(t)
  t.equal(show.text {
    { partitions = 3, name = "apps.a", internal = false },
    { partitions = 10, name = "b" },
  }, "name    internal  partitions\n"
    .. "apps.a  false              3\n"
    .. "b                         10")
end)

test("tables by name are sorted; records in them become rows", function(t)
  t.equal(show.text { b = 2, a = "x" }, "name  value\na     x\nb     2")
  t.equal(show.text { q = { n = 1 }, p = { n = 2 } },
    "name  n\np     2\nq     1")
end)

test("answers are yes, no or unsure, with what was seen", function(t)
  t.equal(show.text { ok = true }, "yes")
  t.equal(show.text { ok = false, text = "lag is 7" }, "no: lag is 7")
  t.equal(show.text { ok = false, seen = 7, want = 1 }, "no: seen 7, wanted 1")
  t.equal(show.text { ok = false, unsure = "nobody answers" },
    "unsure: nobody answers")
end)

test("control characters stay inside their cell, long cells are cut", function(t)
  local text = show.text { { name = "a\27[31m\nb" }, { name = ("é"):rep(60) } }
  t.ok(not text:find "\27" and select(2, text:gsub("\n", "")) == 2)
  t.match(text, "é%.%.%.")
  t.ok(utf8.len(text))
end)

test("lists of scalars, one a line; private fields never", function(t)
  t.equal(show.text { "b", "a" }, "b\na")
  t.equal(show.text { _secret = 1, x = 2 }, "name  value\nx     2")
end)

test("plain data for -o json ends at things and at depth", function(t)
  local cluster = require "kafka.cluster".new { name = "c", bootstrap = "h:1" }
  t.equal(show.plain { at = cluster, list = { 1 }, _x = 1 },
    { at = "cluster/c", list = { 1 } })
  local loop = {}
  loop.loop = loop
  t.ok(show.plain(loop))
end)
