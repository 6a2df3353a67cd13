--- The Kafka resource that a source would have on a target: out of the source's
-- own where Strimzi runs it, else out of what its brokers say. Pure: takes
-- readings, gives an object and what it leaves behind.

local config = require "strimzi.shaped_config"
local json = require "vm.json"
local merged = require "strimzi.shaped_pools".merged
local noting = require "strimzi.shaped_pools".noting

local M = {}

--- Types of listeners that need something of one platform, and what that is.
local NEEDS = { route = "Route", ingress = "Ingress", tlsroute = "TLSRoute" }
local AUTHENTICATION = { tls = true, ["scram-sha-512"] = true }

---@class tranship.SourceShape
---@field name string
---@field brokers table[]           { id, host, port, rack }
---@field settings table            of brokers, by id, as they describe them
---@field users table[]             SCRAM users
---@field acls tranship.Acl[]
---@field resource? table           its Kafka resource
---@field pools? table[]            its KafkaNodePool resources

---@class tranship.TargetShape
---@field name string
---@field version string            of Strimzi's API
---@field serves table<string, boolean>  kinds such as "Route"
---@field listener? string          the one it was declared with
---@field classes table<string, boolean>  storage classes; empty: not known
---@field over? table               fields of the Kafka's spec.kafka, by hand
---@field pool? table               fields of each pool's spec, by hand

--- Listeners.

local function carry_listener(one, target, note)
  local needs = NEEDS[one.type]
  if needs and not target.serves[needs] then
    return note("listener %s is not carried: %s serves no %s", one.name, target.name, needs)
  end
  local auth = one.authentication and one.authentication.type
  if auth and not AUTHENTICATION[auth] then
    return note("listener %s is not carried: its authentication is %s", one.name, auth)
  end
  if one.configuration then
    note("listener %s: its configuration is not carried, it is of that platform", one.name)
  end
  if one.networkPolicyPeers then
    note("listener %s: its network policy is not carried, it names peers there", one.name)
  end
  return { name = one.name, port = one.port, type = one.type, tls = one.tls,
    authentication = auth and { type = auth } or nil }
end

--- What logs in to a cluster that has no resource: by certificate, by SCRAM.
local function logins_of(source)
  local tls = false
  for _, one in ipairs(source.acls) do tls = tls or one.principal:find "^User:CN=" ~= nil end
  return tls, #source.users > 0
end

local function plain_listeners(source, note)
  local tls, scram = logins_of(source)
  local list = {}
  if tls or not scram then
    list[1] = { name = "tls", port = 9093, type = "internal", tls = true,
      authentication = tls and { type = "tls" } or nil }
  end
  if scram then
    list[#list + 1] = { name = "scram", port = 9094, type = "internal", tls = true,
      authentication = { type = "scram-sha-512" } }
  end
  local names = {}
  for i, one in ipairs(list) do names[i] = one.name end
  note("the addresses of %s are its own: the listeners are %s, inside of the platform",
    source.name, table.concat(names, " and "))
  return list
end

