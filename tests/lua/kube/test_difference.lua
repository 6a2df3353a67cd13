-- What objects lack, how it is said in their own words, and the way back.
local test = ...
local difference = require "kube.difference"
local json = require "vm.json"

local function texts(want, has)
  local out = {}
  for i, one in ipairs(difference.list(want, has)) do out[i] = difference.text(one) end
  return out
end

test("values that read the same are the same; what nobody asks for is anybody's", function(t)
  local has = { spec = { partitions = 3.0, config = { ["retention.ms"] = 60000, other = "x" },
    roles = json.array { "broker" } }, status = {} }
  t.equal(texts({ spec = { partitions = 3, config = { ["retention.ms"] = "60000" },
    roles = { "broker" } } }, has), {})
  t.equal(texts({ spec = { partitions = 6, config = { ["retention.ms"] = "1", more = true },
    roles = { "broker", "controller" }, empty = {} } }, has), {
    "spec.config.more is not set, wanted true",
    "spec.config.retention.ms is 60000, wanted 1",
    "spec.empty is not set, wanted {}",
    "spec.partitions is 3, wanted 6",
    'spec.roles is ["broker"], wanted ["broker","controller"]',
  })
end)

test("items of a list may have more fields than are asked for", function(t)
  local has = { list = { { name = "a", port = 1, made = true }, { name = "b", port = 2 } } }
  t.equal(texts({ list = { { name = "a", port = "1" }, { name = "b" } } }, has), {})
  t.equal(#texts({ list = { { name = "b" }, { name = "a" } } }, has), 1)
  t.equal(#texts({ list = { { name = "a" } } }, has), 1)
  t.equal(difference.in_words_of({ list = { { name = "a", port = "1" }, { name = "b" } } }, has),
    { list = has.list })
end)

test("what is applied keeps the words of whoever wrote it", function(t)
  t.equal(difference.in_words_of({ a = "5", b = "6", c = { d = "1" } },
    { a = 5, b = 7, c = { d = 1, e = 2 }, f = 1 }), { a = 5, b = "6", c = { d = 1 } })
end)

test("back to what was there, where it is still what was wanted", function(t)
  local had = { a = { x = 1, y = { 1 } }, b = "old" }
  local list = difference.list({ a = { x = 2, y = { 1, 2 }, z = "new" }, b = "new" }, had)
  t.equal(difference.back(list, { a = { x = 2, y = { 1, 2 }, z = "new" }, b = "new" }),
    { a = { x = 1, y = { 1 }, z = json.null }, b = "old" })
  t.equal(difference.back(list, { a = { x = 2, y = { 1 }, z = "other" }, b = "old" }),
    { a = { x = 1 } })
  t.equal(difference.back(list, had), nil)
end)

test("what was not there goes as a whole, but not with what others put into it", function(t)
  local want = { spec = { auth = { type = "simple", acls = { { name = "x" } } } } }
  local list = difference.list(want, { spec = {} })
  t.equal(#list, 1)
  t.equal(difference.back(list, { spec = { auth = { type = "simple",
    acls = { { name = "x", host = "*" } } } } }), { spec = { auth = json.null } })
  t.equal(difference.back(list, { spec = { auth = { type = "simple", theirs = 1,
    acls = { { name = "x" } } } } }), { spec = { auth = { type = json.null, acls = json.null } } })
end)
