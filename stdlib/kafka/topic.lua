--- One topic of a cluster.

local err = require "base.err"

---@class tranship.Topic
---@field name string
---@field cluster tranship.Cluster
local Topic = { __name = "kafka.topic" }
Topic.__index = Topic
Topic.__tostring = function(self)
  return ("topic %s on %s"):format(self.name, self.cluster.name)
end

local M = {}

---@return tranship.Topic
function M.new(cluster, name)
  return setmetatable({ cluster = cluster, name = name }, Topic)
end

--- Whether it is there.
---@async
---@return boolean?, tranship.Err?
function Topic:exists()
  local shape, why = self.cluster:topic_shape(self.name)
  if shape == nil then return nil, why end
  return shape ~= false
end

--- { name, id, partitions, replication }.
---@async
function Topic:shape()
  local shape, why = self.cluster:topic_shape(self.name)
  if shape == nil then return nil, why end
  if shape then return shape end
  return nil, err.new {
    kind = "not found", origin = "kafka",
    message = ("%s has no topic %s"):format(self.cluster.name, self.name),
  }
end

--- Settings of the topic itself: { name = value }.
---@async
function Topic:configs()
  local found, why = self.cluster:configs { self.name }
  if not found then return nil, why end
  return found[self.name] or {}
end

--- Offsets of all its partitions: { { partition, offset } }.
---@async
---@param at? "start"|"end"|"stable"|integer
function Topic:offsets(at)
  local shape, why = self:shape()
  if not shape then return nil, why end
  local list = {}
  for i = 1, shape.partitions do
    list[i] = { topic = self.name, partition = i - 1, at = at or "end" }
  end
  return self.cluster:offsets(list)
end

--- Records of one partition: { partition, from, to, limit }.
---@async
function Topic:read(range)
  range = range or {}
  return self.cluster:read {
    topic = self.name, partition = range.partition, from = range.from,
    to = range.to, limit = range.limit, isolation = range.isolation,
  }
end

return M
