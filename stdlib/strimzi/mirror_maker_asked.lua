--- The KafkaMirrorMaker2 that a goal asks for: reads both sides, the topics that
-- are carried and the neighbours, and says what is wanted and what is wrong.

local json = require "vm.json"
local kinds = require "strimzi.topic"
local lint = require "strimzi.mirror_maker_lint"
local maker = require "strimzi.mirror_maker"
local pattern = require "kafka.pattern"
local state = require "strimzi.state"
local units = require "base.units"

local M = {}

local READY_WITHIN_MS = 600000
local MESSAGE_MAX = "max.message.bytes"
local MOST_TASKS = 8

--- A glob as Java's patterns have it.
local function java(glob)
  return (glob:gsub("[%.%+%?%(%)%[%]{}|^$\\]", "\\%0"):gsub("%*", ".*"))
end

local function java_list(globs)
  local list = {}
  for i, glob in ipairs(globs) do list[i] = java(glob) end
  return table.concat(list, "|")
end

--- What is read of both sides.

local function login_of(user, secret)
  if not user then return nil end
  local spec = user.spec.authentication or {}
  return { type = spec.type, secret = secret or user.status and user.status.secret
    or user.metadata.name, user = user.metadata.name }
end

local function target_side(cluster)
  local own = cluster.strimzi
  local access, why = own:access()
  if not access then return nil, why end
  local user
  if own.user then
    user, why = own:object("KafkaUser", own.user)
    if not user then return nil, why end
  end
  return { alias = cluster.name, bootstrap = access.bootstrap, login = login_of(user),
    ca = access.tls and own.name .. "-cluster-ca-cert" or nil }
end

local function source_side(g)
  local cluster, given = g.from, g.secrets or {}
  local side = { alias = cluster.name, bootstrap = cluster.bootstrap, ca = given.ca }
  if given.login then
    side.login = { type = given.login, secret = given.user, user = given.username or given.user }
  end
  if not cluster.strimzi then return side end
  local access, why = cluster.strimzi:access()
  if not access then return nil, why end
  side.bootstrap = access.bootstrap
  if given.user and not given.login and cluster.strimzi.user then
    local user
    user, why = cluster.strimzi:object("KafkaUser", cluster.strimzi.user)
    if not user then return nil, why end
    side.login = login_of(user, given.user)
  end
  return side
end

local function carried(g)
  local list, why = g.from:topics()
  if not list then return nil, why end
  local topics, partitions, names = {}, 0, {}
  for _, topic in ipairs(list) do
    if topic.name:sub(1, 2) ~= "__" and pattern.matches(g.topics, topic.name) then
      topics[#topics + 1], names[#names + 1] = topic, topic.name
      partitions = partitions + topic.partitions
    end
  end
  local largest, found = nil, {}
  if #names > 0 then
    found, why = g.from:_ask("configs", "topic", names)
    if not found then return nil, why end
  end
  for _, settings in pairs(found) do
    local bytes = settings[MESSAGE_MAX] and math.tointeger(tonumber(settings[MESSAGE_MAX].value))
    largest = math.max(largest or 0, bytes or 0)
  end
  return { topics = topics, names = names, partitions = partitions, largest = largest }
end

--- Others that have a Connect group on this platform.
local function neighbours(own, name)
  local kind, why = own:kind "KafkaMirrorMaker2"
  if not kind then return nil, why end
  local list
  list, why = own.kube:list(kind, { namespace = own.namespace })
  if not list then return nil, why end
  local others = {}
  for _, one in ipairs(list) do
    local flow = one.metadata.name ~= name and maker.flows(json.copy(one))[1]
    if flow then
      others[#others + 1] = { name = "KafkaMirrorMaker2 " .. one.metadata.name,
        group = flow.group, storage = flow.storage, bootstrap = flow.target.bootstrapServers }
    end
  end
  return others
end

local function world_of(g, seen, others)
  local kafka, why = g.cluster.strimzi:resource()
  if not kafka then return nil, why end
  local brokers
  brokers, why = g.cluster:brokers()
  if not brokers then return nil, why end
  local operators = kafka.spec.entityOperator
  return { topics = seen.names, partitions = seen.partitions, largest_record = seen.largest,
    topic_operator = kinds.is_managed(kafka), brokers = #brokers, others = others,
    user_operator = operators ~= nil and operators.userOperator ~= nil }
end

local function every_s(g)
  return g.every and math.max(1, units.duration(g.every) // 1000) or nil
end

--- The resource that is wanted, and what is said about it.
---@async
---@return { resource: table, findings: tranship.Finding[], topics: table[],
---   item: tranship.WantedObject }?, tranship.Err?
function M.wanted(g)
  local own, source, target, seen, others, world = g.cluster.strimzi, nil, nil, nil, nil, nil
  local version, why = own:version "KafkaMirrorMaker2"
  if version then source, why = source_side(g) end
  if source then target, why = target_side(g.cluster) end
  if target then seen, why = carried(g) end
  if seen then others, why = neighbours(own, g.name) end
  if others then world, why = world_of(g, seen, others) end
  if not world then return nil, why end
  local resource = maker.resource {
    name = g.name, namespace = own.kube:_namespace(own.namespace), version = version,
    source = source, target = target, topics = java_list(g.topics),
    groups = java_list(g.groups or { "*" }), replicas = g.replicas, largest_record = seen.largest,
    tasks = g.tasks or math.max(1, math.min(seen.partitions, MOST_TASKS)),
    offset_syncs = g.offset_syncs, every_s = every_s(g), configs = not world.topic_operator,
  }
  return { resource = resource, findings = lint.findings(resource, world), topics = seen.topics,
    item = { object = resource, ready = "Ready", tells = state.text,
      within_ms = READY_WITHIN_MS } }
end

return M
