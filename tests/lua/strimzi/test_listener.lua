-- Listeners of Kafka resources, new and old: which one is meant, and where it is.
local test = ...
local listener = require "strimzi.listener"

local SELF = setmetatable({}, { __tostring = function() return "Kafka bus on ocp" end })

local function cluster(name) return setmetatable({ listener = name }, getmetatable(SELF)) end

local function kafka(listeners, status)
  return { metadata = { generation = 1 }, spec = { kafka = { listeners = listeners } },
    status = { listeners = status, observedGeneration = 1 } }
end

local NEW = kafka({
  { name = "plain", type = "internal", tls = false },
  { name = "secure", type = "internal", tls = true, authentication = { type = "tls" } },
  { name = "external", type = "route", tls = true, authentication = { type = "scram-sha-512" } },
}, {
  { name = "plain", bootstrapServers = "bus-kafka-bootstrap.kafka.svc:9092" },
  { name = "external", bootstrapServers = "bus.apps.example:443", certificates = { "PEM" } },
})

test("by name, in a status of today", function(t)
  t.equal(t.ok(listener.find(cluster "external", NEW)), { name = "external", tls = true,
    bootstrap = "bus.apps.example:443", certificates = { "PEM" }, login = "scram-sha-512" })
  t.equal(t.ok(listener.find(cluster "plain", NEW)).tls, false)
end)

test("without a name, the only one to outside", function(t)
  t.equal(t.ok(listener.find(cluster(), NEW)).name, "external")
  local both = kafka({ { name = "a", type = "nodeport" }, { name = "b", type = "route" } }, {})
  local _, why = listener.find(cluster(), both)
  t.match(why.message, 'Kafka bus on ocp has several listeners: name one, listener = "a" or "b"')
end)

test("by type, with an object for a list, in resources of old", function(t)
  local external = { type = "route", authentication = { type = "tls" } }
  local old = kafka({ plain = {}, external = external }, {
    { type = "external", certificates = { "PEM" }, addresses = {
      { host = "a.example", port = 443 }, { host = "b.example", port = 443 } } },
  })
  t.equal(t.ok(listener.find(cluster "external", old)), { name = "external", tls = true,
    bootstrap = "a.example:443,b.example:443", certificates = { "PEM" }, login = "tls" })
end)

test("what is not there is told", function(t)
  local _, why = listener.find(cluster "secure", NEW)
  t.equal(why.kind, "not found")
  t.match(why.message, 'listener "secure" has no address yet: it is not ready yet')
  _, why = listener.find(cluster "exetrnal", NEW)
  t.match(why.message, 'has no listener "exetrnal"; did you mean \'external\'')
  _, why = listener.find(cluster(), kafka({}, {}))
  t.match(why.message, "has no listeners")
end)
