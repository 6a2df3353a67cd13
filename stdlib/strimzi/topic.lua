--- Topics of a cluster whose Topic Operator makes them: what is wanted as
-- KafkaTopic resources, how a topic that is there already is adopted, and how a
-- resource goes again without taking its topic with it. The Topic Operator only
-- ever looks from resources to Kafka: what is set past it, it sets back.

local config_of = require "kafka.config"
local err = require "base.err"
local json = require "vm.json"
local object = require "kube.object"
local put_back = require "kafka.put_back"
local state = require "strimzi.state"
local sys = require "vm.sys"
local task = require "vm.task"

local M = {}

local CLUSTER, MANAGED = "strimzi.io/cluster", "strimzi.io/managed"
local PAUSED = "strimzi.io/pause-reconciliation"
local FINALIZER = "strimzi.io/topic-operator"
local WITHIN_MS = 180000
local SEEN_WITHIN_MS, LOOK_EVERY_MS = 10000, 50
local TAIL = 8 -- characters of a hash behind a name that Kubernetes would not take

--- What no waiting makes good.
local FOR_GOOD = { "^NotSupported", "^ResourceConflict", "^InvalidResource" }

--- Why a resource will never be ready; trouble of the operator's own may pass.
function M.failed(there)
  local why = state.failure(there)
  for _, pattern in ipairs(FOR_GOOD) do
    if why and why:find(pattern) then return why end
  end
end

--- A name that Kubernetes takes for a topic that may be called anything.
function M.object_name(topic)
  local name = topic:lower():gsub("[^a-z0-9.-]", "-"):gsub("%.[.-]+", "."):gsub("-+%.", ".")
    :gsub("^[^a-z0-9]+", ""):gsub("[^a-z0-9]+$", "")
  if name == topic then return name end
  return (name ~= "" and name .. "-" or "t-") .. sys.sha256(topic):sub(1, TAIL)
end

--- The Kafka topic of a resource.
function M.topic_of(resource)
  return resource.spec and resource.spec.topicName or resource.metadata.name
end

local function older(a, b)
  return (a.metadata.creationTimestamp or "") < (b.metadata.creationTimestamp or "")
end

--- KafkaTopics of the cluster by the topic they are for; of two the older one.
---@async
---@return table<string, table>?, tranship.Err?
function M.resources(strimzi)
  local kind, why = strimzi:kind "KafkaTopic"
  if not kind then return nil, why end
  local list
  list, why = strimzi.kube:list(kind, { namespace = strimzi.namespace,
    labels = CLUSTER .. "=" .. strimzi.name })
  if not list then return nil, why end
  local found = {}
  for _, one in ipairs(list) do
    local name = M.topic_of(one)
    if not found[name] or older(one, found[name]) then found[name] = json.copy(one) end
  end
  return found
end

--- Is there a Topic Operator that topics belong to?
---@return boolean
function M.is_managed(kafka)
  local own = kafka.spec and kafka.spec.entityOperator
  return own ~= nil and own.topicOperator ~= nil
end

---@class tranship.TopicShape
---@field name string
---@field partitions? integer
---@field replication? integer
---@field configs? table<string, any>
---@field labels? table

--- The KafkaTopic for a topic. One that is in Kafka and has none is adopted: it
-- says all that the topic says, or the operator would set that back.
---@param strimzi tranship.StrimziCluster
---@param version string
---@param topic tranship.TopicShape
---@param resource? table  the one there is
---@param live? { partitions: integer, replication: integer, configs: table }
function M.wanted(strimzi, version, topic, resource, live)
  local partitions, replicas, config = topic.partitions, topic.replication, {}
  if live then
    partitions = math.max(live.partitions, partitions or 1)
    replicas = live.replication
  end
  if resource then
    -- What it says stays said: more partitions are as good.
    local has = math.tointeger(resource.spec.partitions)
    if has and partitions and has > partitions then partitions = has end
    replicas = nil
  elseif live then
    for name, value in pairs(live.configs) do config[name] = value end
  end
  for name, value in pairs(topic.configs or {}) do config[name] = value end
  local labels = { [CLUSTER] = strimzi.name }
  for key, value in pairs(topic.labels or {}) do
    if not key:find "^strimzi%.io/" then labels[key] = value end
  end
  local name = resource and resource.metadata.name or M.object_name(topic.name)
  return {
    object = {
      apiVersion = "kafka.strimzi.io/" .. version, kind = "KafkaTopic",
      metadata = { name = name, labels = labels,
        namespace = strimzi.kube:_namespace(strimzi.namespace) },
      spec = { topicName = name ~= topic.name and topic.name or nil, partitions = partitions,
        replicas = replicas, config = next(config) and config or nil },
    },
    ready = "Ready", failed = M.failed, tells = state.text, within_ms = WITHIN_MS,
  }
