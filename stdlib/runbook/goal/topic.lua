--- "The topic is there": with at least so many partitions, and these settings.
-- Undone, a topic that this goal made goes again while it is empty; settings
-- get back what they had.

local shape = require "kafka.shape"

local def = shape.goal(function(g)
  return { topics = { {
    name = g.name, partitions = g.partitions, replication = g.replication,
    configs = g.configs,
  } } }
end, function(g) return g.cluster end, function(g)
  return ("topic %s is there"):format(g.name)
end)

def.name = "topic"
def.title = "topic {name} on {cluster}"
def.subject = "cluster/{cluster}/topic/{name}"
def.takes = {
  { name = "cluster", kind = "cluster", desc = "where it is" },
  { name = "name", kind = "text", desc = "its name" },
  { name = "partitions", kind = "count", min = 1, optional = true,
    desc = "at least so many; default: the cluster's" },
  { name = "replication", kind = "count", min = 1, optional = true,
    desc = "replicas of a new topic; default: the cluster's" },
  { name = "configs", kind = "table", optional = true,
    desc = "settings it must have: name = \"value\"" },
}

return def
