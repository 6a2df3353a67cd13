--- How a cluster should be, and what it lacks: one engine for all goals about
-- topics, settings, ACLs and positions. `lacks` compares; kafka.making does what
-- is missing, kafka.put_back returns to what was there before.

local lazy = require "base.lazy"
local acl = lazy "kafka.acl"
local config = lazy "kafka.config"
local fit = lazy "kafka.fit"
local making = lazy "kafka.making"
local put_back = lazy "kafka.put_back"

local M = {}

---@class tranship.Shape  what is wanted; all fields may be absent
---@field topics? tranship.WantedTopic[]
---@field acls? tranship.Acl[]
---@field offsets? table<string, table[]>  positions by group

---@class tranship.WantedTopic
---@field name string
---@field partitions? integer     at least so many, or `exactly`
---@field replication? integer    of a topic that is made
---@field configs? table<string, string>
---@field exactly? boolean        other settings go back to their defaults
---@field drop? string[]          settings that do

---@class tranship.Lack   what is missing, as things to do
---@field create table[]  topics
---@field grow table[]    { name, has, total }
---@field set table[]     { name, change }
---@field acls tranship.Acl[]
---@field commit table[]  { group, list }
---@field conflicts string[]  what cannot be made so
---@field notes string[]  differences that stay, and why

local function by_name(list)
  local map = {}
  for _, item in ipairs(list) do map[item.name] = item end
  return map
end

