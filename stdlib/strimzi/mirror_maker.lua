--- A KafkaMirrorMaker2 resource out of a description, in the layout of either API
-- version: v1 has `target` and mirrors with a `source`, v1beta2 has `clusters` and
-- mirrors that name them. One description, one place for names: MirrorMaker's
-- identity policy, the same on both connectors.

local M = {}

local POLICY = "org.apache.kafka.connect.mirror.IdentityReplicationPolicy"
local NEVER = "mm2.*\\.internal,.*\\.checkpoints\\.internal,.*heartbeats,__.*"
local FLUSH_S = 10
local STORAGE = { config = "configStorageTopic", offset = "offsetStorageTopic",
  status = "statusStorageTopic" }

---@class tranship.MirrorMakerSide
---@field alias string
---@field bootstrap string
---@field ca? string        Secret whose *.crt are trusted; nil: no TLS
---@field login? { type: "tls"|"scram-sha-512", secret: string, user?: string }

---@class tranship.MirrorMaker
---@field name string
---@field namespace? string
---@field version string     of Strimzi's API
---@field source tranship.MirrorMakerSide
---@field target tranship.MirrorMakerSide
---@field topics string      a Java pattern
---@field groups string      a Java pattern
---@field replicas? integer
---@field tasks? integer
---@field offset_syncs? "source"|"target"
---@field largest_record? integer  bytes; what the producers must be able to send
---@field every_s? integer   how often topics, groups and offsets are looked at
---@field configs? boolean   MirrorMaker follows settings of topics; never with a Topic Operator
---@field acls? boolean      MirrorMaker follows ACLs; never with a User Operator

--- What the Connect group and its topics are called: of this mirror alone, and no
-- mirror takes them for somebody's data.
function M.names(name)
  local prefix = "__" .. name .. "-mirrormaker2"
  return { group = name .. "-mirrormaker2", config = prefix .. "-configs",
    offset = prefix .. "-offsets", status = prefix .. "-status" }
end

--- "event-bus->bus.MirrorSourceConnector": as the operator names them.
function M.connector(source, target, class)
  return ("%s->%s.Mirror%sConnector"):format(source, target, class)
end

local AUTHENTICATION = {
  tls = function(login)
    return { type = "tls", certificateAndKey = { secretName = login.secret,
      certificate = "user.crt", key = "user.key" } }
  end,
  ["scram-sha-512"] = function(login)
    return { type = "scram-sha-512", username = login.user,
      passwordSecret = { secretName = login.secret, password = "password" } }
  end,
}

local function side_of(side, config)
  return {
    alias = side.alias, bootstrapServers = side.bootstrap, config = config,
    tls = side.ca and { trustedCertificates = { {
      secretName = side.ca, pattern = "*.crt" } } } or nil,
    authentication = side.login and AUTHENTICATION[side.login.type](side.login) or nil,
  }
end

local function source_config(spec)
  local largest = spec.largest_record
  return {
    ["replication.policy.class"] = POLICY, ["replication.factor"] = -1,
    ["offset-syncs.topic.replication.factor"] = -1,
    ["offset-syncs.topic.location"] = spec.offset_syncs or "target",
    ["refresh.topics.interval.seconds"] = spec.every_s or 60,
    ["sync.topic.configs.enabled"] = spec.configs == true,
    ["sync.topic.acls.enabled"] = spec.acls == true,
    ["consumer.isolation.level"] = "read_committed",
    ["producer.override.max.request.size"] = largest,
  }
end

local function checkpoint_config(spec)
  local every = spec.every_s or 60
  return {
    ["replication.policy.class"] = POLICY, ["checkpoints.topic.replication.factor"] = -1,
    ["offset-syncs.topic.location"] = spec.offset_syncs or "target",
    ["refresh.groups.interval.seconds"] = every, ["sync.group.offsets.enabled"] = true,
    ["sync.group.offsets.interval.seconds"] = every,
    ["emit.checkpoints.interval.seconds"] = every,
  }
end

local function mirror_of(spec)
  return {
    sourceConnector = { tasksMax = spec.tasks or 1, config = source_config(spec),
      autoRestart = { enabled = true } },
    checkpointConnector = { tasksMax = 1, config = checkpoint_config(spec),
      autoRestart = { enabled = true } },
    topicsPattern = spec.topics, topicsExcludePattern = NEVER, groupsPattern = spec.groups,
  }
