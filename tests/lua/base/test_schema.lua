-- Fields described by data: what is kept, and everything that is reported.
local test = ...
local schema = require "base.schema"

local FIELDS = {
  { name = "title", position = 1, kind = "text", required = true, desc = "t" },
  { name = "times", kind = "count", min = 1, max = 5, desc = "n" },
  { name = "wait", kind = "duration", default = "5s", desc = "w" },
  { name = "mode", kind = "choice", values = { "fast", "slow" }, desc = "m" },
  { name = "topics", kind = "list", of = "pattern", desc = "l" },
  { name = "later", kind = "flag", desc = "f", unbuilt = "next year" },
  { name = "ask", kind = "table", desc = "a", fields = {
    { name = "within", kind = "duration", desc = "i" } } },
}

local function read(body)
  local found = {}
  local out = schema.read(FIELDS, body, "thing", function(code, message, hint, at)
    found[#found + 1] = { code = code, message = message, hint = hint, at = at }
  end)
  return out, found
end

test("what fits is kept, with defaults", function(t)
  local out, found = read { "x", times = 2.0, topics = "a.*" }
  t.equal(found, {})
  t.equal(out, { title = "x", times = 2, wait = "5s", topics = { "a.*" } })
  t.equal(math.type(out.times), "integer")
end)

test("everything wrong is reported at once, each at its field", function(t)
  local _, found = read { "x", tmies = 2, mode = "fats", wait = 3, later = true }
  local codes = {}
  for i, one in ipairs(found) do codes[i] = one.code .. " " .. one.at.field end
  t.equal(codes, { "E0901 later", "E0202 mode", "E0107 tmies", "E0203 wait" })
  t.equal(found[3].hint, "did you mean 'times'?")
end)

test("what is inside is reported with the way to it", function(t)
  local _, found = read { "x", ask = { within = 5 }, topics = { "a", 7 } }
  t.equal(found[1].at, { field = "ask", inner = { field = "within" } })
  t.equal(found[2].at, { field = "topics", inner = { item = 2 } })
end)

test("missing and out of range", function(t)
  local _, found = read { times = 9 }
  t.equal(found[1].code, "E0206")
  t.equal(found[1].hint, "1 to 5")
  t.equal(found[2].code, "E0109")
end)

test("a misspelt field that was needed is reported once", function(t)
  local _, found = read { titel = "x" }
  t.equal(#found, 1)
  t.equal(found[1].code, "E0107")
end)

test("holes in lists are missing references", function(t)
  local _, found = read { "x", topics = { "a", nil, "c" } }
  t.equal(found[1].code, "E0207")
  t.equal(found[1].at.inner, { item = 2 })
end)

test("likeness: a swap counts once, strangers do not count", function(t)
  t.equal(schema.nearest("retyr", { "timeout", "retry", "steady" }), "retry")
  t.equal(schema.nearest("lagg", { "lag", "map" }), "lag")
  t.equal(schema.nearest("banana", { "lag", "map" }), nil)
  t.equal(schema.nearest("x", {}), nil)
end)

test("every field of every word is described", function(t)
  local words = require "runbook.declare.schema"
  require "runbook.declare.kinds"
  require "runbook.declare.steps"
  require "runbook.declare.words"
  local function each(where, fields)
    for _, field in ipairs(fields or {}) do
      t.ok(schema.kinds[field.kind], where .. "." .. field.name .. " has no kind")
      t.ok(#field.desc > 0, where .. "." .. field.name .. " is not described")
      each(where .. "." .. field.name, field.fields)
    end
  end
  for name, word in next, words.words do
    t.ok(#word.desc > 0, name)
    each(name, word.fields)
  end
  each("retry", words.retry)
end)
