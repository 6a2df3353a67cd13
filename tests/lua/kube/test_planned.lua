-- What a plan says of an object that several steps are to change.
local test = ...
local effect = require "base.effect"
local json = require "vm.json"
local planned = require "kube.planned"

local function kafka()
  return { metadata = { name = "bus" }, spec = { kafka = { replicas = 3,
    listeners = json.array { { name = "plain" } } } } }
end

test("a merge patch on top of what is planned", function(t)
  local before = kafka()
  local after = planned.patched(before, { spec = { kafka = { replicas = json.null,
    config = { a = "1" } }, paused = true } }, "merge")
  t.equal(after, { metadata = { name = "bus" }, spec = { paused = true, kafka = {
    config = { a = "1" }, listeners = { { name = "plain" } } } } })
  t.equal(before, kafka(), "what was planned before is not touched")
end)

test("a JSON patch of fields", function(t)
  local before = kafka()
  local path = "/spec/kafka/authorization/superUsers"
  before.spec.kafka.authorization = { type = "simple" }
  local after = planned.patched(before, {
    { op = "test", path = "/spec/kafka/replicas", value = 3 },
    { op = "add", path = path, value = json.array { "CN=me" } },
    { op = "remove", path = "/spec/kafka/listeners" },
    { op = "replace", path = "/metadata/a~1b", value = "c" } }, "json")
  t.equal(after, { metadata = { name = "bus", ["a/b"] = "c" }, spec = { kafka = {
    replicas = 3, authorization = { type = "simple", superUsers = { "CN=me" } } } } })
  t.equal(before.spec.kafka.authorization.superUsers, nil)
end)

test("what cannot be told is unknown, and who looks into it is told so", function(t)
  local function is_unknown(object, patch, kind)
    local after = planned.patched(object, patch, kind)
    t.ok(effect.is_unknown(after))
    local ok, why = pcall(function() return after.metadata end)
    t.ok(not ok)
    t.equal({ why.kind, why.message },
      { "unknown", "depends on what steps above make of it" })
  end
  is_unknown(kafka(), { spec = {} }, "strategic")
  is_unknown(kafka(), { { op = "move", from = "/spec", path = "/a" } }, "json")
  is_unknown(kafka(), { { op = "add", path = "/spec/zk/replicas", value = 1 } }, "json")
  is_unknown(kafka(), { { op = "add", path = "/spec/kafka/listeners/0", value = 1 } },
    "json")
  is_unknown(false, { spec = {} }, "merge")
end)
