--- Stand-in for Strimzi's Cluster Operator: KafkaMirrorMaker2, of either layout. In
-- front of each resource it puts one real worker of Kafka Connect, gives it the
-- connectors that are described, pauses and restarts them when asked, and writes
-- what the worker's REST API says into the status. Like Strimzi it calls a resource
-- Ready when a task has failed, and NotReady only when a connector has. It does not
-- restart what failed by itself, and has one worker whatever `replicas` says.

local connect = dofile "tests/world/strimzi/connect.lua"
local failure = dofile "tests/world/strimzi/failure.lua"
local json = require "vm.json"

local MIRROR = "org.apache.kafka.connect.mirror.Mirror%sConnector"
local BYTES = "org.apache.kafka.connect.converters.ByteArrayConverter"
local SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required "
  .. 'username="%s" password="%s";'
local CLIENTS = { "", "producer.", "consumer.", "admin." }
local STORAGE = { "config", "offset", "status" }
local RESTART = "strimzi.io/restart-connector"
local TARGET_STATE = { running = "RUNNING", paused = "PAUSED", stopped = "STOPPED" }
local VERB = { running = "resume", paused = "pause", stopped = "stop" }

local M = { kind = "KafkaMirrorMaker2", plural = "kafkamirrormaker2s", not_ready = "NotReady",
  is_restless = true }

--- Both layouts as one: the cluster that Connect lives on, with its group and
-- topics, and mirrors with their clusters.
local function layout(spec)
  local by_alias, mirrors = {}, {}
  for _, one in ipairs(spec.clusters or {}) do by_alias[one.alias] = one end
  for i, one in ipairs(spec.mirrors) do
    mirrors[i] = { source = one.source or by_alias[one.sourceCluster],
      target = spec.target or by_alias[one.targetCluster], spec = one }
  end
  local home = spec.target or by_alias[spec.connectCluster]
  local settings = {}
  for name, value in pairs(home.config or {}) do settings[name] = value end
  settings["group.id"] = home.groupId or settings["group.id"]
  for _, what in ipairs(STORAGE) do
    local name = what .. ".storage.topic"
    settings[name] = home[what .. "StorageTopic"] or settings[name]
  end
  return home, settings, mirrors
end

local function secret(op, name, key)
  local data = op:secret(name)
  if not data or key and not data[key] then
    failure.raise("InvalidResourceException", "Secret %s%s is not there", name,
      key and " with " .. key or "")
  end
  return key and data[key] or data
end