local function listeners_of(source, target, note)
  if not source.resource then return plain_listeners(source, note) end
  local list = {}
  for _, one in ipairs(source.resource.spec.kafka.listeners or {}) do
    list[#list + 1] = carry_listener(one, target, note)
  end
  return list
end

--- Authorization.

local function supers_of(settings)
  local first = next(settings)
  local entry = first and settings[first]["super.users"]
  local list = json.array {}
  for name in (entry and entry.value or ""):gmatch "User:([^;]+)" do
    if name ~= "ANONYMOUS" then list[#list + 1] = name end
  end
  return list
end

local function authorization_of(source, note)
  if source.resource then
    local own = source.resource.spec.kafka.authorization
    if not own then return nil end
    if own.type == "simple" then
      return { type = "simple", superUsers = own.superUsers }
    end
    return note("authorization is not carried: its type is %s", own.type)
  end
  local first = next(source.settings)
  local class = first and source.settings[first]["authorizer.class.name"]
  if not class or (class.value or "") == "" then return nil end
  local supers = supers_of(source.settings)
  return { type = "simple", superUsers = #supers > 0 and supers or nil }
end

--- The Kafka resource.

local CARRIED = { listeners = true, config = true, authorization = true, rack = true,
  jvmOptions = true, version = true, metadataVersion = true }
-- They moved into the node pools.
local OF_POOLS = { replicas = true, storage = true, resources = true }
local CA_FIELDS = { "validityDays", "renewalDays", "certificateExpirationPolicy",
  "generateSecretOwnerReference" }

local function authority(own, name, note)
  if not own then return nil end
  if own.generateCertificateAuthority == false then
    note("%s is not carried: its key is brought by hand; a new authority is made", name)
  end
  local out = {}
  for _, field in ipairs(CA_FIELDS) do out[field] = own[field] end
  return next(out) and out or nil
end

local function entity_operator(own)
  local out = {}
  for _, name in ipairs { "topicOperator", "userOperator" } do
    local had = own and own[name]
    if had or not own then
      local ms = had and (had.reconciliationIntervalMs
        or had.reconciliationIntervalSeconds and had.reconciliationIntervalSeconds * 1000)
      out[name] = { reconciliationIntervalMs = ms }
    end
  end
  return out
end

local function name_left(own, note)
  for field in pairs(own.spec.kafka) do
    if not CARRIED[field] and not OF_POOLS[field] then
      note("spec.kafka.%s is not carried: give it in kafka = { %s = ... }", field, field)
    end
  end
  for field in pairs(own.spec) do
    if field == "cruiseControl" or field == "kafkaExporter" or field == "jmxTrans"
      or field == "maintenanceTimeWindows" then
      note("spec.%s is not carried", field)
    end
  end
end

local function is_set(value) return value ~= nil and (type(value) ~= "table" or next(value)) end

local function version_notes(source, note)
  local own, status = source.resource, source.resource and source.resource.status or {}
  local level = status.kafkaMetadataVersion or own and own.spec.kafka.metadataVersion
  note("the metadata version%s is not carried: it goes up only; the target begins with its own",
    level and " " .. level or "")
end

---@param notes string[]
function M.kafka(source, target, notes)
  local note = noting(notes, "Kafka: ")
  local own = source.resource
  local given = own and own.spec.kafka.config
    or config.set_on_brokers(source.settings, note)
  local settings = config.of_brokers(given or {}, note)
  version_notes(source, note)
  if own then name_left(own, note) end
  local kafka = {
    listeners = listeners_of(source, target, note),
    config = is_set(settings) and settings or nil,
    authorization = authorization_of(source, note),
    rack = own and own.spec.kafka.rack or nil,
    jvmOptions = own and own.spec.kafka.jvmOptions or nil,
  }
  return {
    apiVersion = "kafka.strimzi.io/" .. target.version, kind = "Kafka",
    metadata = { name = target.name, namespace = target.namespace,
      -- Operators up to 0.47 look for them; later ones do not mind.
      annotations = { ["strimzi.io/kraft"] = "enabled",
        ["strimzi.io/node-pools"] = "enabled" } },
    spec = {
      kafka = merged(kafka, target.over or {}),
      entityOperator = entity_operator(own and own.spec.entityOperator),
      clusterCa = authority(own and own.spec.clusterCa, "clusterCa", note),
      clientsCa = authority(own and own.spec.clientsCa, "clientsCa", note),
    },
  }
end

--- What is wrong with a Kafka that was derived.
---@param conflicts string[]
function M.check(kafka, target, conflicts)
  local names, found = {}, false
  for i, one in ipairs(kafka.spec.kafka.listeners) do
    names[i] = one.name
    found = found or one.name == target.listener
  end
  if #names == 0 then
    conflicts[#conflicts + 1] = "no listener could be carried: give kafka = { listeners = { ... } }"
  elseif target.listener and not found then
    conflicts[#conflicts + 1] = ("%s is declared with listener = \"%s\", and would have %s: give "
      .. "kafka = { listeners = { ... } }"):format(target.name, target.listener,
      table.concat(names, ", "))
  end
end

return M
