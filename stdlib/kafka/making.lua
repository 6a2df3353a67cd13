--- The way to a shape, from any half-done state: does what is lacking, and
-- notes before what is there of all that will change.

local err = require "base.err"

local M = {}

--- The err of a lack that cannot be made good.
---@param lack tranship.Lack
function M.refuse(lack)
  return err.new {
    kind = "conflict", origin = "kafka",
    message = table.concat(lack.conflicts, "; "),
  }
end

--- Refuses to touch the positions of a group that somebody is in.
function M.idle(cluster, id)
  local group = cluster:group(id)
  local is_idle, why = group:is_idle()
  if is_idle == nil then return nil, why end
  if is_idle then return true end
  local names = {}
  for i, member in ipairs(group:members() or {}) do
    names[i] = ("%s (%s)"):format(member.client_id, member.host)
  end
  return nil, err.new {
    kind = "conflict", origin = "kafka",
    message = ("group %s is in use on %s: %s"):format(id, cluster.name,
      #names > 0 and table.concat(names, ", ") or "by members unknown"),
  }
end

local function make_topics(cluster, lack)
  for _, topic in ipairs(lack.create) do
    local done, why = cluster:create_topic(topic)
    if done == nil then return nil, why end
  end
  for _, item in ipairs(lack.grow) do
    local done, why = cluster:add_partitions(item.name, item.total)
    if done == nil then return nil, why end
  end
  for _, item in ipairs(lack.set) do
    local done, why = cluster:alter_config(item.name, item.change)
    if done == nil then return nil, why end
  end
  return true
end

--- Does what is missing, in an order that is safe to stop in.
---@async
---@param lack tranship.Lack
function M.make(cluster, lack)
  if #lack.conflicts > 0 then return nil, M.refuse(lack) end
  local ok, why = make_topics(cluster, lack)
  if not ok then return nil, why end
  if #lack.acls > 0 then
    ok, why = cluster:create_acls(lack.acls)
    if not ok then return nil, why end
  end
  for _, item in ipairs(lack.commit) do
    ok, why = M.idle(cluster, item.group)
    if not ok then return nil, why end
    local done
    done, why = cluster:alter_group_offsets(item.group, item.list)
    if done == nil then return nil, why end
  end
  return true
end

--- What is there now of everything that the lack would change: plain data, to
-- be remembered before the first effect.
---@async
---@param lack tranship.Lack
function M.before(cluster, lack)
  local before = { created = {}, configs = {}, acls = lack.acls, offsets = {} }
  for i, topic in ipairs(lack.create) do before.created[i] = topic.name end
  local names = {}
  for i, item in ipairs(lack.set) do names[i] = item.name end
  if #names > 0 then
    local own, why = cluster:configs(names)
    if not own then return nil, why end
    for _, item in ipairs(lack.set) do
      local keys = {}
      for key in pairs(item.change.set) do keys[key] = own[item.name][key] or false end
      for _, key in ipairs(item.change.delete) do
        keys[key] = own[item.name][key] or false
      end
      before.configs[#before.configs + 1] = { name = item.name, keys = keys }
    end
  end
  for _, item in ipairs(lack.commit) do
    local there, why = cluster:group_offsets(item.group)
    if not there then return nil, why end
    before.offsets[#before.offsets + 1] = { group = item.group, list = there,
      touched = item.list }
  end
  return before
end

return M
