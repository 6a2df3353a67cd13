--- What is wrong with a KafkaMirrorMaker2 before it runs: rules across its
-- connectors, its topics and its neighbours. An `error` means that it would not
-- do what it is for; a `note` is what somebody should know.

local maker = require "strimzi.mirror_maker"

local M = {}

---@class tranship.Finding
---@field level "error"|"note"
---@field rule string
---@field text string

---@class tranship.MirrorMakerWorld
---@field topics? string[]          names that will be carried
---@field partitions? integer       of them all
---@field largest_record? integer   the largest message.max.bytes among them
---@field topic_operator? boolean   the target's topics belong to one
---@field user_operator? boolean
---@field brokers? integer          of the target
---@field others? { name: string, group: string, bootstrap: string, storage: table }[]

local IDENTITY = "IdentityReplicationPolicy"
local REMOVED = {
  ["use.incremental.alter.configs"] = true, ["add.source.alias.to.metrics"] = true,
  ["topics.blacklist"] = true, ["groups.blacklist"] = true,
  ["config.properties.blacklist"] = true,
}
local SHARED = {
  ["replication.policy.class"] = "offsets would be translated for topics of other names",
  ["replication.policy.separator"] = "it is part of internal topics' names",
  ["replication.policy.internal.topic.separator.enabled"] = "it is part of internal topics' names",
  ["offset-syncs.topic.location"] = "one would write syncs where the other does not read",
}
local DEFAULT_REQUEST = 1048576
local DEFAULT_FACTOR = 2

local function text_of(value)
  if value == nil then return "not set" end
  return tostring(math.tointeger(value) or value)
end

local function is_off(value) return tostring(value) == "false" end
local function is_on(value) return tostring(value) == "true" end

local function is_identity(config)
  return (config["replication.policy.class"] or ""):find(IDENTITY, 1, true) ~= nil
end

-- Each rule: (flow, world, say(level, rule, format, ...)).
local rules = {}

--- What both connectors must say alike.
function rules.shared(flow, _, say)
  local source, check = flow.connectors.Source, flow.connectors.Checkpoint
  if not source or not check then return end
  for _, name in ipairs { "replication.policy.class", "replication.policy.separator",
    "replication.policy.internal.topic.separator.enabled", "offset-syncs.topic.location" } do
    if text_of(source[name]) ~= text_of(check[name]) then
      say("error", "shared", "%s is %s on the source connector and %s on the checkpoint "
        .. "connector: %s", name,
        text_of(source[name]), text_of(check[name]), SHARED[name])
    end
  end
end

function rules.policy(flow, _, say)
  for kind, config in pairs(flow.connectors) do
    local class = config["replication.policy.class"] or ""
    if class:find "^io%.strimzi%." then
      say("error", "policy", "%s connector: %s went away with Strimzi 0.46; the class is "
        .. "org.apache.kafka.connect.mirror.IdentityReplicationPolicy", kind, class)
    elseif config["replication.policy.separator"] == "" then
      say("error", "policy", "%s connector: an empty separator makes no names alike: it enters "
        .. "internal topics' names; use the identity policy", kind)
    end
  end
end

function rules.removed(flow, _, say)
  for kind, config in pairs(flow.connectors) do
    for name in pairs(config) do
      if REMOVED[name] then
        say("error", "removed", "%s connector: Kafka 4 has no %s", kind, name)
      end
    end
  end
  for name in pairs(flow.fields) do
    if name:find "Blacklist" then
      say("error", "removed", "%s is gone: it is %s", name, (name:gsub("Blacklist", "Exclude")))
    end
  end
end

function rules.offsets(flow, _, say)
  local source, check = flow.connectors.Source or {}, flow.connectors.Checkpoint
  if not check then
    return say("error", "offsets", "without a checkpoint connector no group's offsets arrive")
  end
  if is_off(source["emit.offset-syncs.enabled"]) then
    say("error", "offsets", "emit.offset-syncs.enabled = false: there is nothing to translate by")
  end
  if is_off(check["emit.checkpoints.enabled"]) then
    say("error", "offsets", "emit.checkpoints.enabled = false: no offsets are translated")
  elseif not is_on(check["sync.group.offsets.enabled"]) then
    say("error", "offsets", "sync.group.offsets.enabled is not true: groups begin where "
      .. "auto.offset.reset says")
  end
end

function rules.isolation(flow, _, say)
  local source = flow.connectors.Source or {}
  local committed = source["consumer.isolation.level"] == "read_committed"
  local once = source["exactly.once.support"] == "required"
  if not committed then
    say(once and "error" or "note", "isolation", "consumer.isolation.level is not read_committed: "
      .. "records of aborted transactions become data on %s", text_of(flow.target.alias))
  end
  if once and flow.worker["exactly.once.source.support"] ~= "enabled" then
    say("error", "isolation", "exactly.once.support = required needs "
      .. "exactly.once.source.support = enabled in the target's config")
  end
end

function rules.size(flow, world, say)
  local source = flow.connectors.Source or {}
  local takes = tonumber(source["producer.override.max.request.size"]) or DEFAULT_REQUEST
  if world.largest_record and world.largest_record > takes then
    say("error", "size", "a topic takes records of %d bytes, and the copy's producer %d: one "
      .. "such record ends its task for good; set producer.override.max.request.size",
      world.largest_record, math.tointeger(takes))
  end
end

