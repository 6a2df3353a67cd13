--- What a cluster can be asked. Everything a plan may overlay goes through
-- effect.observe; answers are fresh each time.

local context = require "base.context"
local effect = require "base.effect"
local acl = require "kafka.acl"
local config = require "kafka.config"
local group_face = require "kafka.group"
local pattern = require "kafka.pattern"
local topic_face = require "kafka.topic"

---@class tranship.Cluster
local M = {}

--- Planned values whose targets are `prefix` and one more word: name -> value.
local function planned(prefix)
  local found = {}
  for target, value in pairs(context.get().overlay or {}) do
    local name = target:sub(1, #prefix) == prefix and target:sub(#prefix + 1)
    if name and not name:find("/", 1, true) then found[name] = value end
  end
  return found
end

function M:_path(...)
  return table.concat({ "cluster", self.name, ... }, "/")
end

--- { { id, host, port, rack } }.
---@async
function M:brokers()
  local seen, why = self:_ask "cluster"
  return seen and seen.brokers, why
end

local function shown(topic, patterns)
  if not patterns then return not pattern.is_private(topic) end
  return pattern.matches(patterns, topic.name)
end

--- Topics by name: { { name, id, partitions, replication } }. Topics of Kafka
-- itself are left out unless a pattern names them.
---@async
---@param patterns? string|string[]  names or patterns with `*`
---@return table[]?, tranship.Err?
function M:topics(patterns)
  return effect.observe(self:_path "topics", function()
    local all, why = self:_ask "topics"
    if not all then return nil, why end
    local over, list = planned(self:_path("topic", "")), {}
    for _, topic in ipairs(all) do
      if over[topic.name] == nil then over[topic.name] = topic end
    end
    for name, topic in pairs(over) do
      if topic then
        topic.name = name
        if shown(topic, patterns) then list[#list + 1] = topic end
      end
    end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
  end)
end

--- One topic's shape, { name, id, partitions, replication }; false if absent.
---@async
---@param name string
---@return table|false|nil, tranship.Err?
function M:topic_shape(name)
  return effect.observe(self:_path("topic", name), function()
    local found, why = self:_ask("describe_topics", { name })
    if not found then return nil, why end
    local topic = found[name]
    if not topic then return false end
    return {
      name = name, id = topic.id, internal = topic.internal,
      partitions = #topic.partitions,
      replication = topic.partitions[1] and #topic.partitions[1].replicas or 0,
    }
  end)
end

--- Settings that were set on topics: { topic = { name = value } }. Absent
-- topics are absent.
---@async
---@param names? string[]  default: all topics
function M:configs(names)
  if not names then
    local topics, why = self:topics()
    if not topics then return nil, why end
    names = {}
    for i, topic in ipairs(topics) do names[i] = topic.name end
  end
  local out, unknown = {}, {}
  local over = context.get().overlay or {}
  for _, name in ipairs(names) do
    local topic = over[self:_path("topic", name)]
    out[name] = over[self:_path("topic", name, "configs")]
    if out[name] == nil and topic then out[name] = topic.configs or {} end
    if out[name] == nil and topic == nil then unknown[#unknown + 1] = name end
  end
  if #unknown == 0 then return out end
  return effect.observe(self:_path "configs", function()
    local found, why = self:_ask("configs", "topic", unknown)
    if not found then return nil, why end
    for name, described in pairs(found) do out[name] = config.own(described) end
    return out
  end)
end

--- Where logs start and end. Items are { topic, partition, at = "start"|"end"|
-- "stable"|timestamp }; each comes back with `offset`, or with `err`.
-- Without a list, in a declaration: what `backup` calls a cluster's offsets.
---@async
function M:offsets(list)
  if list == nil then
    return { cluster = self, what = "offsets",
      title = "offsets of " .. self.name }
  end
  return effect.observe(self:_path "offsets", function()
    return self:_ask("offsets", list)
  end)
end

--- What `backup` calls a cluster's definitions: topics, settings, ACLs, users.
function M:definitions()
  return { cluster = self, what = "definitions",
    title = "definitions of " .. self.name }
end

--- Consumer groups: { { group, state, type, protocol_type } }, by name.
---@async
---@param patterns? string|string[]
function M:groups(patterns)
  return effect.observe(self:_path "groups", function()
    local all, why = self:_ask "groups"
    if not all then return nil, why end
    local list = {}
    for _, group in ipairs(all) do
      if not patterns or pattern.matches(patterns, group.group) then
        list[#list + 1] = group
      end
    end
    table.sort(list, function(a, b) return a.group < b.group end)
    return list
  end)
end

--- One group as the cluster describes it: state, type, members.
---@async
function M:group_state(id)
  return effect.observe(self:_path("group", id), function()
    local found, why = self:_ask("describe_groups", { id })
    if not found then return nil, why end
    why = self:_failed(found)
    if why then return nil, why end
    return found[1]
  end)
end

--- A group's committed positions: { { topic, partition, offset, metadata } }.
-- Offsets of open transactions are waited for, so that what is read stays.
---@async
---@param id string
function M:group_offsets(id)
  return effect.observe(self:_path("group", id, "offsets"), function()
    local list, why = self:_ask("group_offsets", id, { stable = true })
    if not list then return nil, why end
    why = self:_failed(list)
    if why then return nil, why end
    table.sort(list, function(a, b)
      if a.topic ~= b.topic then return a.topic < b.topic end
      return a.partition < b.partition
    end)
    return list
  end)
end

--- ACLs, in the order of their keys.
---@async
---@param filter? table  fields that must match: resource_type, name, principal...
---@return tranship.Acl[]?, tranship.Err?
function M:acls(filter)
  return effect.observe(self:_path "acls", function()
    local list, why = self:_ask("acls", filter or {})
    if not list then return nil, why end
    if filter then return acl.sorted(list) end
    local set = acl.set(list)
    for target, value in pairs(context.get().overlay or {}) do
      local prefix = self:_path("acl", "")
      if target:sub(1, #prefix) == prefix then
        set[target:sub(#prefix + 1)] = value or nil
      end
    end
    local out = {}
    for _, one in pairs(set) do out[#out + 1] = one end
    return acl.sorted(out)
  end)
end

--- SCRAM users: { { name, mechanisms = { { mechanism, iterations } } } }.
---@async
function M:users()
  return effect.observe(self:_path "users", function()
    local list, why = self:_ask "users"
    if not list then return nil, why end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
  end)
end

--- Records of one range, at most `limit` (default 100): { topic, partition,
-- from, to, limit, isolation }.
---@async
function M:read(range)
  local client, why = self:_client "read"
  if not client then return nil, why end
  local limit = range.limit or 100
  local to = range.to
  if not to then
    local ends
    ends, why = client:offsets { { topic = range.topic,
      partition = range.partition or 0, at = "stable" } }
    if not ends then return nil, why end
    why = self:_failed(ends)
    if why then return nil, why end
    to = ends[1].offset
  end
  local reader <close>, refused = client:reader {
    partitions = { { topic = range.topic, partition = range.partition or 0,
      from = range.from or "start", to = to } },
    isolation = range.isolation,
  }
  if not reader then return nil, refused end
  local records = {}
  while #records < limit do
    local more
    more, why = reader:read(limit - #records)
    if not more then return nil, why end
    if #more == 0 then break end
    table.move(more, 1, #more, #records + 1, records)
  end
  return records
end

--- The face of one group.
---@param id string
---@return tranship.Group
function M:group(id) return group_face.new(self, id) end

--- The face of one topic, or, with a table, the goal that it is so.
---@param name string|table
function M:topic(name)
  if type(name) == "table" then return self:_ensure_topic(name) end
  return topic_face.new(self, name)
end

return M
