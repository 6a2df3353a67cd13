--- What a bridge's engine in Kubernetes is made of: a ConfigMap with its
-- configuration, a Secret with what that refers to, and the Deployment. Pods
-- see both as files of one folder, so that a credential which is replaced there
-- is taken over while they copy. Nothing in them needs rights on Kubernetes.

local host = require "vm.host"
local secret = require "vm.secret"
local sys = require "vm.sys"
local place = require "mirror.engine.place"

local M = {}

local LONGEST = 52 -- of a Deployment's name: its pods' are eleven longer
local CONFIG_DIR, STATE_DIR = "/etc/tranship", "/var/lib/tranship"
local CONFIG = "bridge.json"
local PORT = 9404

M.BRIDGE = "tranship/bridge" -- annotations
M.TARGET = "tranship/target"
M.CONFIG_HASH = "tranship/config"

--- The name of the Deployment and of all that goes with it: the bridge's, and
-- where that is no name in Kubernetes, something that is and no other bridge has.
---@param bridge string
function M.name(bridge)
  local plain = bridge:lower():gsub("[^a-z0-9]+", "-"):gsub("^%-", "")
    :gsub("%-$", "")
  local name = "tranship-" .. plain
  if plain == bridge and #name <= LONGEST then return name end
  local mark = sys.sha256(bridge):sub(1, 8)
  return (name:sub(1, LONGEST - 9):gsub("%-$", "")) .. "-" .. mark
end

--- The image of its pods.
function M.image(bridge)
  return bridge.image or "tranship:" .. host.version
end

local function labels_of(name)
  return { ["app.kubernetes.io/name"] = "tranship-mirror",
    ["app.kubernetes.io/instance"] = name }
end

local function metadata(bridge, target)
  local name = M.name(bridge.name)
  local labels = labels_of(name)
  labels["app.kubernetes.io/managed-by"] = "tranship"
  return { name = name, labels = labels, annotations = {
    [M.BRIDGE] = bridge.name, [M.TARGET] = target } }
end

--- Secrets under the names that the configuration calls them by.
local function secret_object(bridge, target, secrets)
  if not next(secrets) then return nil end
  local object = { apiVersion = "v1", kind = "Secret", type = "Opaque",
    metadata = metadata(bridge, target), data = {}, stringData = {} }
  for key, value in pairs(secrets) do
    object[secret.is(value) and "data" or "stringData"][key] = value
  end
  for _, field in ipairs { "data", "stringData" } do
    if not next(object[field]) then object[field] = nil end
  end
  return object
end

local function probe(path, period_s, failures)
  return { httpGet = { path = path, port = "metrics" }, timeoutSeconds = 5,
    periodSeconds = period_s, failureThreshold = failures }
end

local function container(bridge)
  return {
    name = "mirror", image = M.image(bridge), command = { "tranship" },
    args = { "mirror", "--config", CONFIG_DIR .. "/" .. CONFIG, "--group",
      "--state", STATE_DIR, "--metrics", ("$(POD_IP):%d"):format(PORT) },
    workingDir = CONFIG_DIR, -- what the configuration refers to lies here
    env = { { name = "POD_IP", valueFrom = { fieldRef = {
      fieldPath = "status.podIP" } } } },
    ports = { { name = "metrics", containerPort = PORT, protocol = "TCP" } },
    readinessProbe = probe("/readyz", 2, 3),
    livenessProbe = probe("/healthz", 10, 6),
    resources = { requests = { cpu = "250m", memory = "128Mi" },
      limits = { memory = "512Mi" } },
    securityContext = { allowPrivilegeEscalation = false,
      readOnlyRootFilesystem = true, capabilities = { drop = { "ALL" } } },
    volumeMounts = { { name = "config", mountPath = CONFIG_DIR, readOnly = true },
      { name = "state", mountPath = STATE_DIR } },
  }
end

local function pod_spec(bridge, has_secret)
  local name = M.name(bridge.name)
  return {
    automountServiceAccountToken = false, enableServiceLinks = false,
    terminationGracePeriodSeconds = 30,
    securityContext = { runAsNonRoot = true,
      seccompProfile = { type = "RuntimeDefault" } },
    containers = { container(bridge) },
    volumes = {
      { name = "config", projected = { sources = {
        { configMap = { name = name } },
        has_secret and { secret = { name = name } } or nil } } },
      { name = "state", emptyDir = {} },
    },
  }
end

--- The objects.
---@param bridge tranship.Bridge
---@param target string  the id of the cluster where the bridge's topic lies
---@param as? table      how it logs in to the source
---@return { config: table, deployment: table, secret?: table }?, tranship.Err?
function M.of(bridge, target, as)
  local spec, why = place.spec(bridge, as)
  if not spec then return nil, why end
  local text, secrets = place.config(spec,
    function(key) return "file:" .. key end)
  local held = secret_object(bridge, target, secrets)
  local labels = labels_of(M.name(bridge.name))
  return {
    secret = held,
    config = { apiVersion = "v1", kind = "ConfigMap",
      metadata = metadata(bridge, target), data = { [CONFIG] = text } },
    deployment = { apiVersion = "apps/v1", kind = "Deployment",
      metadata = metadata(bridge, target), spec = {
        replicas = bridge.replicas, selector = { matchLabels = labels },
        template = {
          metadata = { labels = labels, annotations = {
            [M.CONFIG_HASH] = sys.sha256(text) } },
          spec = pod_spec(bridge, held ~= nil),
        },
      } },
  }
end

return M
