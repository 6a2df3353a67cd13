--- Whether a cluster can be reached, and what we may do there.

local effect = require "base.effect"
local given = require "base.given"
local question = require "base.question"
local sys = require "vm.sys"
local task = require "vm.task"
local time = require "base.time"
local units = require "base.units"
local wire = require "vm.wire"

---@class tranship.Cluster
local M = {}

local BROKER_MS = 5000
local LONG = "1d" -- a certificate that ends sooner may end within the migration

--- A connection of its own to one broker: that it lets us in, and what its
-- certificate says. TLS has judged name, chain and time by then.
local function meet(broker, login)
  local conn <close>, why = wire.connect { host = broker.host, port = broker.port,
    login = login, read_only = true, timeout_ms = BROKER_MS }
  if not conn then return nil, why end
  local answer
  answer, why = conn:call("ApiVersions", {
    ClientSoftwareName = "tranship", ClientSoftwareVersion = "1" })
  if not answer then return nil, why end
  return conn:peer() or {}
end

--- TCP first, because it says the most about networks; then who answers there;
-- then a request that only this broker may answer. To be told "denied" is an
-- answer, too.
local function probe(client, broker, login)
  local ok, why = sys.probe_tcp(broker.host, broker.port, BROKER_MS)
  if not ok then return nil, why end
  local peer
  peer, why = meet(broker, login)
  if not peer then return nil, why end
  local found
  found, why = client:configs("broker", { tostring(broker.id) })
  if found or why.kind == "denied" then return peer end
  return nil, why
end

--- What is wrong with a certificate that holds today.
local function soon_over(peer, long_ms)
  if not peer.expires or peer.expires - sys.time() >= long_ms then return nil end
  return ("its certificate (%s) ends on %s"):format(peer.subject, time.date(peer.expires))
end

--- What one broker says: a line for people, and what is wrong.
local function judge(client, broker, login, long_ms)
  local peer, why = probe(client, broker, login)
  local problem = peer and soon_over(peer, long_ms) or why and tostring(why)
  if problem then return problem, problem end
  return "answers" .. (peer.expires and (", as %s, until %s"):format(peer.subject,
    time.date(peer.expires)) or "")
end

