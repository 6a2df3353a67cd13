--- What MirrorMaker 2 would give each group, held against what is exact: per
-- group and partition, with the records that would be read again, and why.

local exact = require "mirror.mm2.exact"
local groups_of = require "mirror.mm2.groups".of
local store = require "mirror.mm2.store"

local M = {}

local function id_of(topic, partition) return topic .. "/" .. partition end

--- One partition on one side, with its bounds; nil without an err if the
-- cluster has no such topic.
local function log_of(survey, at, topic, partition)
  local logs, id = survey.logs[at], id_of(topic, partition)
  if logs[id] == nil then
    local side = survey.sides[at]
    local bounds, why = side:bounds(topic, partition)
    if not bounds and why.kind ~= "not found" then return nil, why end
    logs[id] = bounds and {
      side = side, topic = topic, partition = partition, start = bounds.start,
      stop = bounds.stop, stable = bounds.stable,
    } or false
  end
  return logs[id] or nil
end

--- What the next checkpoint would say: the model's answer, unless the last
-- checkpoint is further on and the group has not gone back.
local function next_checkpoint(row, model)
  local last = row.checkpoint
  if last and row.committed >= last.upstream
    and (not model or model < last.downstream) then
    return last.downstream, "stands"
  end
  if model == nil then return nil, "none" end
  if model < 0 then return nil, "old" end
  return model, "sync"
end

local function explain(row, how, sync)
  if row.exact == row.mm2 then return "exact" end
  if how == "none" then
    return "MirrorMaker gives none: no sync of this partition"
  elseif how == "old" then
    return ("MirrorMaker gives none: its oldest sync is at source offset %d")
      :format(sync.upstream)
  elseif how == "stands" then
    return ("its last checkpoint, at source position %d, stands")
      :format(row.checkpoint.upstream)
  end
  return ("its nearest sync is at source offset %d"):format(sync.upstream)
end

--- Records between what MirrorMaker gives and what is exact, as the target
-- holds them; negative when they would be missed.
local function difference(row, to)
  if not row.mm2 or not row.exact then return nil end
  local low, high = math.min(row.mm2, row.exact), math.max(row.mm2, row.exact)
  local found, why = exact.whole(to, math.max(low, to.start),
    math.min(high, to.stable))
  if not found then return nil, why end
  return row.mm2 <= row.exact and found.records or -found.records
end

--- Fills a row { group, topic, partition, committed } in.
local function fill(survey, row)
  local flow = survey.flow
  row.target = flow.names:on_target(row.topic)
  local last = flow.checkpoints[row.group]
  row.checkpoint = last and last[id_of(row.target, row.partition)]
  local model, sync = survey.store:translate(row.topic, row.partition,
    row.committed)
  local how
  row.mm2, how = next_checkpoint(row, model)
  local from, why = log_of(survey, "from", row.topic, row.partition)
  if why then return nil, why end
  local to
  to, why = log_of(survey, "to", row.target, row.partition)
  if why then return nil, why end
  if not from or not to then
    row.why = ("there is no %s on the %s"):format(id_of(from and row.target
      or row.topic, row.partition), from and "target" or "source")
    return row
  end
  row.exact, why = exact.place(from, to, flow.syncs[id_of(row.topic,
    row.partition)], row.committed)
  if not row.exact then
    if type(why) ~= "string" then return nil, why end
    row.why = why
    return row
  end
  row.again, why = difference(row, to)
  if why then return nil, why end
  row.why = explain(row, how, sync)
  return row
end

local function rows_of(survey, group, rows)
  local list, why = survey.from:group_offsets(group)
  if not list then return nil, why end
  local mine = {}
  for _, one in ipairs(list) do
    if one.err then return nil, one.err end
    if one.offset >= 0 and not survey.flow.names.is_internal(one.topic) then
      mine[#mine + 1] = { group = group, topic = one.topic,
        partition = one.partition, committed = one.offset }
    end
  end
  table.sort(mine, function(a, b)
    if a.topic ~= b.topic then return a.topic < b.topic end
    return a.partition < b.partition
  end)
  for _, row in ipairs(mine) do
    local ok
    ok, why = fill(survey, row)
    if not ok then return nil, why end
    rows[#rows + 1] = row
  end
  return rows
end

--- The memory of a MirrorMaker that has just read the flow's syncs.
local function memory_of(flow)
  local memory = store.new(false)
  for _, list in pairs(flow.syncs) do
    for _, sync in ipairs(list) do memory:take(sync) end
  end
  memory:start()
  return memory
end

--- Rows { group, topic, partition, committed, target, mm2, exact, again, why,
-- checkpoint }, sorted. `exact` is nil where nothing can be proved.
---@async
---@param survey { flow: table, from: userdata, sides: { from: table, to: table } }
---@param groups? string[]
---@return table[]? rows, tranship.Err?
function M.compare(survey, groups)
  survey.logs = { from = {}, to = {} }
  survey.store = memory_of(survey.flow)
  local list, why = groups, nil
  if not list then list, why = groups_of(survey.from) end
  if not list then return nil, why end
  local rows = {}
  for _, group in ipairs(list) do
    local ok
    ok, why = rows_of(survey, group, rows)
    if not ok then return nil, why end
  end
  return rows
end

return M