end

--- Waits until brokers show what the operator says is there; gives up quietly,
-- because whoever reads next will say what there is.
---@async
function M.until_seen(cluster, name)
  local until_ms = task.now() + SEEN_WITHIN_MS
  while cluster:topic_shape(name) == false and task.now() < until_ms do
    task.sleep(LOOK_EVERY_MS)
  end
  return true
end

--- The way out.

local function has_finalizer(there)
  for _, name in ipairs(there.metadata.finalizers or {}) do
    if name == FINALIZER then return true end
  end
  return false
end

local function is_let_go(there)
  local said = object.condition(there, "Unmanaged")
  return not has_finalizer(there) and said ~= nil and said.status == "True"
end

--- Says what the finalizer waits for when nobody takes it away.
local function trap(why, name, kube)
  if not err.is(why) or why.kind ~= "timeout" then return why end
  return err.new { kind = "timeout", origin = "strimzi", retriable = true, cause = why,
    message = ("KafkaTopic %s on %s is held by the finalizer %s, which only the Topic Operator "
      .. "takes away: see that its entity operator runs, then go on; without one: kubectl "
      .. "patch kafkatopic %s --type=merge -p '{\"metadata\":{\"finalizers\":null}}'"):format(
      name, kube.name, FINALIZER, name) }
end

--- Deletes a KafkaTopic together with its topic.
---@async
---@return true?, tranship.Err?
function M.delete(kube, kind, name, options)
  local done, why = kube:delete(kind, name, options)
  if done == nil then return nil, trap(why, name, kube) end
  return true
end

local function refuse_paused(there, name, kube)
  if (there.metadata.annotations or {})[PAUSED] ~= "true" then return true end
  return nil, err.new { kind = "conflict", origin = "strimzi",
    message = ("KafkaTopic %s on %s is paused: its operator would not see that it is to let "
      .. "go, and the topic would go with it; take %s away first"):format(name, kube.name, PAUSED) }
end

--- Deletes a KafkaTopic and leaves the topic in Kafka: first the operator lets go
-- of it, is seen to have done so, and only then the resource goes.
---@async
---@param options { namespace?: string, uid?: string }
---@return true?, tranship.Err?
function M.let_go(kube, kind, name, options)
  local there, why = kube:find(kind, name, { namespace = options.namespace })
  if there == nil then return nil, why end
  if not there then return true end
  local ok
  ok, why = refuse_paused(there, name, kube)
  if not ok then return nil, why end
  if (there.metadata.annotations or {})[MANAGED] ~= "false" then
    local done
    done, why = kube:annotate(kind, name, { [MANAGED] = "false" }, {
      namespace = options.namespace })
    if done == nil then return nil, why end
  end
  local seen
  seen, why = kube:wait_until(kind, name, function(o) return not o or is_let_go(o) end,
    { namespace = options.namespace, within_ms = options.within_ms or WITHIN_MS,
      uid = options.uid, what = "let go by its operator (Unmanaged=True, no finalizer)" })
  if seen == nil then return nil, trap(why, name, kube) end
  return kube:delete(kind, name, options)
end

--- Whether a Kafka was ever up: one that has no id yet holds nothing.
local function has_lived(strimzi)
  local kafka, why = strimzi:resource()
  if not kafka then return why.kind ~= "not found" end
  return kafka.status ~= nil and kafka.status.clusterId ~= nil
end

--- The way back of topics that a goal made or adopted, for kube.shape: topics
-- with records stay, adopted ones are let go and have their settings back.
---@param live table<string, table>  what Kafka had of them before, by topic
---@param say fun(text: string)
---@return tranship.WaysBack
function M.way_back(cluster, live, say)
  local kube = cluster.strimzi.kube
  return {
    say = say,
    keep = function(_, there)
      local name = M.topic_of(there)
      if live[name] then return false end
      local empty, why = put_back.is_empty(cluster, name)
      if empty == nil and has_lived(cluster.strimzi) then return nil, why end
      return empty == false and ("topic %s holds records"):format(name)
    end,
    remove = function(entry, there, options)
      local name = M.topic_of(there)
      if not live[name] then
        cluster:_renew() -- a client does not outlive a topic's deletion
        return M.delete(kube, entry.kind, entry.name, options)
      end
      local done, why = M.let_go(kube, entry.kind, entry.name, options)
      if done == nil then return nil, why end
      local now
      now, why = cluster:configs { name }
      if not now then return nil, why end
      local change = config_of.change(now[name] or {}, live[name].configs, true)
      if not change then return true end
      return cluster:alter_config(name, change)
    end,
  }
end

return M
