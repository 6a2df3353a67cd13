--- Which groups there are to carry: names and patterns made into groups, those
-- that cannot be carried named with the reason, and who is in a live one.

local task = require "vm.task"
local answer = require "mirror.answer"
local names = require "mirror.names"

local M = {}

local AT_ONCE = 8

--- States of a group that nobody is in; every other one may commit.
M.IDLE = { Empty = true, Dead = true }

--- Protocol types other than a consumer's, and why they are not carried.
local WHY_NOT = {
  connect = "the workers of Kafka Connect: their state is in topics of their "
    .. "own; the groups of sink connectors are carried",
  share = "a share group: where it stands is kept record by record in its own "
    .. "cluster, and it has no position",
  streams = "a streams group (KIP-1071): its target must create it, with its "
    .. "topology",
}

local function is_consumer(kind) return kind == "" or kind == "consumer" end

local function is_pattern(name) return name:find("*", 1, true) ~= nil end

local function any_pattern(list)
  for _, name in ipairs(list) do
    if is_pattern(name) then return true end
  end
  return false
end

--- The groups that `wanted` (a name or pattern, or a list) means on the cluster
-- they come from, less `except`; and those of them that cannot be carried.
---@async
---@return string[]? groups
---@return { group: string, why: string }[]|tranship.Err left_out
function M.choose(bridge, wanted, from, except)
  local list = names.list(wanted)
  if not any_pattern(list) then return list, {} end
  local all, why = bridge:wire(bridge:side_of(from)):groups()
  if not all then return nil, why end
  local chosen, left_out, known = {}, {}, {}
  for _, one in ipairs(all) do
    known[one.group] = true
    if names.any(list, one.group) and not names.any(except, one.group) then
      if is_consumer(one.protocol_type) then
        chosen[#chosen + 1] = one.group
      else
        left_out[#left_out + 1] = { group = one.group,
          why = WHY_NOT[one.protocol_type] or ("a group of protocol type %s")
            :format(one.protocol_type) }
      end
    end
  end
  for _, name in ipairs(list) do
    if not known[name] and not is_pattern(name) then chosen[#chosen + 1] = name end
  end
  return chosen, left_out
end

--- Who is in a group, as text; nil if nobody is.
local function living(cluster, name)
  local group = cluster:group(name)
  local idle, why = group:is_idle()
  if idle == nil then return nil, why end
  if idle then return true end
  local members = {}
  for _, member in ipairs(group:members() or {}) do
    members[#members + 1] = ("%s at %s"):format(member.client_id
      or member.member_id, tostring(member.host))
  end
  return ("group %s is live on %s: %s"):format(name, cluster.name,
    #members > 0 and answer.some(members) or tostring(group:state()))
end

--- What is said of every group that is live on one of the clusters.
---@async
---@return string[]? said, tranship.Err?
function M.live(clusters, groups)
  local work, said = {}, {}
  for _, name in ipairs(groups) do
    for _, cluster in ipairs(clusters) do
      work[#work + 1] = function()
        local text, why = living(cluster, name)
        if text == nil then return nil, why end
        if text ~= true then said[#said + 1] = text end
        return true
      end
    end
  end
  local ok, why = task.together(work, { at_once = AT_ONCE })
  if not ok then return nil, why end
  table.sort(said)
  return said
end

return M
