--- The resources that give a target of Strimzi's the shape of a source: reads
-- both sides, and says what is wanted, what is left behind and what cannot be.

local config = require "strimzi.shaped_config"
local json = require "vm.json"
local pools_of = require "strimzi.shaped_pools"
local kafka_of = require "strimzi.shaped_kafka"
local shape = require "kafka.shape"
local state = require "strimzi.state"
local topics_of = require "strimzi.topic"
local users_of = require "strimzi.shaped_users"

local M = {}

local CLUSTER = "strimzi.io/cluster"
local KAFKA_WITHIN_MS, USER_WITHIN_MS = 1800000, 180000
--- A target that has no address or no login for us yet can be shaped all the same.
local NOT_YET = { ["not found"] = true, auth = true }

local function must(value, why)
  if value == nil then error(why, 0) end
  return value
end

--- Readings. They raise what fails; M.read gives it back.

local function owned(strimzi, kind)
  local found, why = strimzi:kind(kind)
  if not found then
    if why.reason == "NotServed" then return {} end
    error(why, 0)
  end
  local list = must(strimzi.kube:list(found, { namespace = strimzi.namespace,
    labels = CLUSTER .. "=" .. strimzi.name }))
  for i, one in ipairs(list) do list[i] = json.copy(one) end
  return list
end

