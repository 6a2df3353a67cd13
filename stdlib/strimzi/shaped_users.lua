--- KafkaUsers for who has rights or a password on a source: out of its own
-- KafkaUsers where Strimzi runs it, else out of its ACLs and SCRAM users. Pure.

local acl = require "kafka.acl"

local M = {}

local CLUSTER = "strimzi.io/cluster"
local RESOURCES = { topic = "topic", group = "group", cluster = "cluster",
  transactional_id = "transactionalId" }
local OPERATIONS = { all = "All", read = "Read", write = "Write", create = "Create",
  delete = "Delete", alter = "Alter", describe = "Describe", cluster_action = "ClusterAction",
  describe_configs = "DescribeConfigs", alter_configs = "AlterConfigs",
  idempotent_write = "IdempotentWrite" }
local LONGEST_NAME = 253

--- What an object can be called: DNS labels with dots between.
local function is_name(text)
  return #text <= LONGEST_NAME and text:find "^[a-z0-9][a-z0-9.-]*$" ~= nil
    and text:find "[a-z0-9]$" ~= nil and not text:find "%.%." and not text:find "[.-][.-]"
end
M.is_name = is_name

--- Who a principal is: { name, tls }; nil and why no KafkaUser can be it.
---@param principal string  "User:CN=x", "User:x"
function M.identity(principal)
  local user = principal:match "^User:(.*)$"
  if not user then return nil, "it is no user" end
  if user == "*" or user == "ANONYMOUS" then return nil, "it is everybody" end
  local name = user:match "^CN=([^,]+)$"
  if not name and user:find "=" then return nil, "its certificate says more than a CN" end
  if not is_name(name or user) then return nil, "Kubernetes takes no such name" end
  return { name = name or user, tls = name ~= nil }
end

--- One ACL as a rule of a KafkaUser, or nil and why not.
local function rule_of(one)
  local kind, operation = RESOURCES[one.resource_type], OPERATIONS[one.operation]
  if not kind then return nil, "resource type " .. one.resource_type end
  if not operation then return nil, "operation " .. one.operation end
  local resource = { type = kind }
  if kind ~= "cluster" then
    resource.name = one.name
    resource.patternType = one.pattern == "prefixed" and "prefix" or "literal"
  end
  return { resource = resource, operation = operation,
    type = one.permission == "deny" and "deny" or nil,
    host = one.host ~= "*" and one.host or nil }
end

local function rule_key(rule)
  local r = rule.resource
  return table.concat({ r.type, r.patternType or "", r.name or "", rule.type or "",
    rule.host or "" }, "\0")
end

--- ACLs as rules, those about the same resource together.
local function rules_of(list, note)
  local rules, known = {}, {}
  for _, one in ipairs(acl.sorted(list)) do
    local rule, why = rule_of(one)
    if not rule then
      note("%s is not carried: a KafkaUser has no %s", acl.text(one), why)
    else
      local key = rule_key(rule)
      local had = known[key]
      if not had then
        had = { resource = rule.resource, type = rule.type, host = rule.host, operations = {} }
        known[key], rules[#rules + 1] = had, had
      end
      table.insert(had.operations, rule.operation)
    end
  end
  return rules
end

local function user(target, name, spec, labels)
  local all = { [CLUSTER] = target.name }
  for key, value in pairs(labels or {}) do
    if not key:find "^strimzi%.io/" then all[key] = value end
  end
  return { apiVersion = "kafka.strimzi.io/" .. target.version, kind = "KafkaUser",
    metadata = { name = name, namespace = target.namespace, labels = all }, spec = spec }
end

--- Rules of a v1beta2 resource may still say `operation`.
local function newer_rules(rules)
  local out = {}
  for i, one in ipairs(rules or {}) do
    out[i] = { resource = one.resource, host = one.host, type = one.type,
      operations = one.operations or { one.operation } }
  end
  return out
end

local function is_authorized(target) return target.authorization ~= nil end

local function carried_spec(own, target, note)
  local spec = { quotas = own.spec.quotas }
  local auth = own.spec.authentication
  if auth then
    spec.authentication = { type = auth.type, validityDays = auth.validityDays,
      renewalDays = auth.renewalDays }
    if auth.type == "tls" then
      note "its certificate is not carried: the target's authority makes another"
    elseif auth.type == "scram-sha-512" then
      note "its password is not carried: the target makes another"
    end
  end
  local rules = own.spec.authorization and own.spec.authorization.acls
  if rules and is_authorized(target) then
    spec.authorization = { type = "simple", acls = newer_rules(rules) }
  elseif rules then
    note "its ACLs are not carried: the target has no authorization"
  end
  return spec
end

--- KafkaUsers out of the source's own.
---@param notes string[]
function M.of_resources(list, target, notes)
  local out = {}
  for i, own in ipairs(list) do
    local name = own.metadata.name
    local function note(text) notes[#notes + 1] = ("user %s: %s"):format(name, text) end
    out[i] = user(target, name, carried_spec(own, target, note), own.metadata.labels)
  end
  return out
end

local function by_identity(source, notes)
  local users, names = {}, {}
  local function of(principal)
    local found, why = M.identity(principal)
    if not found then return nil, why end
    local known = users[found.name]
    if not known then
      known = { name = found.name, tls = found.tls, acls = {} }
      users[found.name], names[#names + 1] = known, found.name
    elseif known.tls ~= found.tls then
      return nil, "another user has that name"
    end
    return known
  end
  local function leave(principal, why)
    notes[#notes + 1] = ("user %s is not carried: %s"):format(principal, why)
  end
  for _, one in ipairs(source.users) do
    local known, why = of("User:" .. one.name)
    if known then known.scram = true else leave("User:" .. one.name, why) end
  end
  local left = {}
  for _, one in ipairs(source.acls) do
    local known, why = of(one.principal)
    if known then
      table.insert(known.acls, one)
    elseif not left[one.principal] then
      left[one.principal] = true
      leave(one.principal, why)
    end
  end
  table.sort(names)
  return users, names
end

local function made_spec(one, target, note)
  local spec = {}
  if one.tls then
    spec.authentication = { type = "tls" }
    note "its certificate is not carried: the target's authority makes another"
  elseif one.scram then
    spec.authentication = { type = "scram-sha-512" }
    note "its password is not carried: no cluster gives it away, and the target makes another"
  else
    note "nobody knows how it logs in: its KafkaUser has rights only"
  end
  if #one.acls > 0 and is_authorized(target) then
    spec.authorization = { type = "simple", acls = rules_of(one.acls, function(format, ...)
      note(format:format(...))
    end) }
  elseif #one.acls > 0 then
    note "its ACLs are not carried: the target has no authorization"
  end
  return spec
end

--- KafkaUsers out of ACLs and SCRAM users.
---@param source tranship.SourceShape
---@param notes string[]
function M.of_cluster(source, target, notes)
  local users, names = by_identity(source, notes)
  local out = {}
  for i, name in ipairs(names) do
    local function note(text) notes[#notes + 1] = ("user %s: %s"):format(name, text) end
    out[i] = user(target, name, made_spec(users[name], target, note))
  end
  return out
end

return M