local function look(self, long_ms)
  local brokers, why = self:brokers()
  if not brokers then return nil, why end
  local client <close>, refused = self:_fresh(BROKER_MS)
  if not client then return nil, refused end
  local login, seen, dead, calls = self:_wire_login(), {}, {}, {}
  for i, broker in ipairs(brokers) do
    calls[i] = function()
      local said, problem = judge(client, broker, login, long_ms)
      local address = ("%s:%d"):format(broker.host, broker.port)
      seen[tostring(broker.id)] = ("%s: %s"):format(address, said)
      if problem then
        dead[#dead + 1] = ("broker %d at %s: %s"):format(broker.id, address, problem)
      end
      return true
    end
  end
  local done
  done, why = task.together(calls, { at_once = 8 })
  if not done then return nil, why end
  table.sort(dead)
  return {
    ok = #dead == 0, seen = seen, want = "every advertised broker answers",
    text = #dead > 0 and table.concat(dead, "; ")
      or ("%s: %d of %d brokers answer"):format(self.name, #brokers, #brokers),
  }
end

--- Whether every broker that the cluster advertises can be reached from here,
-- not only those of the bootstrap list: name, port, certificate (whom it is for,
-- who signed it, that it holds for `certificates` more, default "1d"), login,
-- and that it is this broker who answers there.
---@async
---@param options? { certificates?: string }
---@return tranship.Answer?, tranship.Err?
function M:reachable(options)
  options = given(options, { "certificates" }, "reachable")
  local long_ms = units.ms(options.certificates, LONG)
  return question.defer(self.name .. ": every broker is reachable", function()
    return effect.observe(self:_path "brokers", function() return look(self, long_ms) end)
  end)
end

--- What each right needs, on the cluster, on topics and on groups.
local RIGHTS = {
  ["mirror"] = {
    cluster = { "describe", "alter" },
    topic = { "describe", "describe_configs", "read", "write", "delete" },
    group = { "describe", "read" },
  },
  ["read topics"] = { topic = { "describe", "read" } },
  ["write topics"] = { topic = { "describe", "write" } },
  ["create topics"] = { cluster = { "create" } },
  ["delete topics"] = { topic = { "delete" } },
  ["delete records"] = { topic = { "delete" } },
  ["add partitions"] = { topic = { "alter" } },
  ["read configs"] = { topic = { "describe_configs" } },
  ["alter configs"] = { topic = { "describe_configs", "alter_configs" } },
  ["read offsets"] = { group = { "describe" } },
  ["alter offsets"] = { group = { "read" } },
  ["delete groups"] = { group = { "delete" } },
  ["read acls"] = { cluster = { "describe" } },
  ["alter acls"] = { cluster = { "describe", "alter" } },
  ["read users"] = { cluster = { "describe" } },
  ["alter users"] = { cluster = { "alter" } },
}

local function unknown_right(word)
  local known = {}
  for each in pairs(RIGHTS) do known[#known + 1] = '"' .. each .. '"' end
  table.sort(known)
  return ("there is no right \"%s\"; there are %s"):format(tostring(word),
    table.concat(known, ", "))
end

--- { cluster = { op = true }, topic = ..., group = ... } of all words.
local function needed(words)
  local need = { cluster = {}, topic = {}, group = {} }
  for _, word in ipairs(words) do
    for scope, operations in pairs(RIGHTS[word]) do
      for _, operation in ipairs(operations) do need[scope][operation] = true end
    end
  end
  return need
end

local function lacking(need, operations)
  local have, out = {}, {}
  for _, operation in ipairs(operations or {}) do have[operation] = true end
  for operation in pairs(need) do
    if not have[operation] then out[#out + 1] = operation end
  end
  table.sort(out)
  return out
end

local function topic_rights(self, need, patterns, missing)
  local topics, why = self:topics(patterns)
  if not topics then return nil, why end
  local names = {}
  for i, topic in ipairs(topics) do names[i] = topic.name end
  local found
  found, why = self:_ask("describe_topics", names)
  if not found then return nil, why end
  for _, name in ipairs(names) do
    local lack = lacking(need, found[name] and found[name].operations)
    if #lack > 0 then
      missing[#missing + 1] = ("%s on topic %s"):format(
        table.concat(lack, ", "), name)
    end
  end
  return #names
end

local function group_rights(self, need, missing)
  local groups, why = self:groups()
  if not groups then return nil, why end
  local ids = {}
  for i, group in ipairs(groups) do ids[i] = group.group end
  local found
  found, why = self:_ask("describe_groups", ids)
  if not found then return nil, why end
  for _, group in ipairs(found) do
    local is_hidden = group.err and group.err.kind == "denied"
    local lack = (group.operations or is_hidden)
      and lacking(need, group.operations) or {}
    if #lack > 0 then
      missing[#missing + 1] = ("%s on group %s"):format(
        table.concat(lack, ", "), group.group)
    end
  end
  return #ids
end

local function look_at_rights(self, words, patterns)
  local need, missing = needed(words), {}
  local cluster, why = self:_ask "cluster"
  if not cluster then return nil, why end
  local lack = lacking(need.cluster, cluster.operations)
  if #lack > 0 then
    missing[1] = table.concat(lack, ", ") .. " on the cluster"
  end
  local topics, groups = 0, 0
  if next(need.topic) then
    topics, why = topic_rights(self, need.topic, patterns, missing)
    if not topics then return nil, why end
  end
  if next(need.group) then
    groups, why = group_rights(self, need.group, missing)
    if not groups then return nil, why end
  end
  return {
    ok = #missing == 0, want = words,
    seen = { missing = missing, topics = topics, groups = groups },
    text = #missing > 0 and ("%s: may not %s"):format(self.name,
      table.concat(missing, "; "))
      or ("%s: %s (%d topics, %d groups seen)"):format(self.name,
        table.concat(words, ", "), topics, groups),
  }
end

--- Whether whoever logs in may do these things: a list of words such as
-- "mirror", "create topics", "alter acls"; `topics` bounds it to patterns.
-- Topics that may not even be described are not seen.
---@async
---@param words string[]  and topics = patterns
---@return tranship.Answer?, tranship.Err?
function M:rights(words)
  words = type(words) == "table" and words or { words }
  for _, word in ipairs(words) do
    if not RIGHTS[word] then error(unknown_right(word), 2) end
  end
  local list, named = table.move(words, 1, #words, 1, {}), {}
  for name, value in pairs(words) do
    if type(name) == "string" then named[name] = value end
  end
  given(named, { "topics" }, "rights")
  return question.defer(("%s: may %s"):format(self.name,
    table.concat(list, ", ")), function()
    return effect.observe(self:_path "rights", function()
      return look_at_rights(self, list, words.topics)
    end)
  end)
end

return M
