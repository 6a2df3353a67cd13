--- "This ACL is there." Undone, it goes again if this goal made it.

local shape = require "kafka.shape"

local FIELDS = { "resource_type", "name", "pattern", "principal", "host",
  "operation", "permission" }

local def = shape.goal(function(g)
  local acl = {}
  for _, field in ipairs(FIELDS) do acl[field] = g[field] end
  return { acls = { acl } }
end, function(g) return g.cluster end, function(g)
  return ("%s may %s %s %s"):format(g.principal, g.operation, g.resource_type,
    g.name)
end)

def.name = "acl"
def.title = "ACL on {cluster}: {principal} {operation} {resource_type} {name}"
def.subject = "cluster/{cluster}/acl/{resource_type}/{name}/{principal}"
def.takes = {
  { name = "cluster", kind = "cluster", desc = "where it holds" },
  { name = "resource_type", kind = "choice", desc = "what it is about",
    values = { "topic", "group", "cluster", "transactional_id" } },
  { name = "name", kind = "text", desc = "of the topic, group, ..." },
  { name = "pattern", kind = "choice", values = { "literal", "prefixed" },
    default = "literal", desc = "whether the name is only the beginning" },
  { name = "principal", kind = "text", desc = "\"User:alice\"" },
  { name = "host", kind = "text", default = "*", desc = "from where" },
  { name = "operation", kind = "choice", desc = "what may be done",
    values = { "all", "read", "write", "create", "delete", "alter", "describe",
      "cluster_action", "describe_configs", "alter_configs",
      "idempotent_write" } },
  { name = "permission", kind = "choice", values = { "allow", "deny" },
    default = "allow", desc = "whether it allows or forbids" },
}

return def
