--- Argo CD, Flux and Strimzi, as far as they can be asked to wait: which of their
-- objects keep a namespace, what those manage, which field pauses them.

local difference = require "kube.difference"
local json = require "vm.json"
local waiting = require "kube.waiting"

-- The address under which Argo CD knows its own platform.
local M = { IN_CLUSTER = "https://kubernetes.default.svc" }

---@class tranship.Pauser
---@field name string     who is paused
---@field kinds string[]  in which versions
---@field path string[]   the field that pauses it
---@field paused any      what stands there then; json.null: nothing
---@field is_paused fun(o: table): boolean
---@field keeps? fun(o: table, where: { namespace: string, servers: table<string, boolean> }): boolean
---@field manages? fun(o: table): string[]  "namespace/Kind/name" of what it manages
---@field busy? fun(o: table): string?      what it is still doing
---@field maker? fun(o: table): string?     who writes it

local function at(o, ...) return difference.at(o, { ... }) end

--- How objects are named among others.
function M.id(namespace, kind, name)
  return ("%s/%s/%s"):format(namespace or "", kind, name)
end

local function argo_keeps(app, where)
  local to = at(app, "spec", "destination") or {}
  if to.server and not where.servers[(to.server:gsub("/$", ""))]
    or to.name and to.name ~= "in-cluster" then
    return false
  end
  if to.namespace == where.namespace then return true end
  for _, one in ipairs(at(app, "status", "resources") or {}) do
    if one.namespace == where.namespace then return true end
  end
  return false
end

local function argo_manages(app)
  local list = {}
  for _, one in ipairs(at(app, "status", "resources") or {}) do
    list[#list + 1] = M.id(one.namespace, one.kind, one.name)
  end
  return list
end

local function argo_busy(app)
  local phase = at(app, "status", "operationState", "phase")
  return (app.operation or phase == "Running" or phase == "Terminating")
    and "a sync is running" or nil
end

local function argo_maker(app)
  for _, owner in ipairs(app.metadata.ownerReferences or {}) do
    if owner.kind == "ApplicationSet" then return "ApplicationSet " .. owner.name end
  end
end

--- "kafka_event-bus_kafka.strimzi.io_Kafka": what Flux has in an inventory.
local function inventory(o)
  local list = {}
  for _, one in ipairs(at(o, "status", "inventory", "entries") or {}) do
    local namespace, name, kind = one.id:match "^([^_]*)_(.+)_[^_]*_([^_]+)$"
    if namespace then
      list[#list + 1] = { namespace = namespace, id = M.id(namespace, kind, name) }
    end
  end
  return list
end

local function flux_keeps(o, where)
  if at(o, "spec", "kubeConfig") then return false end
  local target = at(o, "spec", "targetNamespace") or o.metadata.namespace
  if target == where.namespace then return true end
  for _, one in ipairs(inventory(o)) do
    if one.namespace == where.namespace then return true end
  end
  return false
end

local function flux_manages(o)
  local list = inventory(o)
  for i, one in ipairs(list) do list[i] = one.id end
  return list
end

local function flux_busy(o)
  return waiting.has_condition(o, "Reconciling") and "it is reconciling" or nil
end

local function flux(name, kinds)
  return {
    name = "Flux " .. name, kinds = kinds, path = { "spec", "suspend" }, paused = true,
    is_paused = function(o) return at(o, "spec", "suspend") == true end,
    keeps = flux_keeps, manages = flux_manages, busy = flux_busy,
  }
end

---@type tranship.Pauser[]
M.of_gitops = {
  {
    name = "Argo CD Application", kinds = { "argoproj.io/v1alpha1/Application" },
    path = { "spec", "syncPolicy", "automated" }, paused = json.null,
    is_paused = function(app)
      local automated = at(app, "spec", "syncPolicy", "automated")
      return automated == nil or automated.enabled == false
    end,
    keeps = argo_keeps, manages = argo_manages, busy = argo_busy, maker = argo_maker,
  },
  flux("Kustomization", { "kustomize.toolkit.fluxcd.io/v1/Kustomization",
    "kustomize.toolkit.fluxcd.io/v1beta2/Kustomization" }),
  flux("HelmRelease", { "helm.toolkit.fluxcd.io/v2/HelmRelease",
    "helm.toolkit.fluxcd.io/v2beta2/HelmRelease" }),
}

local PAUSE = "strimzi.io/pause-reconciliation"

--- Strimzi's own pause, of one Kafka resource: its operators rest, for it.
M.strimzi = {
  name = "Strimzi, Kafka",
  -- A change through v1 would lose what only v1beta2 has, while that is served.
  kinds = { "kafka.strimzi.io/v1beta2/Kafka", "kafka.strimzi.io/v1/Kafka" },
  path = { "metadata", "annotations", PAUSE }, paused = "true",
  is_paused = function(o) return at(o, "metadata", "annotations", PAUSE) == "true" end,
  busy = function(o)
    return not waiting.has_condition(o, "ReconciliationPaused")
      and "the operator has not said that it is paused" or nil
  end,
}

return M
