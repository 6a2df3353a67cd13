--- What Argo CD and Flux look like to an API server: their resource definitions
-- with the fields that tranship reads and writes, named and nested as theirs, and
-- everything else of a spec or status let through. Their controllers are not here.
--     local gitops = dofile "tests/support/gitops.lua"
--     gitops.install(world)
--     world:apply(gitops.application("bus", { namespace = "kafka" }))

local json = require "vm.json"

local M = {}

local OPEN = { type = "object", ["x-kubernetes-preserve-unknown-fields"] = true }

local function open(properties, required)
  return { type = "object", properties = properties, required = required,
    ["x-kubernetes-preserve-unknown-fields"] = true }
end

local TEXT, FLAG = { type = "string" }, { type = "boolean" }

local function definition(group, kind, plural, version, has_status, spec, status)
  return {
    apiVersion = "apiextensions.k8s.io/v1", kind = "CustomResourceDefinition",
    metadata = { name = plural .. "." .. group },
    spec = {
      group = group, scope = "Namespaced",
      names = { kind = kind, plural = plural, singular = kind:lower(), listKind = kind .. "List" },
      versions = { { name = version, served = true, storage = true,
        subresources = has_status and { status = {} } or nil,
        schema = { openAPIV3Schema = { type = "object", required = { "spec" }, properties = {
          spec = spec, status = status, operation = OPEN } } } } },
    },
  }
end

local ENTRIES = { type = "object", properties = { entries = { type = "array",
  items = { type = "object", properties = { id = TEXT, v = TEXT },
    required = { "id", "v" } } } } }

--- Loads the definitions and waits until they are served.
---@async
function M.install(world)
  world:apply {
    -- Argo CD's has no status subresource: its controller writes the whole object.
    definition("argoproj.io", "Application", "applications", "v1alpha1", false, open({
      project = TEXT, destination = { type = "object", properties = {
        server = TEXT, namespace = TEXT, name = TEXT } },
      syncPolicy = open { automated = { type = "object", properties = {
        prune = FLAG, selfHeal = FLAG, allowEmpty = FLAG, enabled = FLAG } } },
    }, { "destination", "project" }), OPEN),
    definition("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomizations", "v1", true,
      open({ interval = TEXT, prune = FLAG, suspend = FLAG, targetNamespace = TEXT,
        kubeConfig = OPEN }, { "interval", "prune", "sourceRef" }),
      open { inventory = ENTRIES }),
    definition("helm.toolkit.fluxcd.io", "HelmRelease", "helmreleases", "v2", true,
      open({ interval = TEXT, suspend = FLAG, targetNamespace = TEXT }, { "interval" }), OPEN),
  }
  world:kubectl("wait", "--for=condition=Established", "--timeout=60s",
    "crd/applications.argoproj.io", "crd/kustomizations.kustomize.toolkit.fluxcd.io",
    "crd/helmreleases.helm.toolkit.fluxcd.io")
end

local function object(version, kind, namespace, name, spec, more)
  local made = { apiVersion = version, kind = kind,
    metadata = { name = name, namespace = namespace }, spec = spec }
  for field, value in pairs(more or {}) do made[field] = value end
  return made
end

--- An Application of the namespace argocd that syncs by itself.
function M.application(name, destination, more)
  destination.server = destination.server or "https://kubernetes.default.svc"
  return object("argoproj.io/v1alpha1", "Application", "argocd", name, {
    project = "default", destination = destination, source = { repoURL = "https://git/x" },
    syncPolicy = { automated = { prune = true, selfHeal = true },
      syncOptions = { "ServerSideApply=true" } },
  }, more)
end

--- A Kustomization of the namespace flux-system.
function M.kustomization(name, suspend)
  return object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "flux-system", name, {
    interval = "1m", prune = true, suspend = suspend,
    sourceRef = { kind = "GitRepository", name = "fleet" } })
end

--- Writes what a Kustomization has made: "namespace_name_group_Kind" each.
---@async
function M.inventory(world, name, ids)
  local entries = json.array {}
  for i, id in ipairs(ids) do entries[i] = { id = id, v = "v1" } end
  world:kubectl("patch", "kustomizations.kustomize.toolkit.fluxcd.io", name, "-n", "flux-system",
    "--subresource=status", "--type=merge", "-p",
    json.encode { status = { inventory = { entries = entries } } })
end

--- A HelmRelease in a namespace.
function M.release(namespace, name)
  return object("helm.toolkit.fluxcd.io/v2", "HelmRelease", namespace, name,
    { interval = "1m", suspend = false, chartRef = { kind = "OCIRepository", name = name } })
end

return M
