--- Members of groups of the new protocol (KIP-848), which librdkafka cannot
-- describe: asked over vm.wire.

local err = require "base.err"
local wire = require "vm.wire"

local M = {}

local TIMEOUT_MS = 10000

local function partitions_of(assignment)
  local list = {}
  for _, topic in ipairs(assignment and assignment.TopicPartitions or {}) do
    for _, partition in ipairs(topic.Partitions) do
      list[#list + 1] = { topic = topic.TopicName, partition = partition }
    end
  end
  return list
end

--- The members as group:members() gives them; for people when they cannot be
-- asked one member stands for all.
---@async
---@param cluster tranship.Cluster
---@param id string
function M.of(cluster, id)
  local group, why = cluster:group_state(id)
  if not group then return nil, why end
  local at = group.coordinator
  if not at then
    return { { member_id = "?", client_id = "(members of a group of type "
      .. "consumer cannot be listed here)", host = "?", assignment = {} } }
  end
  local conn <close>, refused = wire.connect {
    host = at.host, port = at.port, login = cluster:_wire_login(),
    read_only = true, timeout_ms = TIMEOUT_MS,
  }
  if not conn then return nil, refused end
  local answer
  answer, why = conn:call("ConsumerGroupDescribe",
    { GroupIds = { id }, IncludeAuthorizedOperations = false })
  if not answer then return nil, why end
  local found = answer.Groups[1]
  if found.ErrorCode ~= 0 then
    return nil, err.new {
      kind = "unavailable", origin = "kafka", code = found.ErrorCode,
      retriable = true,
      message = ("describing group %s: %s"):format(id,
        wire.error_name(found.ErrorCode)),
    }
  end
  local members = {}
  for i, member in ipairs(found.Members) do
    members[i] = {
      member_id = member.MemberId, client_id = member.ClientId,
      instance_id = member.InstanceId, host = member.ClientHost,
      assignment = partitions_of(member.Assignment),
    }
  end
  return members
end

return M
