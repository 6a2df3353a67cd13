--- "The topic has these settings": what is named in `set` has that value, what
-- is named in `delete` has its default. Other settings stay.

local err = require "base.err"
local shape = require "kafka.shape"

local def = shape.goal(function(g)
  local there, why = g.cluster:topic_shape(g.topic)
  if there == nil then return nil, why end
  if not there then
    return nil, err.new {
      kind = "not found", origin = "kafka",
      message = ("%s has no topic %s"):format(g.cluster.name, g.topic),
    }
  end
  return { topics = { { name = g.topic, configs = g.set or {},
    drop = g.delete } } }
end, function(g) return g.cluster end, function(g)
  return ("topic %s has its settings"):format(g.topic)
end)

def.name = "config"
def.title = "settings of topic {topic} on {cluster}"
def.subject = "cluster/{cluster}/topic/{topic}/configs"
def.takes = {
  { name = "cluster", kind = "cluster", desc = "where the topic is" },
  { name = "topic", kind = "text", desc = "its name" },
  { name = "set", kind = "table", optional = true, desc = "name = \"value\"" },
  { name = "delete", kind = "list", optional = true,
    desc = "settings that go back to their defaults" },
}

return def