--- Certificates of all Secrets that are trusted.
local function trusted(op, list)
  local all = {}
  for _, one in ipairs(list) do
    if one.certificate then
      all[#all + 1] = secret(op, one.secretName, one.certificate)
    else
      for key, pem in pairs(secret(op, one.secretName)) do
        if key:find "%.crt$" then all[#all + 1] = pem end
      end
    end
  end
  table.sort(all)
  return table.concat(all)
end

--- How a client logs in to a side, as Kafka's settings.
local function security(op, worker, side)
  local out, login = {}, side.authentication
  if side.tls then
    out["ssl.truststore.type"] = "PEM"
    out["ssl.truststore.location"] = worker:file(side.alias .. "-trusted.pem",
      trusted(op, side.tls.trustedCertificates or {}))
  end
  local is_sasl = login and login.type:find "^scram"
  out["security.protocol"] = (is_sasl and "SASL_" or "")
    .. (side.tls and "SSL" or "PLAINTEXT")
  if is_sasl then
    out["sasl.mechanism"] = login.type:upper()
    out["sasl.jaas.config"] = SCRAM:format(login.username, secret(op,
      login.passwordSecret.secretName, login.passwordSecret.password))
  elseif login then
    local from = login.certificateAndKey
    out["ssl.keystore.type"] = "PEM"
    out["ssl.keystore.location"] = worker:file(side.alias .. "-own.pem",
      secret(op, from.secretName, from.key) .. secret(op, from.secretName, from.certificate))
  end
  return out
end

local function worker_settings(op, worker, home, settings)
  settings["bootstrap.servers"] = home.bootstrapServers
  settings["key.converter"], settings["value.converter"] = BYTES, BYTES
  for name, value in pairs(security(op, worker, home)) do
    for _, client in ipairs(CLIENTS) do settings[client .. name] = value end
  end
  return settings
end

local function as_text(value) return tostring(math.tointeger(value) or value) end

--- The connectors that a resource describes: name, settings, wanted state.
local function described(op, worker, mirrors)
  local list = {}
  local function add(mirror, class, own)
    if not own then return end
    local config = { ["connector.class"] = MIRROR:format(class),
      ["tasks.max"] = as_text(own.tasksMax or 1), topics = mirror.spec.topicsPattern,
      ["topics.exclude"] = mirror.spec.topicsExcludePattern,
      groups = mirror.spec.groupsPattern,
      ["groups.exclude"] = mirror.spec.groupsExcludePattern }
    for what, side in pairs { source = mirror.source, target = mirror.target } do
      local prefix = what .. ".cluster."
      config[prefix .. "alias"] = side.alias
      config[prefix .. "bootstrap.servers"] = side.bootstrapServers
      for name, value in pairs(security(op, worker, side)) do config[prefix .. name] = value end
    end
    for name, value in pairs(own.config or {}) do config[name] = as_text(value) end
    list[#list + 1] = { name = ("%s->%s.Mirror%sConnector"):format(mirror.source.alias,
      mirror.target.alias, class), config = config, state = own.state or "running" }
  end
  for _, mirror in ipairs(mirrors) do
    add(mirror, "Source", mirror.spec.sourceConnector)
    add(mirror, "Checkpoint", mirror.spec.checkpointConnector)
  end
  return list
end

local function same(a, b)
  for name, value in pairs(a) do
    if b[name] ~= value then return false end
  end
  return true
end

--- One connector as it is described; its status, or nil when it has none yet.
local function fit(worker, one)
  local seen = worker:ask("GET", { "connectors", one.name, "config" })
  if seen == nil then return nil end
  if not seen or not same(one.config, seen) then
    local done = worker:ask("PUT", { "connectors", one.name, "config" }, { body = one.config })
    if not done then return nil end
  end
  local status = worker:ask("GET", { "connectors", one.name, "status" })
  if not status then return nil end
  local state = status.connector.state
  if state ~= TARGET_STATE[one.state] and state ~= "FAILED" and state ~= "UNASSIGNED" then
    worker:ask("PUT", { "connectors", one.name, VERB[one.state] })
    status = worker:ask("GET", { "connectors", one.name, "status" })
  end
  table.sort(status and status.tasks or {}, function(a, b) return a.id < b.id end)
  return status or nil
end

--- What the annotation asks for: "NAME" or "NAME:includeTasks,onlyFailed".
local function restart(op, item, worker)
  local asked = (item.metadata.annotations or {})[RESTART]
  if not asked then return end
  local name, how = asked:match "^([^:]+):?(.*)$"
  local query = {}
  for word in how:gmatch "%a+" do query[#query + 1] = word .. "=true" end
  worker:ask("POST", { "connectors", name, "restart" }, { query = table.concat(query, "&") })
  op.api:patch(M.plural, item.metadata.name, { metadata = { annotations = {
    [RESTART] = json.null } } })
end

--- A connector that has failed makes it NotReady; a task does not.
local function conditions(list)
  for _, one in ipairs(list) do
    if one.connector.state == "FAILED" then
      return { { type = M.not_ready, status = "True", reason = "ConnectRestException",
        message = "connector " .. one.name .. " has failed" } }
    end
  end
end

--- One reconciliation; nothing while the worker does not answer.
---@async
function M.reconcile(op, item)
  op.workers = op.workers or {}
  local uid = item.metadata.uid
  local worker = op.workers[uid]
    or connect.at(("%s/%s-%s"):format(op.work, item.metadata.name, uid:sub(1, 8)))
  op.workers[uid] = worker
  if worker:has_died() then
    failure.raise("FatalProblem", "the worker has ended: see %s/mm2.log", worker.dir)
  end
  local home, settings, mirrors = layout(item.spec)
  worker:match(worker_settings(op, worker, home, settings))
  local list = json.array {}
  for i, one in ipairs(described(op, worker, mirrors)) do
    list[i] = fit(worker, one)
    if not list[i] then return nil end
  end
  restart(op, item, worker)
  return { connectors = list, url = worker:url(), replicas = 1, conditions = conditions(list) }
end

--- The resource is gone, and with it its worker.
---@async
function M.forget(op, item)
  local worker = op.workers and op.workers[item.metadata.uid]
  if not worker then return end
  worker:stop()
  op.workers[item.metadata.uid] = nil
  op:say("%s: its worker is gone", item.metadata.name)
end

--- The stand-in itself ends.
---@async
function M.close(op)
  for _, worker in pairs(op.workers or {}) do worker:stop() end
end

return M
