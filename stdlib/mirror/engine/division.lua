--- How the partitions of a bridge are divided among the members of its group,
-- and the bytes that say so: those of Kafka's consumer protocol, so that any
-- tool that shows groups shows who copies what. Pure: no I/O.

local M = {}

local VERSION = 0

local function bytes_of(text) return (">s4"):pack(text) end

--- What a member says of itself: the bridge's topic, and what it copies now.
---@param topic string
---@param owned string[]  ids, "topic/partition"
function M.subscription(topic, owned)
  return (">i2 i4 s2"):pack(VERSION, 1, topic)
    .. bytes_of(table.concat(owned, "\n"))
end

--- What it copies, read back.
function M.owned(subscription)
  local owned = {}
  local ok, _, count, at = pcall(string.unpack, ">i2 i4", subscription)
  for _ = 1, ok and count or 0 do
    local _, after = string.unpack(">s2", subscription, at)
    at = after
  end
  local text = ok and at <= #subscription
    and string.unpack(">s4", subscription, at) or ""
  for id in text:gmatch "[^\n]+" do owned[#owned + 1] = id end
  return owned
end

local function split(id)
  local topic, partition = id:match "^(.*)/(%d+)$"
  return topic, math.tointeger(tonumber(partition))
end

--- A member's share as bytes.
---@param ids string[]
function M.assignment(ids)
  local topics, order = {}, {}
  for _, id in ipairs(ids) do
    local topic, partition = split(id)
    if not topics[topic] then
      topics[topic] = {}
      order[#order + 1] = topic
    end
    table.insert(topics[topic], (">i4"):pack(partition))
  end
  local parts = { (">i2 i4"):pack(VERSION, #order) }
  for _, topic in ipairs(order) do
    parts[#parts + 1] = (">s2 i4"):pack(topic, #topics[topic])
      .. table.concat(topics[topic])
  end
  return table.concat(parts) .. bytes_of ""
end

--- And back: a set of ids.
function M.share(assignment)
  local ids = {}
  if #assignment == 0 then return ids end
  local _, count, at = string.unpack(">i2 i4", assignment)
  for _ = 1, count do
    local topic, partitions
    topic, partitions, at = string.unpack(">s2 i4", assignment, at)
    for _ = 1, partitions do
      local partition
      partition, at = string.unpack(">i4", assignment, at)
      ids[topic .. "/" .. partition] = true
    end
  end
  return ids
end

--- The members in a fixed order, those who have more first.
local function by_load(shares)
  local list = {}
  for member in pairs(shares) do list[#list + 1] = member end
  table.sort(list, function(a, b)
    local mine, its = #shares[a], #shares[b]
    if mine ~= its then return mine > its end
    return a < b
  end)
  return list
end

--- Keeps of each share only what no other member has and what still exists.
local function still_theirs(ids, members)
  local exists, taken, shares = {}, {}, {}
  for _, id in ipairs(ids) do exists[id] = true end
  for _, member in ipairs(members) do
    shares[member.id] = {}
    for _, id in ipairs(member.owned) do
      if exists[id] and not taken[id] then
        taken[id] = true
        table.insert(shares[member.id], id)
      end
    end
  end
  return shares, taken
end

--- Who copies what: as evenly as can be, and moving as little as can be.
---@param ids string[]  all partitions
---@param members { id: string, owned: string[] }[]
---@return table<string, string[]> ids by member
function M.divide(ids, members)
  table.sort(ids)
  table.sort(members, function(a, b) return a.id < b.id end)
  local shares, taken = still_theirs(ids, members)
  local free = {}
  for _, id in ipairs(ids) do
    if not taken[id] then free[#free + 1] = id end
  end
  -- So many members have one more than the others: who has most keeps it.
  local least, more = #ids // #members, #ids % #members
  for index, member in ipairs(by_load(shares)) do
    local most = least + (index <= more and 1 or 0)
    local share = shares[member]
    while #share > most do free[#free + 1] = table.remove(share) end
  end
  table.sort(free)
  local order = by_load(shares)
  for index, member in ipairs(order) do
    local most = least + (index <= more and 1 or 0)
    local share = shares[member]
    while #share < most do share[#share + 1] = table.remove(free, 1) end
  end
  return shares
end

return M
