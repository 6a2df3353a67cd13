--- Settings that travel from one Kafka to another: of brokers into a Kafka
-- resource, of topics into a KafkaTopic. What is gone, what Strimzi decides by
-- itself, and what is one machine's own stays behind and is named.

local fit = require "kafka.fit"

local M = {}

--- Settings that Kafka 4 does not have any more, and where they went.
local GONE = {
  ["log.message.format.version"] = "Kafka 4 has one record format",
  ["message.format.version"] = "Kafka 4 has one record format",
  ["inter.broker.protocol.version"] = "the metadata version took its place",
  ["log.message.timestamp.difference.max.ms"] = "Kafka 4 has before.max and after.max",
  ["message.timestamp.difference.max.ms"] = "Kafka 4 has before.max and after.max",
  ["log.message.downconversion.enable"] = "Kafka 4 converts nothing down",
  ["message.downconversion.enable"] = "Kafka 4 converts nothing down",
  ["offsets.commit.required.acks"] = "Kafka 4 has it no more",
  ["delegation.token.master.key"] = "it is a secret, and has another name",
  ["control.plane.listener.name"] = "it was ZooKeeper's",
  ["broker.id.generation.enable"] = "it was ZooKeeper's",
  ["reserved.broker.max.id"] = "it was ZooKeeper's",
}

--- What Strimzi refuses in spec.kafka.config because it is its own to set.
local STRIMZIS = { "listeners", "advertised.", "broker.", "listener.", "host.name", "port",
  "inter.broker.listener.name", "sasl.", "ssl.", "security.", "password.", "log.dir",
  "zookeeper.", "authorizer.", "super.user", "node.id", "process.roles", "controller.",
  "metadata.log.dir", "cruise.control.metrics.topic",
  "cruise.control.metrics.reporter.bootstrap.servers", "early.start.listeners",
  "principal.builder.class" }
local ALLOWED = { ["ssl.cipher.suites"] = true, ["ssl.protocol"] = true,
  ["ssl.enabled.protocols"] = true, ["ssl.secure.random.implementation"] = true,
  ["sasl.server.max.receive.size"] = true,
  ["controller.quorum.election.backoff.max.ms"] = true,
  ["controller.quorum.election.timeout.ms"] = true,
  ["controller.quorum.fetch.timeout.ms"] = true }
local LEAST = { ["log.segment.bytes"] = 1024 * 1024 }

local function is_strimzis(name)
  if ALLOWED[name] then return false end
  for _, prefix in ipairs(STRIMZIS) do
    if name:sub(1, #prefix) == prefix then return true end
  end
  return false
end

--- Of brokers' settings those that a Kafka resource may hold. What Strimzi sets
-- itself is only worth a word when somebody wrote it into a resource.
---@param given table<string, any>
---@param note fun(format: string, ...)
---@return table<string, any>
function M.of_brokers(given, note)
  local config = {}
  for name, value in pairs(given) do
    local number = math.tointeger(tonumber(value))
    if GONE[name] or name:find "^zookeeper%." then
      note("%s is not carried: %s", name, GONE[name] or "it was ZooKeeper's")
    elseif is_strimzis(name) then
      note("%s is not carried: Strimzi sets it", name)
    elseif LEAST[name] and number and number < LEAST[name] then
      note("%s = %d becomes %d, the least it may be", name, number, LEAST[name])
      config[name] = LEAST[name]
    else
      config[name] = value
    end
  end
  return config
end

--- Settings of live brokers that somebody set for all of them: the same on each,
-- in their files or as the cluster's default.
---@param described table<string, table<string, table>>  by broker
---@param note fun(format: string, ...)
---@return table<string, string>
function M.set_on_brokers(described, note)
  local seen, first = {}, next(described)
  for name, entry in pairs(described[first] or {}) do
    local is_set = entry.source == "static" or entry.source == "cluster"
    if is_set and not entry.sensitive and not is_strimzis(name) then
      seen[name] = entry.value
    end
  end
  for id, settings in pairs(described) do
    for name, value in pairs(seen) do
      if not settings[name] or settings[name].value ~= value then
        note("%s is not carried: brokers %s and %s differ in it", name, first, id)
        seen[name] = nil
      end
    end
  end
  return seen
end

--- Of a topic's own settings those that its KafkaTopic may hold.
---@param given table<string, string>
---@param replicas? integer
---@param note fun(format: string, ...)
---@return table<string, string>
function M.of_topic(given, replicas, note)
  return fit.settings(fit.without(given, GONE, note), {}, replicas, note)
end

return M
