--- One consumer group of a cluster.

local wire_members = require "kafka.members"

---@class tranship.Group
---@field id string
---@field cluster tranship.Cluster
local Group = { __name = "kafka.group" }
Group.__index = Group
Group.__tostring = function(self)
  return ("group %s on %s"):format(self.id, self.cluster.name)
end

-- Every other state, also one we do not know, means that somebody may commit.
local IDLE = { Empty = true, Dead = true }

local M = {}

---@return tranship.Group
function M.new(cluster, id)
  return setmetatable({ cluster = cluster, id = id }, Group)
end

--- "Stable", "Empty", ...; "Dead" if there is no such group.
---@async
---@return string?, tranship.Err?
function Group:state()
  local group, why = self.cluster:group_state(self.id)
  return group and group.state, why
end

--- Whether nobody is in it.
---@async
---@return boolean?, tranship.Err?
function Group:is_idle()
  local state, why = self:state()
  if not state then return nil, why end
  return IDLE[state] or false
end

--- Who is in it: { { member_id, client_id, host, assignment } }.
---@async
function Group:members()
  local group, why = self.cluster:group_state(self.id)
  if not group then return nil, why end
  if #group.members > 0 or group.type ~= "consumer" or IDLE[group.state] then
    return group.members
  end
  return wire_members.of(self.cluster, self.id)
end

--- Committed positions: { { topic, partition, offset, metadata } }.
---@async
function Group:offsets() return self.cluster:group_offsets(self.id) end

--- Records it has not read yet: the sum, and per partition.
---@async
---@return integer?, table[]|tranship.Err|nil
function Group:lag()
  local committed, why = self:offsets()
  if not committed then return nil, why end
  local list = {}
  for i, item in ipairs(committed) do
    list[i] = { topic = item.topic, partition = item.partition, at = "stable" }
  end
  local ends
  ends, why = self.cluster:offsets(list)
  if not ends then return nil, why end
  local sum = 0
  for i, item in ipairs(ends) do
    item.committed = committed[i].offset
    item.lag = item.offset and math.max(0, item.offset - item.committed)
    sum = sum + (item.lag or 0)
  end
  return sum, ends
end

return M
