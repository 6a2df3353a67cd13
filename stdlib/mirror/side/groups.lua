--- Consumer groups of a side, whatever their protocol.

local ask = require "mirror.side.ask"

local M = {}

local NO_GROUP = 69 -- GROUP_ID_NOT_FOUND

--- Asks the coordinator of a group.
---@async
---@return table? answer, tranship.Err?
function M:call_coordinator(group, name, body)
  local found, why = ask.any(self, "FindCoordinator",
    { KeyType = 0, CoordinatorKeys = { group } })
  if not found then return nil, why end
  local at = found.Coordinators[1]
  if at.ErrorCode ~= 0 then
    return nil, ask.refused(self, at.ErrorCode, "coordinator of group " .. group)
  end
  return ask.at(self, at.Host, at.Port, name, body)
end

--- All groups of all brokers, whatever their protocol, by name:
-- { group, protocol_type, state } each.
---@async
function M:groups()
  local topics, why = self:describe {}
  if not topics then return nil, why end
  local list = {}
  for _, broker in pairs(self.brokers) do
    local answer
    answer, why = ask.at(self, broker.host, broker.port, "ListGroups", {})
    if not answer then return nil, why end
    if answer.ErrorCode ~= 0 then
      return nil, ask.refused(self, answer.ErrorCode, "the list of groups")
    end
    for _, one in ipairs(answer.Groups) do
      list[#list + 1] = { group = one.GroupId, state = one.GroupState,
        protocol_type = one.ProtocolType }
    end
  end
  table.sort(list, function(a, b) return a.group < b.group end)
  return list
end

--- A group as its coordinator describes it, whatever its protocol is for (that
-- of Connect's workers, too): { state, members = { { client_id, host } } }.
---@async
function M:group(id)
  local answer, why = self:call_coordinator(id, "DescribeGroups", { Groups = { id } })
  if not answer then return nil, why end
  local group = answer.Groups[1]
  if group.ErrorCode == NO_GROUP then return { state = "Dead", members = {} } end
  if group.ErrorCode ~= 0 then
    return nil, ask.refused(self, group.ErrorCode, "group " .. id)
  end
  local members = {}
  for index, one in ipairs(group.Members) do
    members[index] = { client_id = one.ClientId, host = one.ClientHost }
  end
  return { state = group.GroupState, members = members }
end

return M
