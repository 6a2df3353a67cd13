--- Everything that changes a cluster. Each method describes one effect (what,
-- before, after, how it is taken back) and lets effect.perform decide; nothing
-- here looks whether it is needed: goals do.

local effect = require "base.effect"
local task = require "vm.task"
local acl = require "kafka.acl"
local config = require "kafka.config"

---@class tranship.Cluster
local M = {}

-- Brokers learn of a change a moment after the controller has made it.
local SEEN_WITHIN_MS, LOOK_EVERY_MS = 5000, 30

--- Waits until `is_seen()` says true; gives up quietly, because the change was
-- made and whoever reads next will say what there is.
local function until_seen(is_seen)
  local deadline = task.now() + SEEN_WITHIN_MS
  while not is_seen() and task.now() < deadline do task.sleep(LOOK_EVERY_MS) end
  return true
end

local function perform(cluster, one, primitive, ...)
  local args = table.pack(...)
  local word = cluster._refused[primitive]
  if word then return nil, cluster:_never(word) end
  one.primitive = "kafka." .. primitive
  local seen, finally = one.seen, one.finally
  one.seen, one.finally = nil, nil
  one.send = function()
    local answer, why = cluster:_tell(primitive, table.unpack(args, 1, args.n))
    if not answer then return nil, why end
    if seen then until_seen(seen) end
    if finally then finally() end
    return true
  end
  return effect.perform(one)
end

--- Asks the server whether it would do it. Only for what stands on the real
-- cluster: what is only planned, it cannot judge. The client it uses can send
-- nothing else.
local function simulate(cluster, primitive, list)
  return function()
    local client, why = cluster:_client "validate"
    if not client then return nil, why end
    local answer
    answer, why = client[primitive](client, list, { validate_only = true })
    if not answer then return nil, why end
    why = cluster:_failed(answer)
    if why then return nil, why end
    return true
  end
end

local function plural(n, word) return n == 1 and word or n .. " " .. word .. "s" end

--- Creates a topic: { name, partitions, replication, configs }.
---@async
function M:create_topic(topic)
  local args = {
    name = topic.name, partitions = topic.partitions or -1,
    replication = topic.replication or -1, configs = topic.configs or {},
  }
  local settings = config.text { set = args.configs }
  return perform(self, {
    target = self:_path("topic", topic.name), resume = "create",
    summary = ("create topic %s on %s, %s%s"):format(topic.name, self.name,
      plural(args.partitions, "partition"),
      settings ~= "" and ", " .. settings or ""),
    args = args, before = false, after = args,
    undo = "delete topic " .. topic.name,
    simulate = simulate(self, "create_topics", { args }),
    seen = function()
      local found = self:_ask("describe_topics", { topic.name })
      found = found and found[topic.name]
      for _, part in ipairs(found and found.partitions or {}) do
        if part.leader < 0 then return false end
      end
      return found ~= nil
    end,
  }, "create_topics", { args })
end

--- Deletes a topic and what is in it. `shape` is what it was, for the journal.
---@async
---@param name string
---@param shape? table
function M:delete_topic(name, shape)
  return perform(self, {
    target = self:_path("topic", name), resume = "delete",
    summary = ("delete topic %s on %s"):format(name, self.name),
    args = { name = name }, before = shape or nil, after = false,
    undo = "none: its records are gone",
    seen = function()
      local found = self:_ask("describe_topics", { name })
      return found and not found[name]
    end,
    finally = function() self:_renew() end,
  }, "delete_topics", { name })
end

--- Gives a topic more partitions: `total` in all.
---@async
function M:add_partitions(name, total)
  local before, why = self:topic_shape(name)
  if before == nil then return nil, why end
  local after = {}
  for key, value in pairs(before or {}) do after[key] = value end
  after.partitions = total
  return perform(self, {
    target = self:_path("topic", name), resume = "set",
    summary = ("give topic %s on %s %d partitions (has %s)"):format(name,
      self.name, total, before and before.partitions or "none"),
    args = { name = name, total = total }, before = before, after = after,
    undo = "none: partitions cannot be taken away",
    seen = function()
      local found = self:_ask("describe_topics", { name })
      return found and found[name] and #found[name].partitions >= total
    end,
  }, "add_partitions", { { name = name, total = total } })
end

--- Changes settings of a topic: { set = { name = value }, delete = { name } };
-- what is not named stays.
---@async
---@param name string
---@param change { set?: table<string, string>, delete?: string[] }
function M:alter_config(name, change)
  local found, why = self:configs { name }
  if not found then return nil, why end
  local before = found[name] or {}
  local after = config.after(before, change)
  local item = { type = "topic", name = name, set = change.set or {},
    delete = change.delete or {} }
  return perform(self, {
    target = self:_path("topic", name, "configs"), resume = "set",
    summary = ("set on topic %s of %s: %s"):format(name, self.name,
      config.text(change)),
    args = item, before = before, after = after,
    undo = "set back what was there",
    seen = function()
      local now = self:_ask("configs", "topic", { name })
      return now and now[name] and not config.change(config.own(now[name]),
        after, true)
    end,
  }, "alter_configs", { item })
