--- Stand-in for Strimzi's Cluster Operator: Kafka and KafkaNodePool. In front of
-- each Kafka resource it puts one real broker; authorities and their Secrets are
-- as Strimzi names them; status is written as Strimzi shapes it.

local authority = dofile "tests/world/strimzi/authority.lua"
local broker = dofile "tests/world/strimzi/broker.lua"
local failure = dofile "tests/world/strimzi/failure.lua"
local superusers = dofile "tests/world/strimzi/superusers.lua"
local sys = require "vm.sys"

local OPERATOR = { v1beta2 = "0.51.0", v1 = "1.2.0" }
local KAFKA = "4.3.1"

local M = { kind = "Kafka", plural = "kafkas", not_ready = "NotReady" }

--- What the resource's annotation stand-in/renews ("cluster-ca 1") asks for the
-- first time: a new key, as Strimzi's force-replace makes.
local function is_to_renew(op, kafka, what)
  local asked = (kafka.metadata.annotations or {})["stand-in/renews"] or ""
  op.renewed = op.renewed or {}
  local key = kafka.metadata.uid .. asked
  if asked:match "^%S+" ~= what or op.renewed[key] then return false end
  op.renewed[key] = true
  return true
end

--- The two Secrets of an authority; made when they are not there. Strimzi keeps
-- old certificates under further *.crt keys, and so they stay here.
local function ensure_authority(op, kafka, what)
  local name = kafka.metadata.name
  local public, private = name .. "-" .. what .. "-cert", name .. "-" .. what
  local crt, key = op:secret(public), op:secret(private)
  if not crt or not key or is_to_renew(op, kafka, what) then
    local pem, secret = authority.make(what .. " v0")
    local before = crt or {}
    before[os.date "!ca-%Y-%m-%dT%H-%M-%SZ.crt"] = before["ca.crt"]
    before["ca.crt"] = pem
    crt, key = before, { ["ca.key"] = secret }
    local about = { labels = op.labels(name, what), owner = kafka, annotations = {
      ["strimzi.io/ca-cert-generation"] = "0", ["strimzi.io/ca-key-generation"] = "0" } }
    op:put_secret(public, crt, about)
    op:put_secret(private, key, about)
  end
  local all = {}
  for file, pem in pairs(crt) do
    if file:find "%.crt$" then all[#all + 1] = pem end
  end
  table.sort(all)
  return { crt = crt["ca.crt"], key = key["ca.key"], all = table.concat(all) }
end

local function pools_of(op, name)
  local list = {}
  for _, pool in ipairs(op:list "kafkanodepools") do
    if (pool.metadata.labels or {})["strimzi.io/cluster"] == name then
      list[#list + 1] = pool
    end
  end
  return list
end

local function check(op, kafka)
  local name = kafka.metadata.name
  local pools = pools_of(op, name)
  if #pools == 0 then
    failure.raise("InvalidResourceException",
      "Kafka %s has no KafkaNodePool with the label strimzi.io/cluster=%s", name, name)
  end
  for _, listener in ipairs(kafka.spec.kafka.listeners) do
    if listener.port < 9092 then
      failure.raise("InvalidResourceException", "listener %s: port %d is below 9092",
        listener.name, math.tointeger(listener.port))
    end
  end
  return pools
end

--- Cluster ids are 22 characters of base64: here they follow the resource's uid.
local function id_of(kafka)
  local raw = sys.from_hex(sys.sha256(kafka.metadata.uid)):sub(1, 16)
  return (sys.base64(raw):sub(1, 22):gsub("[+/]", "x"))
end

local function broker_of(op, kafka)
  local uid = kafka.metadata.uid
  op.brokers[uid] = op.brokers[uid]
    or broker.at(("%s/%s-%s"):format(op.work, kafka.metadata.name, uid:sub(1, 8)), id_of(kafka))
  op.by_name[kafka.metadata.name] = uid
  return op.brokers[uid]
end

local function tell_pools(op, pools, id)
  for _, pool in ipairs(pools) do
    op:write_status("kafkanodepools", pool, {
      clusterId = id, nodeIds = { 1 }, roles = pool.spec.roles, replicas = 1,
    })
  end
end

--- One reconciliation: the status that goes with success; raises a failure.
---@async
function M.reconcile(op, kafka)
  local pools = check(op, kafka)
  local spec, name = kafka.spec.kafka, kafka.metadata.name
  local own, clients = ensure_authority(op, kafka, "cluster-ca"),
    ensure_authority(op, kafka, "clients-ca")
  local node = broker_of(op, kafka)
  local pki = { cluster_crt = own.crt, cluster_key = own.key, clients_crt = clients.all }
  if node:match(spec, pki) then
    op:say("%s: the broker was started with new settings", name)
  end
  local id = op:client(name):cluster().id
  if spec.authorization then
    node.granted = node.granted or {}
    superusers.fit(op:client(name), node.granted, select(2, node:supers(spec)))
  end
  tell_pools(op, pools, id)
  local names = {}
  for i, pool in ipairs(pools) do names[i] = { name = pool.metadata.name } end
  return {
    clusterId = id, kafkaVersion = KAFKA, kafkaMetadataVersion = "4.3-IV0",
    operatorLastSuccessfulVersion = OPERATOR[op.version], kafkaNodePools = names,
    listeners = node:listeners(spec, own.crt, op.version == "v1beta2"),
  }
end

--- The resource is gone, and with it the broker (as with deleteClaim: true).
---@async
function M.forget(op, kafka)
  local uid = kafka.metadata.uid
  if op.brokers[uid] then
    op:drop_client(kafka.metadata.name)
    op.brokers[uid]:stop()
    op.brokers[uid] = nil
    op.by_name[kafka.metadata.name] = nil
    op:say("%s: its broker is gone", kafka.metadata.name)
  end
end

return M
