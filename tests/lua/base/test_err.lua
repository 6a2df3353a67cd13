-- Error values and the one bridge to raising.
local test = ...
local err = require "base.err"
local try = require "base.try"

test("an err shows origin, message and cause on one line", function(t)
  local low = err.new { kind = "timeout", origin = "kafka", code = 7,
    retriable = true, message = "no answer" }
  t.equal(tostring(low), "kafka: no answer")
  local high = err.wrap(low, "topic x cannot be read")
  t.equal(tostring(high), "topic x cannot be read: kafka: no answer")
  t.equal({ high.kind, high.code, high.retriable }, { "timeout", 7, true })
  t.equal(tostring(err.wrap("plain", "text")), "text: plain")
end)

test("only err values are errs, and their metatable is locked", function(t)
  t.ok(err.is(err.new { message = "x" }))
  for _, value in ipairs { "x", 1, {}, setmetatable({}, {}) } do
    t.equal(err.is(value), false)
  end
  t.equal(getmetatable(err.new { message = "x" }), "err")
  t.raises("needs a message", err.new, { kind = "io" })
end)

test("raise raises the value itself, without a place", function(t)
  local ok, value = pcall(err.raise, { kind = "exists", message = "x" })
  t.equal(ok, false)
  t.equal(value.kind, "exists")
end)

test("try gives results or raises the reason", function(t)
  t.equal({ try(1, 2, 3) }, { 1, 2, 3 })
  t.equal(try(false), false)
  local why = err.new { message = "no" }
  local ok, value = pcall(try, nil, why)
  t.equal(ok, false)
  t.ok(rawequal(value, why))
  t.raises("failed without saying why", try, nil)
end)

test("C's errs and Lua's are of one kind", function(t)
  local _, why = require "vm.sys".read_file "/no/such/file"
  t.ok(err.is(why))
  t.equal(why.origin, "sys")
  t.equal(why.code, 2)
  t.match(why, "^sys: read /no/such/file: No such file")
end)

test("told to people, with what led to it, once", function(t)
  local cause = err.new { kind = "io", origin = "sys", message = "connection refused" }
  t.equal(err.told(err.wrap(cause, "cluster old")), "cluster old: sys: connection refused")
  t.equal(err.told(err.new { message = "gave up: connection refused", cause = cause }),
    "gave up: connection refused")
  t.equal(err.told(cause), "connection refused")
  t.equal(err.told "plain", "plain")
end)
