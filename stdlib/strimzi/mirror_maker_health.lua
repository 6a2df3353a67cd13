--- How a KafkaMirrorMaker2 really is. Its condition says Ready while tasks have
-- failed, so connectors and every task are looked at, and whether positions move
-- is asked of Kafka by whoever has both sides.

local maker = require "strimzi.mirror_maker"
local state = require "strimzi.state"

local M = {}

local CLASSES = { "Source", "Checkpoint" }
local LONGEST_TRACE = 200

local function first_line(trace)
  return trace and (": " .. trace:match "^[^\n]*":sub(1, LONGEST_TRACE)) or ""
end

local function look_at(one, class, add)
  local seen = one.connector or {}
  if seen.state ~= "RUNNING" then
    add("connector %s is %s%s", one.name, seen.state or "of no state", first_line(seen.trace))
  end
  -- With no group to carry, there is no checkpoint task either.
  if #(one.tasks or {}) == 0 and class == "Source" then
    add("connector %s has no task: no topic fits, or none was found yet", one.name)
  end
  for _, task in ipairs(one.tasks or {}) do
    if task.state ~= "RUNNING" then
      add("task %s of %s is %s%s", tostring(math.tointeger(task.id)), one.name, task.state,
        first_line(task.trace))
    end
  end
end

--- What is not well, one line each.
---@param resource table  as the server has it
---@return string[]
function M.lines(resource)
  local lines, seen = {}, {}
  local function add(format, ...) lines[#lines + 1] = format:format(...) end
  if not state.is_ready(resource) then
    add("KafkaMirrorMaker2 %s: %s", resource.metadata.name, state.text(resource))
  end
  for _, one in ipairs(resource.status and resource.status.connectors or {}) do
    seen[one.name] = one
  end
  for _, flow in ipairs(maker.flows(resource)) do
    for _, class in ipairs(CLASSES) do
      local name = maker.connector(flow.source.alias, flow.target.alias, class)
      if flow.connectors[class] and not seen[name] then
        add("connector %s is not there", name)
      elseif flow.connectors[class] then
        look_at(seen[name], class, add)
      end
    end
  end
  return lines
end

--- How far a copy is behind, and where it stands: { lag, position, partitions,
-- behind = { { topic, partition, from, to } } }. Markers of transactions count, too.
---@param offsets table<string, { offset: integer }>  Connect's, by "topic/partition"
---@param ends { topic: string, partition: integer, first: integer, last: integer }[]
function M.position(offsets, ends)
  local seen = { lag = 0, position = 0, partitions = 0, behind = {} }
  for _, one in ipairs(ends) do
    local at = offsets[one.topic .. "/" .. one.partition]
    local next_one = at and at.offset and at.offset + 1 or one.first
    if next_one < one.last then
      seen.behind[#seen.behind + 1] = { topic = one.topic, partition = one.partition,
        from = next_one, to = one.last }
    end
    seen.lag = seen.lag + math.max(0, one.last - next_one)
    seen.position = seen.position + next_one
    seen.partitions = seen.partitions + 1
  end
  return seen
end

return M
