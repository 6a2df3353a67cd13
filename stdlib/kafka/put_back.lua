--- The way back from a shape, from any half-done state: to what was noted
-- before the first effect.

local acl = require "kafka.acl"
local making = require "kafka.making"

local M = {}

local function place(item) return item.topic .. "/" .. item.partition end

--- Whether no partition of a topic holds a record; one that is not there has none.
---@async
function M.is_empty(cluster, name)
  local shape, problem = cluster:topic_shape(name)
  if not shape then return shape == false or nil, problem end
  local topic = cluster:topic(name)
  local starts, why = topic:offsets "start"
  if not starts then return nil, why end
  local ends
  ends, why = topic:offsets "end"
  if not ends then return nil, why end
  for i, first in ipairs(starts) do
    if first.err or ends[i].err then return nil, first.err or ends[i].err end
    if first.offset ~= ends[i].offset then return false end
  end
  return true
end

--- Topics that we made go again, unless records came: those stay, and are said.
local function drop_created(cluster, names, say)
  for _, name in ipairs(names) do
    local shape, why = cluster:topic_shape(name)
    if shape == nil then return nil, why end
    local empty = false
    if shape then
      empty, why = M.is_empty(cluster, name)
      if empty == nil then return nil, why end
    end
    if shape and empty then
      local done
      done, why = cluster:delete_topic(name, shape)
      if done == nil then return nil, why end
    elseif shape then
      say(("topic %s stays on %s: it holds records"):format(name, cluster.name))
    end
  end
  return true
end

local function restore_configs(cluster, list)
  for _, item in ipairs(list) do
    local now, why = cluster:configs { item.name }
    if not now then return nil, why end
    local own, change = now[item.name], { set = {}, delete = {} }
    for key, value in pairs(own and item.keys or {}) do
      if value and own[key] ~= value then change.set[key] = value end
      if not value and own[key] then change.delete[#change.delete + 1] = key end
    end
    if next(change.set) or #change.delete > 0 then
      table.sort(change.delete)
      local done
      done, why = cluster:alter_config(item.name, change)
      if done == nil then return nil, why end
    end
  end
  return true
end

local function restore_offsets(cluster, item)
  local now, why = cluster:group_offsets(item.group)
  if not now then return nil, why end
  local was, is, back, gone = {}, {}, {}, {}
  for _, one in ipairs(item.list) do was[place(one)] = one end
  for _, one in ipairs(now) do is[place(one)] = one end
  for _, one in ipairs(item.touched) do
    local old, new = was[place(one)], is[place(one)]
    if old and not (new and new.offset == old.offset) then back[#back + 1] = old end
    if not old and new then
      gone[#gone + 1] = { topic = one.topic, partition = one.partition }
    end
  end
  if #back == 0 and #gone == 0 then return true end
  local ok
  ok, why = making.idle(cluster, item.group)
  if not ok then return nil, why end
  if #back > 0 then
    ok, why = cluster:alter_group_offsets(item.group, back)
    if ok == nil then return nil, why end
  end
  if #gone > 0 then
    ok, why = cluster:delete_group_offsets(item.group, gone)
    if ok == nil then return nil, why end
  end
  return true
end

--- Goes back to what `before` noted, from any half-done state. Partitions that
-- were added stay: Kafka cannot take them away.
---@async
---@param say fun(text: string)  told of what stays
function M.all(cluster, before, say)
  for i = #before.offsets, 1, -1 do
    local ok, why = restore_offsets(cluster, before.offsets[i])
    if not ok then return nil, why end
  end
  if #before.acls > 0 then
    local there, why = cluster:acls()
    if not there then return nil, why end
    local known, ours = acl.set(there), {}
    for _, one in ipairs(before.acls) do
      if known[acl.key(one)] then ours[#ours + 1] = one end
    end
    local ok
    ok, why = cluster:delete_acls(ours)
    if not ok then return nil, why end
  end
  local ok, why = restore_configs(cluster, before.configs)
  if not ok then return nil, why end
  return drop_created(cluster, before.created, say)
end

return M
