--- Where a flow stands: per partition what Connect says has been copied, where
-- both logs end, and how many syncs there are.

local M = {}

--- The end of a log; nil without an err if there is no such topic.
local function log_end(side, topic, partition)
  local offset, why = side:log_end(topic, partition)
  if not offset and why.kind ~= "not found" then return nil, why end
  return offset
end

local function one_row(survey, topic, partition)
  local id = topic .. "/" .. partition
  local flow = survey.flow
  local at, syncs = flow.offsets[id], flow.syncs[id] or {}
  local row = {
    topic = topic, partition = partition,
    target = flow.names:on_target(topic),
    copied = at and at.offset and at.offset + 1, -- the position, next to copy
    syncs = #syncs, last_sync = syncs[#syncs],
  }
  local why
  row.source_end, why = log_end(survey.sides.from, topic, partition)
  if why then return nil, why end
  row.target_end, why = log_end(survey.sides.to, row.target, partition)
  if why then return nil, why end
  return row
end

--- One row per partition that the flow has said anything about, sorted.
---@async
---@param survey { flow: table, sides: { from: table, to: table } }
function M.rows(survey)
  local known, list = {}, {}
  for _, source in ipairs { survey.flow.offsets, survey.flow.syncs } do
    for id, said in pairs(source) do known[id] = said[1] or said end
  end
  for _, said in pairs(known) do list[#list + 1] = said end
  table.sort(list, function(a, b)
    if a.topic ~= b.topic then return a.topic < b.topic end
    return a.partition < b.partition
  end)
  for index, said in ipairs(list) do
    local row, why = one_row(survey, said.topic, said.partition)
    if not row then return nil, why end
    list[index] = row
  end
  return list
end

return M