local function lack_of_topic(lack, wanted, there, own)
  local name = wanted.name
  if not there then
    lack.create[#lack.create + 1] = {
      name = name, partitions = wanted.partitions,
      replication = wanted.replication, configs = wanted.configs or {},
    }
    return
  end
  local total = wanted.partitions or there.partitions
  if there.partitions < total then
    lack.grow[#lack.grow + 1] = { name = name, has = there.partitions,
      total = total }
  elseif there.partitions > total and wanted.exactly then
    lack.conflicts[#lack.conflicts + 1] = ("topic %s has %d partitions and "
      .. "should have %d; partitions cannot be taken away"):format(name,
      there.partitions, total)
  end
  if wanted.replication and there.replication ~= wanted.replication then
    lack.notes[#lack.notes + 1] = ("topic %s has %d replicas, not %d"):format(
      name, there.replication, wanted.replication)
  end
  local change = config.change(own, wanted.configs or {}, wanted.exactly)
  for _, key in ipairs(wanted.drop or {}) do
    if own[key] ~= nil then
      change = change or { set = {}, delete = {} }
      change.delete[#change.delete + 1] = key
    end
  end
  if change then lack.set[#lack.set + 1] = { name = name, change = change } end
end

local function lack_of_topics(cluster, wanted, lack)
  if #wanted == 0 then return true end
  local names = {}
  for i, topic in ipairs(wanted) do names[i] = topic.name end
  local list, why = cluster:topics(names)
  if not list then return nil, why end
  local there, existing = by_name(list), {}
  for _, topic in ipairs(list) do existing[#existing + 1] = topic.name end
  local own = {}
  if #existing > 0 then
    own, why = cluster:configs(existing)
    if not own then return nil, why end
  end
  local fitted
  fitted, why = fit.topics(cluster, wanted, lack.notes)
  if not fitted then return nil, why end
  for _, topic in ipairs(fitted) do
    lack_of_topic(lack, topic, there[topic.name], own[topic.name] or {})
  end
  return true
end

local function lack_of_acls(cluster, wanted, lack)
  if #wanted == 0 then return true end
  local able, why = fit.has_authorizer(cluster)
  if able == nil then return nil, why end
  if not able then
    lack.notes[#lack.notes + 1] = ("%s has no authorizer: %d ACLs are not "
      .. "carried"):format(cluster.name, #wanted)
    return true
  end
  local there
  there, why = cluster:acls()
  if not there then return nil, why end
  lack.acls = acl.missing(wanted, there)
  return true
end

local function place(item) return item.topic .. "/" .. item.partition end

local function lack_of_offsets(cluster, wanted, lack)
  local groups = {}
  for group in pairs(wanted) do groups[#groups + 1] = group end
  table.sort(groups)
  for _, group in ipairs(groups) do
    local there, why = cluster:group_offsets(group)
    if not there then return nil, why end
    local known, list = {}, {}
    for _, item in ipairs(there) do known[place(item)] = item end
    for _, item in ipairs(wanted[group]) do
      local now = known[place(item)]
      if not now or now.offset ~= item.offset
        or (now.metadata or "") ~= (item.metadata or "") then
        list[#list + 1] = item
      end
    end
    if #list > 0 then
      lack.commit[#lack.commit + 1] = { group = group, list = list }
    end
  end
  return true
end

--- What `cluster` lacks of the wanted shape.
---@async
---@param wanted tranship.Shape
---@return tranship.Lack?, tranship.Err?
function M.lacks(cluster, wanted)
  local lack = { create = {}, grow = {}, set = {}, acls = {}, commit = {},
    conflicts = {}, notes = {} }
  local ok, why = lack_of_topics(cluster, wanted.topics or {}, lack)
  if not ok then return nil, why end
  ok, why = lack_of_acls(cluster, wanted.acls or {}, lack)
  if not ok then return nil, why end
  ok, why = lack_of_offsets(cluster, wanted.offsets or {}, lack)
  if not ok then return nil, why end
  return lack
end

local function lines_of(lack)
  local lines = {}
  local function add(...) lines[#lines + 1] = (...):format(select(2, ...)) end
  for _, text in ipairs(lack.conflicts) do add("%s", text) end
  for _, topic in ipairs(lack.create) do add("topic %s is not there", topic.name) end
  for _, item in ipairs(lack.grow) do
    add("topic %s has %d partitions, wanted %d", item.name, item.has, item.total)
  end
  for _, item in ipairs(lack.set) do
    add("topic %s: %s", item.name, config.text(item.change))
  end
  for _, one in ipairs(lack.acls) do add("missing: %s", acl.text(one)) end
  for _, item in ipairs(lack.commit) do
    add("group %s: %d positions differ", item.group, #item.list)
  end
  return lines
end

--- The lack as an answer: yes when nothing is to be done.
---@param lack tranship.Lack
---@return tranship.Answer
function M.answer(lack, want)
  local lines = lines_of(lack)
  local shown = #lines > 0 and lines or lack.notes
  local text = table.concat(shown, "; ", 1, math.min(#shown, 3))
  if #shown > 3 then text = text .. ("; and %d more"):format(#shown - 3) end
  return {
    ok = #lines == 0, want = want,
    seen = { lacks = lines, differs = lack.notes },
    text = text ~= "" and text or want,
  }
end

--- The four answers of a goal whose wanted shape `wanted(g)` gives.
---@param wanted fun(g: table, run: table): tranship.Shape?, tranship.Err?
---@param cluster_of fun(g: table): tranship.Cluster
---@param want fun(g: table): string  for people
function M.goal(wanted, cluster_of, want)
  local function lacks(g, run)
    local shape, why = wanted(g, run)
    if not shape then return nil, why end
    return M.lacks(cluster_of(g), shape)
  end
  local function before(g, run)
    return run:remember("before", function()
      local lack, why = lacks(g, run)
      if not lack then return nil, why end
      return making.before(cluster_of(g), lack)
    end)
  end
  local function check(g, run)
    local lack, why = lacks(g, run)
    if not lack then return nil, why end
    return M.answer(lack, want(g))
  end
  return {
    check = check, verify = check,
    apply = function(g, run)
      local lack, why = lacks(g, run)
      if not lack then return nil, why end
      if #lack.conflicts > 0 then return nil, making.refuse(lack) end
      local noted
      noted, why = before(g, run)
      if not noted then return nil, why end
      for _, note in ipairs(lack.notes) do run:log(note) end
      return making.make(cluster_of(g), lack)
    end,
    undo = function(g, run)
      local noted, why = before(g, run)
      if not noted then return nil, why end
      local ok
      ok, why = put_back.all(cluster_of(g), noted,
        function(text) run:log(text) end)
      if not ok then return nil, why end
    end,
  }
end

return M
