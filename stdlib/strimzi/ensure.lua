--- Goals about a cluster of Strimzi's, as its methods: `old:listener { "external" }`,
-- `old:user { "migration", superuser = true }`. Goals that any cluster has are other
-- ones here: what is changed are resources.

local M = {}

--- Unnamed items under names of their own, and the cluster.
local function full_args(cluster, args, ...)
  local full = { cluster = cluster }
  for key, value in pairs(args or {}) do full[key] = value end
  for i, name in ipairs { ... } do
    if full[name] == nil then full[name] = full[i] end
    full[i] = nil
  end
  return full
end

--- One of the goals of runbook.goal that are for Strimzi.
local function stock(name, cluster, args, ...)
  return require("runbook.goal").make(require("runbook.goal." .. name),
    full_args(cluster, args, ...))
end

--- One of this room's own.
local function own(name, cluster, args)
  return require("runbook.goal").make(require("strimzi.goal_" .. name),
    full_args(cluster, args, "name"))
end

--- Goal: a listener of that name is there, and its addresses are known:
-- `{ "external", type = "route", authentication = "scram-sha-512" }`.
function M:listener(args) return own("listener", self, args) end

--- Goal: a KafkaUser is there, with its Secret:
-- `{ "migration", superuser = true, authentication = "scram-sha-512" }`.
function M:user(args) return own("user", self, args) end

--- Goal: this cluster has the Kafka, pools, topics and users that `source` would
-- have here: `new:shaped_like { old, pool = { storage = ... } }`.
---@param source tranship.Cluster|table
function M:shaped_like(source)
  local args = source
  if getmetatable(source) ~= nil then args = { source } end
  return stock("strimzi_shaped_like", self, args, "source")
end

--- Goal: a topic is there, and its KafkaTopic: `{ "name", partitions, configs }`.
function M:_ensure_topic(args) return stock("strimzi_topic", self, args, "name") end

--- Goal: nobody uses this cluster any more; what is left of it is named.
function M:retired(args) return stock("strimzi_retired", self, args) end

--- Goal: MirrorMaker 2 copies to this cluster:
-- `{ "name", from = source, topics = { "apps.*" } }`.
function M:mirror_maker(args) return stock("mirror_maker", self, args, "name") end

--- Goal: that MirrorMaker 2 is gone, with its own topics: `{ "name", from = source }`.
function M:mirror_maker_retired(args)
  return stock("mirror_maker_retired", self, args, "name")
end

return M