--- What may be missing: `fallback`, and why, as a note.
local function as_far_as_known(what, unread, fallback, value, why)
  if value ~= nil then return value end
  if why.kind ~= "denied" then error(why, 0) end
  unread[#unread + 1] = ("%s are not known: %s"):format(what, why.message)
  return fallback
end

local function settings_of(source, brokers, unread)
  local ids = {}
  for i, one in ipairs(brokers) do ids[i] = tostring(one.id) end
  return as_far_as_known("settings of its brokers", unread, {},
    source:_ask("configs", "broker", ids))
end

local function read_source(source, shaped)
  local brokers, own, unread = must(source:brokers()), source.strimzi, {}
  return {
    name = source.name, brokers = brokers, topics = shaped.topics, acls = shaped.acls,
    unread = unread, login = own and own.user,
    -- Where there is a resource, it says what was set.
    settings = own and {} or settings_of(source, brokers, unread),
    users = own and {} or as_far_as_known("its SCRAM users", unread, {}, source:users()),
    resource = own and json.copy(must(own:resource())) or nil,
    pools = own and owned(own, "KafkaNodePool") or nil,
    kafka_users = own and owned(own, "KafkaUser") or nil,
    kafka_topics = own and must(topics_of.resources(own)) or {},
  }
end

local function storage_classes(kube)
  local known = {}
  for _, one in ipairs(kube:list("storage.k8s.io/v1/StorageClass", {}) or {}) do
    known[one.metadata.name] = true
  end
  return known
end

--- What Kafka has of the target's topics; nothing where it cannot be asked yet.
local function live_topics(target)
  local list, why = target:topics()
  if not list then
    if NOT_YET[why.kind] then return {}, why.message end
    error(why, 0)
  end
  local names, live = {}, {}
  for i, one in ipairs(list) do names[i] = one.name end
  local own = #names > 0 and must(target:configs(names)) or {}
  for _, one in ipairs(list) do
    live[one.name] = { partitions = one.partitions, replication = one.replication,
      configs = own[one.name] or {} }
  end
  return live
end

local function read_target(target, g)
  local own = target.strimzi
  local kafka, why = own:resource()
  if not kafka and why.kind ~= "not found" then error(why, 0) end
  local there = {
    cluster = target, strimzi = own, name = own.name, listener = own.listener,
    namespace = own.kube:_namespace(own.namespace), resource = kafka and json.copy(kafka),
    version = must(own:version "Kafka"), serves = {}, over = g.kafka, pool = g.pool,
    classes = storage_classes(own.kube),
  }
  for _, kind in ipairs { "Route", "Ingress", "TLSRoute" } do
    there.serves[kind] = must(own.kube:serves(kind))
  end
  there.is_ready = kafka ~= nil and state.is_ready(kafka)
  there.live, there.unreachable = {}, nil
  if there.is_ready then there.live, there.unreachable = live_topics(target) end
  there.resources = must(topics_of.resources(own))
  return there
end

--- The Kafka and its pools: derived where there are none; what is there stays.

local function kafka_item(object)
  return { object = object, ready = "Ready", tells = state.text, within_ms = KAFKA_WITHIN_MS,
    failed = function(there)
      local why = state.failure(there)
      return why and why:find "^InvalidResource" and why or nil
    end }
end

--- Settings of brokers that are other ones on the target.
local function note_settings(derived, target, notes)
  local has = target.resource.spec.kafka.config or {}
  for name, value in pairs(derived.spec.kafka.config or {}) do
    if tostring(has[name]) ~= tostring(value) then
      notes[#notes + 1] = ("Kafka %s stays as it is: %s is %s there, and %s on the source")
        :format(target.name, name, has[name] == nil and "not set" or tostring(has[name]),
          tostring(value))
    end
  end
end

local function want_kafka(source, target, out)
  local lost = {}
  local pools = pools_of.pools(source, target, out.notes, target.resource and lost or out.conflicts)
  local kafka = kafka_of.kafka(source, target, out.notes)
  out.brokers = pools_of.brokers(pools)
  if not target.resource then
    kafka_of.check(kafka, target, out.conflicts)
    for _, pool in ipairs(pools) do out.kafka[#out.kafka + 1] = { object = pool } end
    out.kafka[#out.kafka + 1] = kafka_item(kafka)
    target.spec = kafka.spec
    return
  end
  note_settings(kafka, target, out.notes)
  target.spec = target.resource.spec
  out.brokers = pools_of.brokers(owned(target.strimzi, "KafkaNodePool"))
  out.kafka[1] = kafka_item { apiVersion = kafka.apiVersion, kind = "Kafka",
    metadata = { name = target.name, namespace = target.namespace } }
end

--- Topics.

local function want_topic(source, target, topic, out)
  local function note(format, ...)
    out.notes[#out.notes + 1] = ("topic %s: "):format(topic.name) .. format:format(...)
  end
  local replicas, live = topic.replication, target.live[topic.name]
  if replicas and out.brokers > 0 and replicas > out.brokers then
    note("%d replicas become %d, because %s has %d brokers", replicas, out.brokers,
      target.name, out.brokers)
    replicas = out.brokers
  end
  local resource = target.resources[topic.name]
  local has = math.max(live and live.partitions or 0,
    resource and math.tointeger(resource.spec.partitions) or 0)
  if has > topic.partitions then
    out.conflicts[#out.conflicts + 1] = ("topic %s has %d partitions and should have %d; "
      .. "partitions cannot be taken away"):format(topic.name, has, topic.partitions)
  end
  local configs = config.of_topic(topic.configs, replicas, note)
  for name, value in pairs(resource and resource.spec.config or {}) do
    if topic.configs[name] == nil then
      note("its KafkaTopic sets %s = %s, and the source does not", name, tostring(value))
    end
  end
  local theirs = source.kafka_topics[topic.name]
  out.topics[#out.topics + 1] = topics_of.wanted(target.strimzi, target.version, {
    name = topic.name, partitions = topic.partitions, replication = replicas,
    configs = configs, labels = theirs and theirs.metadata.labels,
  }, resource, live and { partitions = live.partitions, replication = live.replication,
    configs = {} } or nil)
end

--- Users.

local function want_users(source, target, out)
  target.authorization = target.spec.kafka.authorization
  local list = source.kafka_users
    and users_of.of_resources(source.kafka_users, target, out.notes)
    or users_of.of_cluster(source, target, out.notes)
  for _, text in ipairs(source.unread) do out.notes[#out.notes + 1] = text end
  for _, object in ipairs(list) do
    local name = object.metadata.name
    if name == source.login or name == target.strimzi.user then
      out.notes[#out.notes + 1] = ("user %s is not carried: the run logs in as it, and "
        .. "each side has its own"):format(name)
    else
      out.users[#out.users + 1] = { object = object, ready = "Ready", tells = state.text,
        within_ms = USER_WITHIN_MS }
    end
  end
end

---@class tranship.WantedStrimzi
---@field kafka tranship.WantedObject[]
---@field topics tranship.WantedObject[]
---@field users tranship.WantedObject[]
---@field plain tranship.Shape   what no operator of the target makes
---@field live table             what Kafka has of its topics
---@field ready boolean          the Kafka is there and ready
---@field unreachable? string
---@field notes string[]
---@field conflicts string[]

local function read(g, shaped)
  local source, target = read_source(g.source, shaped), read_target(g.cluster, g)
  local out = { kafka = {}, topics = {}, users = {}, plain = { topics = {}, acls = {} },
    notes = {}, conflicts = {}, live = target.live, ready = target.is_ready,
    unreachable = target.unreachable }
  want_kafka(source, target, out)
  local operators = target.spec.entityOperator or {}
  if operators.topicOperator then
    for _, topic in ipairs(source.topics) do want_topic(source, target, topic, out) end
  else
    out.plain.topics = source.topics
  end
  if operators.userOperator then
    want_users(source, target, out)
  else
    out.plain.acls = source.acls
    out.notes[#out.notes + 1] = ("%s has no User Operator: users of %s are not made"):format(
      target.name, source.name)
  end
  table.sort(out.notes)
  return out
end

--- What is wanted of the target.
---@async
---@param g table        arguments of the goal: cluster, source, kafka, pool
---@param shaped tranship.Shape  topics and ACLs of the source that are carried
---@return tranship.WantedStrimzi?, tranship.Err?
function M.wanted(g, shaped)
  local ok, value = pcall(read, g, shaped)
  if ok then return value end
  if not require "base.err".is(value) then error(value, 0) end
  return nil, value
end

--- What Kafka itself lacks, when the resources say that nothing does.
---@async
---@param wanted tranship.WantedStrimzi
---@param topics table[]  as on the source
---@return string[]? lines, tranship.Err?
function M.proof(cluster, wanted, topics)
  if wanted.unreachable or not wanted.ready then return {} end
  local list = {}
  for i, one in ipairs(topics) do
    -- More settings than the source has are noted already.
    list[i] = { name = one.name, partitions = one.partitions, configs = one.configs,
      replication = one.replication }
  end
  local lack, why = shape.lacks(cluster, { topics = list })
  if not lack then return nil, why end
  return shape.answer(lack, "").seen.lacks
end

return M
