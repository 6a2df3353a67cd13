--- What a cluster of Strimzi's leaves in Kubernetes when nobody uses it any more:
-- named, with what each would take with it. Nothing here deletes anything.

local json = require "vm.json"
local maker = require "strimzi.mirror_maker"

local M = {}

local CLUSTER = "strimzi.io/cluster"
local FINALIZER = "strimzi.io/topic-operator"
local OWN = { "KafkaNodePool", "KafkaTopic", "KafkaUser", "KafkaRebalance" }
--- Kinds of clients, and where they say which brokers they use.
local CLIENTS = { KafkaConnect = true, KafkaBridge = true }

local function list(strimzi, kind, labels)
  local found, why = strimzi:kind(kind)
  if not found then
    if why.reason == "NotServed" then return {} end
    return nil, why
  end
  local items
  items, why = strimzi.kube:list(found, { namespace = strimzi.namespace, labels = labels })
  for i, item in ipairs(items or {}) do items[i] = json.copy(item) end
  return items, why
end

local function claims(pool)
  local storage = pool.spec.storage or {}
  for _, volume in ipairs(storage.volumes or { storage }) do
    if volume.deleteClaim then return true end
  end
  return false
end

local function held(topics)
  local count = 0
  for _, topic in ipairs(topics) do
    for _, name in ipairs(topic.metadata.finalizers or {}) do
      if name == FINALIZER then count = count + 1 end
    end
  end
  return count
end

local function counted(kind, items)
  return ("%d %s%s"):format(#items, kind, #items == 1 and "" or "s")
end

local function plain_kind(strimzi, kind, labels, lines)
  local items, why = strimzi.kube:list("v1/" .. kind, { namespace = strimzi.namespace,
    labels = labels })
  if not items and why.kind ~= "denied" then return nil, why end
  if items and #items > 0 then lines[#lines + 1] = counted(kind, items) end
  return true
end

--- Who is still pointed at these brokers.
local function clients(strimzi, addresses, lines)
  for kind in pairs(CLIENTS) do
    local items, why = list(strimzi, kind)
    if not items then return nil, why end
    for _, one in ipairs(items) do
      if addresses[one.spec.bootstrapServers] then
        lines[#lines + 1] = ("%s %s uses it"):format(kind, one.metadata.name)
      end
    end
  end
  local items, why = list(strimzi, "KafkaMirrorMaker2")
  if not items then return nil, why end
  for _, one in ipairs(items) do
    for _, flow in ipairs(maker.flows(one)) do
      if addresses[flow.source.bootstrapServers] or addresses[flow.target.bootstrapServers] then
        lines[#lines + 1] = ("KafkaMirrorMaker2 %s uses it"):format(one.metadata.name)
      end
    end
  end
  return true
end

local function addresses_of(strimzi, kafka)
  local known = {}
  for _, one in ipairs(kafka.status and kafka.status.listeners or {}) do
    known[one.bootstrapServers or ""] = true
  end
  for _, port in ipairs { 9092, 9093, 9094 } do
    known[("%s-kafka-bootstrap:%d"):format(strimzi.name, port)] = true
  end
  return known
end

--- What is left, and what to know before it is deleted.
---@async
---@param strimzi tranship.StrimziCluster
---@return string[]? left, string[]|tranship.Err warnings
function M.lines(strimzi)
  local kafka, why = strimzi:resource()
  if not kafka then
    if why.kind == "not found" then return {}, {} end
    return nil, why
  end
  local left, warnings, labels = { "Kafka " .. strimzi.name }, {}, CLUSTER .. "=" .. strimzi.name
  local own = {}
  for _, kind in ipairs(OWN) do
    own[kind], why = list(strimzi, kind, labels)
    if not own[kind] then return nil, why end
    if #own[kind] > 0 then left[#left + 1] = counted(kind, own[kind]) end
  end
  for _, pool in ipairs(own.KafkaNodePool) do
    if claims(pool) then
      warnings[#warnings + 1] = ("deleting KafkaNodePool %s deletes its disks (deleteClaim)")
        :format(pool.metadata.name)
    end
  end
  if held(own.KafkaTopic) > 0 then
    warnings[#warnings + 1] = ("%d KafkaTopics have the finalizer %s: delete them before the "
      .. "Kafka, whose Topic Operator takes it away, or they and the namespace hang"):format(
      held(own.KafkaTopic), FINALIZER)
  end
  local ok
  for _, kind in ipairs { "Secret", "PersistentVolumeClaim" } do
    ok, why = plain_kind(strimzi, kind, labels, left)
    if not ok then return nil, why end
  end
  ok, why = clients(strimzi, addresses_of(strimzi, kafka), warnings)
  if not ok then return nil, why end
  return left, warnings
end

return M
