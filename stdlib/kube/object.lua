--- Objects as requests name them: paths, what to call them, and what is left
-- of one when the server's own part is taken away.

local err = require "base.err"
local json = require "vm.json"

local M = {}

--- "/apis/apps/v1/namespaces/x/deployments/y/scale".
---@param found tranship.KubeKind
function M.path(found, namespace, name, subresource)
  local parts = { found.group == "" and "/api" or "/apis/" .. found.group,
    found.version }
  if found.namespaced and namespace then
    parts[#parts + 1] = "namespaces/" .. namespace
  end
  parts[#parts + 1] = found.plural
  parts[#parts + 1] = name
  if name then parts[#parts + 1] = subresource end
  return table.concat(parts, "/")
end

--- Raises for what can never be a name: it would lead to another path.
function M.check_name(name, what)
  if type(name) ~= "string" or name == "" or name:find "[/%%%c]"
    or name == "." or name == ".." then
    err.raise {
      kind = "invalid", origin = "kube",
      message = ("%q is no name of a %s"):format(tostring(name), what),
    }
  end
  return name
end

--- "Kafka event-bus in kafka".
function M.called(found, namespace, name)
  return found.kind .. (name and " " .. name or "")
    .. (found.namespaced and namespace and " in " .. namespace or "")
end

--- "apps/v1": what stands in apiVersion.
function M.api_version(found)
  return found.group == "" and found.version
    or found.group .. "/" .. found.version
end

--- Identity of an object among those of its kind.
function M.key(object)
  return (object.metadata.namespace or "") .. "/" .. object.metadata.name
end

local SERVERS_OWN = { "uid", "resourceVersion", "generation", "selfLink",
  "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
  "managedFields", "ownerReferences" }
local KUBECTLS_OWN = "kubectl.kubernetes.io/last-applied-configuration"

--- A copy without status and without what a server writes itself: what may be
-- applied elsewhere or shown. Secrets in it stay secrets.
---@param object any  a view or a table
---@return table
function M.bare(object)
  local copy = json.copy(object)
  local out, meta = {}, {}
  for key, value in pairs(copy) do out[key] = value end
  for key, value in pairs(copy.metadata or {}) do meta[key] = value end
  for _, name in ipairs(SERVERS_OWN) do meta[name] = nil end
  if meta.annotations and meta.annotations[KUBECTLS_OWN] then
    local rest = {}
    for key, value in pairs(meta.annotations) do rest[key] = value end
    rest[KUBECTLS_OWN] = nil
    meta.annotations = next(rest) and rest or nil
  end
  out.metadata, out.status = meta, nil
  return out
end

--- The condition of a type in an object's status, or nil.
---@param type_name string  "Ready", "Available", ...
function M.condition(object, type_name)
  for _, one in ipairs(object.status and object.status.conditions or {}) do
    if one.type == type_name then return one end
  end
end

--- Who else owns fields of an object: { { manager, operation, subresource } };
-- `ours` is left out.
function M.owners(object, ours)
  local list = {}
  for _, entry in ipairs(object.metadata.managedFields or {}) do
    if entry.manager ~= ours then
      list[#list + 1] = { manager = entry.manager, operation = entry.operation,
        subresource = entry.subresource, fields = entry.fieldsV1 }
    end
  end
  return list
end

return M