function rules.operators(flow, world, say)
  local source = flow.connectors.Source or {}
  if world.topic_operator and not is_off(source["sync.topic.configs.enabled"]) then
    say("error", "operators", "sync.topic.configs.enabled must be false: the target's Topic "
      .. "Operator sets back what MirrorMaker sets")
  end
  if world.user_operator and not is_off(source["sync.topic.acls.enabled"]) then
    say("error", "operators", "sync.topic.acls.enabled must be false: the target's User Operator "
      .. "removes ACLs that no KafkaUser has")
  elseif not is_off(source["sync.topic.acls.enabled"]) then
    say("note", "operators", "sync.topic.acls.enabled: the right to write is never carried, and "
      .. "nothing but literal topic ACLs")
  end
end

function rules.names(flow, world, say)
  if flow.source.alias == flow.target.alias then
    say("error", "names", "source and target have one alias, %s", text_of(flow.source.alias))
  end
  for _, name in ipairs(world.topics or {}) do
    if name:find "heartbeats$" and is_identity(flow.connectors.Source or {}) then
      say("error", "names", "topic %s ends in heartbeats: MirrorMaker renames it, whatever the "
        .. "policy; leave it out and copy it by another way", name)
    end
  end
end

function rules.connect(flow, _, say)
  if flow.connect ~= flow.target.alias then
    say("error", "connect", "its Connect lives on %s, and it copies to %s: they must be one",
      text_of(flow.connect), text_of(flow.target.alias))
  end
  local seen = {}
  for what, name in pairs(flow.storage) do
    if seen[name] then
      say("error", "connect", "one topic, %s, for two purposes", name)
    end
    seen[name] = what
    if flow.topics == ".*" and name:sub(1, 2) ~= "__"
      and not (flow.topics_except or ""):find(name, 1, true) then
      say("note", "connect", "topicsPattern .* also takes %s where a mirror leads back: begin its "
        .. "name with __", name)
    end
  end
  for name in pairs(flow.source.config or {}) do
    if name:find "storage%.replication%.factor$" then
      say("note", "connect", "%s on the source's config does nothing: it belongs to the target's",
        name)
    end
  end
end

function rules.neighbours(flow, world, say)
  for _, other in ipairs(world.others or {}) do
    if other.bootstrap == flow.target.bootstrapServers then
      if other.group == flow.group then
        say("error", "neighbours", "%s has the group %s, too: they would be one Connect cluster",
          other.name, flow.group)
      end
      for what, name in pairs(flow.storage) do
        if other.storage[what] == name then
          say("error", "neighbours", "%s keeps its %ss in %s, too", other.name, what, name)
        end
      end
    end
  end
end

function rules.replicas(flow, world, say)
  local source = flow.connectors.Source or {}
  local factor = math.tointeger(tonumber(source["replication.factor"])) or DEFAULT_FACTOR
  if world.brokers and factor > world.brokers then
    say("error", "replicas", "replication.factor is %d, and %s has %d brokers: no topic can be "
      .. "made; -1 takes the brokers' default", factor, text_of(flow.target.alias), world.brokers)
  end
  if flow.tasks == 1 and (world.partitions or 0) > 1 then
    say("note", "replicas", "one task copies %d partitions: raise tasksMax", world.partitions)
  end
end

--- Copies in a circle, which nothing would stop under the identity policy.
local function circles(flows, say)
  for i, one in ipairs(flows) do
    for j = i + 1, #flows do
      local other = flows[j]
      if one.source.alias == other.target.alias and one.target.alias == other.source.alias
        and is_identity(one.connectors.Source or {}) then
        say("error", "circles", "%s and %s are copied in both directions under one name: records "
          .. "would go round for ever", one.source.alias, one.target.alias)
      end
    end
  end
end

local ORDER = { "shared", "policy", "removed", "offsets", "isolation", "size", "operators",
  "names", "connect", "neighbours", "replicas" }

--- Everything that can be said about a resource.
---@param resource table  of either layout
---@param world? tranship.MirrorMakerWorld
---@return tranship.Finding[]
function M.findings(resource, world)
  local out = {}
  local function say(level, rule, format, ...)
    out[#out + 1] = { level = level, rule = rule, text = format:format(...) }
  end
  local flows = maker.flows(resource)
  if #flows == 0 then say("error", "names", "it has no mirrors") end
  for _, flow in ipairs(flows) do
    for _, name in ipairs(ORDER) do rules[name](flow, world or {}, say) end
  end
  circles(flows, say)
  return out
end

local DEFAULT_S, FLUSH_S = { groups = 600, topics = 600, emit = 60, sync = 60 }, 60

local function seconds(config, name, default)
  return math.tointeger(tonumber(config and config[name])) or default
end

--- How old a group's offset on the target may be, in seconds, and how long until a
-- new group is known: computed from the intervals, for whoever waits.
---@param flow tranship.MirrorMakerFlow
---@return integer offset_s, integer group_s
function M.staleness(flow)
  local check = flow.connectors.Checkpoint
  local flush = math.ceil((tonumber(flow.worker["offset.flush.interval.ms"]) or FLUSH_S * 1000)
    / 1000)
  local offset = flush + seconds(check, "emit.checkpoints.interval.seconds", DEFAULT_S.emit)
    + seconds(check, "sync.group.offsets.interval.seconds", DEFAULT_S.sync)
  return offset, offset + seconds(check, "refresh.groups.interval.seconds", DEFAULT_S.groups)
end

return M