end

--- Removes the heads of logs: { { topic, partition, before } }.
---@async
function M:delete_records(list)
  return perform(self, {
    target = self:_path "records", resume = "set",
    summary = ("delete records of %s on %s"):format(
      plural(#list, "partition"), self.name),
    args = list, undo = "none: the records are gone",
  }, "delete_records", list)
end

local function place(item) return item.topic .. "/" .. item.partition end

--- Commits positions for a group that nobody is in: { { topic, partition,
-- offset, metadata? } }; other partitions stay as they are.
---@async
---@param id string
function M:alter_group_offsets(id, list)
  local before, why = self:group_offsets(id)
  if not before then return nil, why end
  local after, known = {}, {}
  for i, item in ipairs(list) do
    after[i] = item
    known[place(item)] = true
  end
  for _, item in ipairs(before) do
    if not known[place(item)] then after[#after + 1] = item end
  end
  return perform(self, {
    target = self:_path("group", id, "offsets"), resume = "set",
    summary = ("commit %s for group %s on %s"):format(
      plural(#list, "position"), id, self.name),
    args = list, before = before, after = after,
    undo = "commit what was there before",
  }, "alter_group_offsets", id, list)
end

--- Forgets a group's positions: { { topic, partition } }.
---@async
function M:delete_group_offsets(id, list)
  local before, why = self:group_offsets(id)
  if not before then return nil, why end
  local gone, after = {}, {}
  for _, item in ipairs(list) do gone[place(item)] = true end
  for _, item in ipairs(before) do
    if not gone[place(item)] then after[#after + 1] = item end
  end
  return perform(self, {
    target = self:_path("group", id, "offsets"), resume = "set",
    summary = ("forget %s of group %s on %s"):format(
      plural(#list, "position"), id, self.name),
    args = list, before = before, after = after,
    undo = "commit what was there before",
  }, "delete_group_offsets", id, list)
end

--- Deletes a group that nobody is in.
---@async
function M:delete_group(id)
  return perform(self, {
    target = self:_path("group", id), resume = "delete",
    summary = ("delete group %s on %s"):format(id, self.name),
    args = { group = id }, undo = "commit its positions again",
  }, "delete_groups", { id })
end

local function all_seen(self, list, wanted)
  return function()
    local there = self:_ask("acls", {})
    if not there then return false end
    local known = acl.set(there)
    for _, one in ipairs(list) do
      if (known[acl.key(one)] ~= nil) ~= wanted then return false end
    end
    return true
  end
end

--- ACLs are effects one by one, so that a plan sees each.
local function each_acl(self, list, make)
  for _, one in ipairs(list) do
    local done, why = make(acl.whole(one))
    if done == nil then return nil, why end
  end
  return true
end

--- Adds ACLs.
---@async
---@param list tranship.Acl[]
function M:create_acls(list)
  return each_acl(self, list, function(one)
    return perform(self, {
      target = self:_path("acl", acl.key(one)), resume = "set",
      summary = ("on %s: %s"):format(self.name, acl.text(one)),
      args = one, before = false, after = one, undo = "delete that ACL",
      seen = all_seen(self, { one }, true),
    }, "create_acls", { one })
  end)
end

--- Takes ACLs away.
---@async
---@param list tranship.Acl[]
function M:delete_acls(list)
  return each_acl(self, list, function(one)
    return perform(self, {
      target = self:_path("acl", acl.key(one)), resume = "set",
      summary = ("on %s no longer: %s"):format(self.name, acl.text(one)),
      args = one, before = one, after = false, undo = "add that ACL again",
      seen = all_seen(self, { one }, false),
    }, "delete_acls", { one })
  end)
end

--- Sets or removes a SCRAM user: { name, mechanism, iterations, password |
-- delete = true }. The password is a secret and is not written down anywhere.
---@async
function M:alter_user(user)
  local args = { name = user.name, mechanism = user.mechanism,
    iterations = user.iterations, delete = user.delete }
  return perform(self, {
    target = self:_path("user", user.name), resume = "set",
    summary = ("%s user %s on %s"):format(user.delete and "remove" or "set",
      user.name, self.name),
    args = args, after = not user.delete and args or false,
    undo = user.delete and "none: the password is not known"
      or "remove the user",
  }, "alter_users", { user })
end

return M
