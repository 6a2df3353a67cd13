--- Stand-in for Strimzi's User Operator: a KafkaUser becomes a Secret with a
-- certificate or a SCRAM password, a SCRAM user, ACLs and quotas in the real
-- broker. ACLs of the user that the resource does not name are removed.

local acls = require "kafka.acl"
local acls_of = dofile "tests/support/kafka_user.lua"
local authority = dofile "tests/world/strimzi/authority.lua"
local failure = dofile "tests/world/strimzi/failure.lua"
local superusers = dofile "tests/world/strimzi/superusers.lua"
local sys = require "vm.sys"
local wire = require "vm.wire"

local M = { kind = "KafkaUser", plural = "kafkausers", of_cluster = true,
  not_ready = "NotReady" }

local ITERATIONS = 4096

local function must(value, why)
  if value == nil then failure.raise("KafkaError", "%s", why.message or tostring(why)) end
  for _, item in ipairs(type(value) == "table" and value or {}) do
    if type(item) == "table" and item.err then
      failure.raise("KafkaError", "%s", item.err.message)
    end
  end
  return value
end

local function kind_of(user) return (user.spec.authentication or {}).type end

local function username(user)
  local name = user.metadata.name
  return kind_of(user) == "tls" and "CN=" .. name
    or kind_of(user) == "tls-external" and "CN=" .. name or name
end

local function secret_name(user) return user.metadata.name end

--- An existing Secret of that name is taken over, as Strimzi does.
local function certificate(op, user, cluster)
  local ca, key = op:secret(cluster .. "-clients-ca-cert"), op:secret(cluster .. "-clients-ca")
  if not ca or not key then
    failure.raise("InvalidResourceException", "the clients' authority of %s is not there", cluster)
  end
  local had = op:secret(secret_name(user))
  if had and had["user.crt"] and authority.is_from(had["user.crt"], ca["ca.crt"]) then
    return had
  end
  local crt, private = authority.sign(ca["ca.crt"], key["ca.key"], "/CN=" .. user.metadata.name,
    nil, math.tointeger(user.spec.authentication.validityDays))
  return { ["ca.crt"] = ca["ca.crt"], ["user.crt"] = crt, ["user.key"] = private }
end

local function chosen_password(op, user)
  local from = (user.spec.authentication.password or {}).valueFrom
  local ref = from and from.secretKeyRef
  if not ref then return nil end
  local secret = op:secret(ref.name)
  if not secret or not secret[ref.key] then
    failure.raise("InvalidResourceException", "Secret %s with the desired password has no key %s",
      ref.name, ref.key)
  end
  return secret[ref.key]
end

local function password(op, user, client)
  local had = op:secret(secret_name(user))
  local word = chosen_password(op, user) or had and had.password
    or (sys.base64(sys.random(24)):gsub("[+/=]", "x"))
  must(client:alter_users { { name = user.metadata.name, mechanism = "SCRAM-SHA-512",
    iterations = ITERATIONS, password = word } })
  return {
    password = word,
    ["sasl.jaas.config"] = ("org.apache.kafka.common.security.scram.ScramLoginModule required "
      .. 'username="%s" password="%s";'):format(user.metadata.name, word),
  }
end

local function wanted_acls(user, authorization)
  local name = username(user)
  local list = acls_of(user.spec, "User:" .. name)
  for _, super in ipairs(authorization.superUsers or {}) do
    if super == name then
      local all = superusers.acls(name)
      table.move(all, 1, #all, #list + 1, list)
    end
  end
  return list
end

local function fit_acls(client, user, wanted)
  local seen = must(client:acls { principal = "User:" .. username(user) })
  local add, drop = acls.missing(wanted, seen), acls.missing(seen, wanted)
  if #add > 0 then must(client:create_acls(add)) end
  if #drop > 0 then must(client:delete_acls(drop)) end
end

local QUOTAS = {
  producerByteRate = "producer_byte_rate", consumerByteRate = "consumer_byte_rate",
  requestPercentage = "request_percentage", controllerMutationRate = "controller_mutation_rate",
}

local function fit_quotas(op, user, cluster, wanted)
  local ops = {}
  for field, key in pairs(QUOTAS) do
    local value = wanted[field]
    ops[#ops + 1] = { Key = key, Value = (value or 0) + 0.0, Remove = value == nil }
  end
  local host, port = op:control(cluster):match "(.*):(%d+)"
  local conn <close> = must(wire.connect { host = host, port = math.tointeger(tonumber(port)) })
  local answer = must(conn:call("AlterClientQuotas", { ValidateOnly = false, Entries = { {
    Entity = { { EntityType = "user", EntityName = username(user) } }, Ops = ops } } }))
  if answer.Entries[1].ErrorCode ~= 0 then
    failure.raise("KafkaError", "quotas: %s", answer.Entries[1].ErrorMessage)
  end
end

---@async
function M.reconcile(op, user, cluster)
  local client, kind, data = op:client(cluster), kind_of(user), nil
  if kind == "tls" then
    data = certificate(op, user, cluster)
  elseif kind == "scram-sha-512" then
    data = password(op, user, client)
  end
  local spec = (op:kafka(cluster) or { spec = { kafka = {} } }).spec.kafka
  if spec.authorization then
    fit_acls(client, user, wanted_acls(user, spec.authorization))
  elseif user.spec.authorization then
    failure.raise("InvalidResourceException",
      "authorization is on for the user, and off for Kafka %s", cluster)
  end
  fit_quotas(op, user, cluster, user.spec.quotas or {})
  if data then
    op:put_secret(secret_name(user), data, {
      labels = op.labels(cluster, "strimzi-user-operator", "KafkaUser"), owner = user })
  end
  return { username = username(user), secret = data and secret_name(user) }
end

--- What the broker knew of the user goes; the Secret has an owner reference.
---@async
function M.forget(op, user, cluster)
  local client = op:client(cluster)
  fit_acls(client, user, {})
  fit_quotas(op, user, cluster, {})
  if kind_of(user) == "scram-sha-512" then
    must(client:alter_users { { name = user.metadata.name, mechanism = "SCRAM-SHA-512",
      delete = true } })
  end
end

return M
