--- What clusters know of an application: members of its groups, how far they
-- have come, how much is in the topics it writes. Reads only.

local task = require "vm.task"

local M = {}

-- A young group's coordinator is still loading: these pass by themselves.
local TRIES, WAIT_MS = 50, 100

--- Repeats a reading while the cluster says "not yet".
local function patiently(read)
  local value, why
  for _ = 1, TRIES do
    value, why = read()
    if value ~= nil or not why.retriable then return value, why end
    task.sleep(WAIT_MS)
  end
  return value, why
end

local function client_of(cluster) return cluster:client("read") end

local function describe(cluster, groups)
  return patiently(function()
    local list, why = client_of(cluster):describe_groups(groups)
    for _, group in ipairs(list or {}) do
      if group.err and group.err.kind ~= "not found" then
        return nil, group.err
      end
    end
    return list, why
  end)
end

--- The partitions of topics, patterns expanded: { { topic=, partition= } }.
---@async
local function partitions(cluster, topics)
  if #topics == 0 then return {} end
  local names = {}
  for _, topic in ipairs(topics) do
    if topic:find("*", 1, true) then
      local found, why = cluster:topics { topic }
      if not found then return nil, why end
      for _, one in ipairs(found) do names[#names + 1] = one.name end
    else
      names[#names + 1] = topic
    end
  end
  local described, why = client_of(cluster):describe_topics(names)
  if not described then return nil, why end
  local list = {}
  for _, name in ipairs(names) do
    for _, p in ipairs(described[name] and described[name].partitions or {}) do
      list[#list + 1] = { topic = name, partition = p.partition }
    end
  end
  return list
end

--- Offsets of partitions at "start" or "stable", by "topic/partition".
local function offsets(cluster, list, at)
  if #list == 0 then return {} end
  local asked = {}
  for i, p in ipairs(list) do
    asked[i] = { topic = p.topic, partition = p.partition, at = at }
  end
  local answered, why = client_of(cluster):offsets(asked)
  if not answered then return nil, why end
  local by_place = {}
  for _, p in ipairs(answered) do
    if p.err then return nil, p.err end
    by_place[p.topic .. "/" .. p.partition] = p.offset
  end
  return by_place
end

--- Committed positions of a group by "topic/partition".
local function positions(cluster, group)
  return patiently(function()
    local list, why = client_of(cluster):group_offsets(group, { stable = true })
    if not list then return nil, why end
    local by_place = {}
    for _, p in ipairs(list) do
      if p.err then return nil, p.err end
      if p.offset and p.offset >= 0 then
        by_place[p.topic .. "/" .. p.partition] = p.offset
      end
    end
    return by_place
  end)
end

--- Members of groups as lines for people: "reverser (10.0.0.7) of reverser".
---@async
---@return string[]?, tranship.Err?
function M.members(cluster, groups)
  local list, why = describe(cluster, groups)
  if not list then return nil, why end
  local lines = {}
  for _, group in ipairs(list) do
    for _, member in ipairs(group.members or {}) do
      lines[#lines + 1] = ("%s (%s) of group %s"):format(
        member.client_id or "?", member.host or "?", group.group)
    end
  end
  return lines
end

--- Whether groups are stable and every partition of `topics` is assigned.
---@async
---@return tranship.Answer?, tranship.Err?
function M.ready(cluster, groups, topics)
  local list, why = describe(cluster, groups)
  if not list then return nil, why end
  local open = {}
  local wanted
  wanted, why = partitions(cluster, topics)
  if not wanted then return nil, why end
  for _, p in ipairs(wanted) do open[p.topic .. "/" .. p.partition] = true end
  local states = {}
  for _, group in ipairs(list) do
    local state = (group.state or "unknown"):lower()
    states[#states + 1] = ("%s is %s"):format(group.group, state)
    if state ~= "stable" then
      return { ok = false, seen = { state = group.state },
        want = { state = "stable" },
        text = ("group %s on %s"):format(states[#states], cluster.name) }
    end
    for _, member in ipairs(group.members or {}) do
      for _, p in ipairs(member.assignment or {}) do
        open[p.topic .. "/" .. p.partition] = nil
      end
    end
  end
  local unassigned = {}
  for place in pairs(open) do unassigned[#unassigned + 1] = place end
  table.sort(unassigned)
  return {
    ok = #unassigned == 0 and #list > 0,
    seen = { groups = states, unassigned = unassigned },
    want = { state = "stable", unassigned = {} },
    text = #unassigned == 0 and ("group %s, all %d partitions assigned"):format(
      table.concat(states, ", "), #wanted) or ("nobody reads %s on %s"):format(
      table.concat(unassigned, ", "), cluster.name),
  }
end

--- Records that groups have yet to read in `topics`; a partition without a
-- position counts whole.
---@async
---@return integer?, tranship.Err?
function M.lag(cluster, groups, topics)
  local list, why = partitions(cluster, topics)
  if not list then return nil, why end
  local starts, ends
  starts, why = offsets(cluster, list, "start")
  if not starts then return nil, why end
  ends, why = offsets(cluster, list, "stable")
  if not ends then return nil, why end
  local lag = 0
  for _, group in ipairs(groups) do
    local at
    at, why = positions(cluster, group)
    if not at then return nil, why end
    for place, last in pairs(ends) do
      lag = lag + math.max(0, last - math.max(at[place] or 0, starts[place]))
    end
  end
  return lag
end

--- Sum of the positions of groups in `topics`: grows as they work.
---@async
---@return integer?, tranship.Err?
function M.finished(cluster, groups, topics)
  local list, why = partitions(cluster, topics)
  if not list then return nil, why end
  local sum = 0
  for _, group in ipairs(groups) do
    local at
    at, why = positions(cluster, group)
    if not at then return nil, why end
    for _, p in ipairs(list) do
      sum = sum + (at[p.topic .. "/" .. p.partition] or 0)
    end
  end
  return sum
end

--- Sum of the end offsets of `topics`: grows as records are appended.
---@async
---@return integer?, tranship.Err?
function M.ends(cluster, topics)
  local list, why = partitions(cluster, topics)
  if not list then return nil, why end
  local ends
  ends, why = offsets(cluster, list, "stable")
  if not ends then return nil, why end
  local sum = 0
  for _, last in pairs(ends) do sum = sum + last end
  return sum
end

return M
