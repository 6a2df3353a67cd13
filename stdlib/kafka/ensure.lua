--- Goals about a cluster, as its methods: `target:shaped_like(source)`,
-- `source:topic { ... }`. The goals live in runbook/goal; the cluster is their
-- first argument.

local M = {}

-- Goals belong to runbooks, which sit above this room: they are asked for when
-- one is declared.
local function make(name, cluster, args)
  local full = { cluster = cluster }
  for key, value in pairs(args or {}) do full[key] = value end
  return require("runbook.goal").make(require("runbook.goal." .. name), full)
end

--- Unnamed items under names of their own.
local function named(args, ...)
  local out = {}
  for key, value in pairs(args) do out[key] = value end
  for i, name in ipairs { ... } do
    if out[name] == nil then out[name] = args[i] end
    out[i] = nil
  end
  return out
end

---@class tranship.Cluster

--- Goal: this cluster has the topics, settings and ACLs of `source`.
---@param source tranship.Cluster|table  or { source, topics = ..., except = ... }
function M:shaped_like(source)
  local args = source
  if getmetatable(source) ~= nil then args = { source } end
  return make("shaped_like", self, named(args, "source"))
end

--- Goal: a topic is there, `{ "name", partitions, replication, configs }`.
function M:_ensure_topic(args) return make("topic", self, named(args, "name")) end

--- Goal: settings of a topic, `{ "topic", set = { ... }, delete = { ... } }`.
function M:config(args) return make("config", self, named(args, "topic")) end

--- Goal: an ACL is there, `{ "topic", "name", principal, operation, ... }`.
function M:acl(args)
  return make("acl", self, named(args, "resource_type", "name"))
end

--- Goal: nobody uses this cluster any more, seen over `{ quiet = "10s" }`.
function M:retired(args) return make("retired", self, args) end

return M
