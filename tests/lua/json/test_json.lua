-- JSON: exact, sorted, and refusing what it cannot say.
local test = ...
local json = require "vm.json"

test("integers keep all 64 bits", function(t)
  for _, n in ipairs { 0, -1, 2^53 // 1 | 0, (1 << 53) + 1,
      math.maxinteger, math.mininteger } do
    t.equal(json.decode(json.encode(n)), n)
    t.equal(math.type(json.decode(json.encode(n))), "integer")
  end
  t.equal(json.encode { offset = (1 << 53) + 1 }, '{"offset":9007199254740993}')
  t.fails("protocol", json.decode "92233720368547758080")
end)

test("floats round-trip and stay floats", function(t)
  for _, x in ipairs { 0.1, 1e300, -2.5e-10, 1 / 3, 3.0 } do
    local back = json.decode(json.encode(x))
    t.equal(back, x)
    t.equal(math.type(back), "float")
  end
  t.raises("no JSON number", json.encode, 1 / 0)
  t.raises("no JSON number", json.encode, 0 / 0)
end)

test("keys are sorted, whatever order they came in", function(t)
  local one, two = {}, {}
  for i = 1, 50 do one["k" .. i] = i end
  for i = 50, 1, -1 do two["k" .. i] = i end
  t.equal(json.encode(one), json.encode(two))
  t.equal(json.encode { b = 1, a = { 2, 3 } }, '{"a":[2,3],"b":1}')
end)

test("arrays and objects are told apart", function(t)
  t.equal(json.encode {}, "{}")
  t.equal(json.encode(json.array {}), "[]")
  t.equal(json.encode(json.decode "[[],{}]"), "[[],{}]")
  t.raises("key is a number", json.encode, { [1] = 1, [3] = 3 })
  t.raises("key is a number", json.encode, { 1, x = 2 })
end)

test("null is a value", function(t)
  t.equal(json.decode "null", json.null)
  t.equal(json.encode { a = json.null }, '{"a":null}')
end)

test("strings: escapes, NUL, UTF-8 only", function(t)
  local text = "a\"\\\n\0é"
  t.equal(json.decode(json.encode(text)), text)
  t.raises("not UTF%-8", json.encode, "\xff")
end)

test("what has no JSON form raises", function(t)
  t.raises("function has no", json.encode, print)
  t.raises("function has no", json.encode, { a = { b = print } })
  local loop = {}
  loop.x = loop
  t.raises("nested deeper", json.encode, loop)
end)

test("wrong text is refused with its place", function(t)
  local why = t.fails("protocol", json.decode '{"a":\n!}')
  t.match(why, "2:")
  t.fails("protocol", json.decode '{"a":1,"a":2}')
  t.fails("protocol", json.decode "")
  t.fails("protocol", json.decode(("["):rep(100000)))
end)

test("indented text is for people", function(t)
  t.equal(json.encode({ a = 1 }, { indent = 2 }), '{\n  "a": 1\n}')
end)

test("a secret shows what it may show", function(t)
  local secret <close> = require "vm.secret".new("hunter22", "x")
  t.match(json.encode { p = secret }, "^{\"p\":\"<secret x %x%x%x%x>\"}$")
end)