end

--- Of its Connect. Positions are stored, and syncs for quiet topics written, at a
-- pace at which one sees them move; Connect's own is a minute.
local function worker_config(spec)
  local every_s = math.min(spec.every_s or FLUSH_S, FLUSH_S)
  return {
    ["config.storage.replication.factor"] = -1, ["offset.storage.replication.factor"] = -1,
    ["status.storage.replication.factor"] = -1,
    ["offset.flush.interval.ms"] = every_s * 1000,
  }
end

local function v1(spec, own)
  local target = side_of(spec.target, worker_config(spec))
  target.groupId = own.group
  for what, field in pairs(STORAGE) do target[field] = own[what] end
  local mirror = mirror_of(spec)
  mirror.source = side_of(spec.source)
  return { replicas = spec.replicas or 1, target = target, mirrors = { mirror } }
end

local function v1beta2(spec, own)
  local config = worker_config(spec)
  config["group.id"] = own.group
  for what in pairs(STORAGE) do config[what .. ".storage.topic"] = own[what] end
  local mirror = mirror_of(spec)
  mirror.sourceCluster, mirror.targetCluster = spec.source.alias, spec.target.alias
  return { replicas = spec.replicas or 1, connectCluster = spec.target.alias,
    clusters = { side_of(spec.source), side_of(spec.target, config) }, mirrors = { mirror } }
end

--- The resource.
---@param spec tranship.MirrorMaker
function M.resource(spec)
  local make = spec.version == "v1" and v1 or v1beta2
  return {
    apiVersion = "kafka.strimzi.io/" .. spec.version, kind = "KafkaMirrorMaker2",
    metadata = { name = spec.name, namespace = spec.namespace },
    spec = make(spec, M.names(spec.name)),
  }
end

--- Reading one, of either layout, as one shape.

---@class tranship.MirrorMakerFlow
---@field source table     alias, bootstrapServers, config
---@field target table
---@field connect string   alias of the cluster its Connect lives on
---@field group string
---@field storage table<string, string>  config, offset, status
---@field topics? string
---@field topics_except? string
---@field groups? string
---@field worker table   config of its Connect
---@field tasks integer
---@field connectors table<string, table>  "Source", "Checkpoint": their configs
---@field fields table<string, boolean>    of the mirror, as written

local function number(value) return math.tointeger(tonumber(value)) end

local DEFAULT = { group = "mirrormaker2-cluster", config = "mirrormaker2-cluster-configs",
  offset = "mirrormaker2-cluster-offsets", status = "mirrormaker2-cluster-status" }

local function flow_of(mirror, source, target, connect)
  local home = connect or target
  local config, storage = home.config or {}, {}
  for what, field in pairs(STORAGE) do
    storage[what] = home[field] or config[what .. ".storage.topic"] or DEFAULT[what]
  end
  local fields = {}
  for name in pairs(mirror) do fields[name] = true end
  local own, check = mirror.sourceConnector, mirror.checkpointConnector
  return {
    source = source, target = target, connect = home.alias, storage = storage,
    group = home.groupId or config["group.id"] or DEFAULT.group,
    topics = mirror.topicsPattern, topics_except = mirror.topicsExcludePattern,
    groups = mirror.groupsPattern, fields = fields, worker = config,
    tasks = number(own and own.tasksMax) or 1,
    connectors = { Source = own and (own.config or {}),
      Checkpoint = check and (check.config or {}) },
  }
end

--- The flows of a resource.
---@param resource table
---@return tranship.MirrorMakerFlow[]
function M.flows(resource)
  local spec, by_alias, list = resource.spec, {}, {}
  for _, one in ipairs(spec.clusters or {}) do by_alias[one.alias] = one end
  for i, mirror in ipairs(spec.mirrors or {}) do
    local source = mirror.source or by_alias[mirror.sourceCluster]
      or { alias = mirror.sourceCluster }
    local target = spec.target or by_alias[mirror.targetCluster]
      or { alias = mirror.targetCluster }
    local connect = spec.target or by_alias[spec.connectCluster] or { alias = spec.connectCluster }
    list[i] = flow_of(mirror, source, target, connect)
  end
  return list
end

return M
