--- Which kinds a server has, and where: from its discovery documents, the
-- aggregated ones if it has them, else one by one. A kind is found by kind,
-- plural, singular or short name, with `.group` or `.version.group` behind it
-- where one name means several, or as "apps/v1/Deployment".

local err = require "base.err"
local schema = require "base.schema"

local M = {}

---@class tranship.KubeKind
---@field group string       "" for the core
---@field version string
---@field kind string
---@field plural string
---@field namespaced boolean
---@field verbs table<string, boolean>
---@field subresources table<string, boolean>

local AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;"
  .. "as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;"
  .. "v=v2beta1;as=APIGroupDiscoveryList,application/json"

local GROUP_MS = 3000 -- for the document of one group, all tries together

local function set(list)
  local out = {}
  for _, word in ipairs(list or {}) do out[word] = true end
  return out
end

local function names_of(found)
  local names = set(found.short)
  for _, name in ipairs { found.kind, found.plural, found.singular } do
    names[name:lower()] = true
  end
  return names
end

local function add(list, found)
  if not found.singular or found.singular == "" then
    found.singular = found.kind:lower()
  end
  found.names = names_of(found)
  list[#list + 1] = found
end

--- Aggregated documents.

local function subresources(list)
  local out = {}
  for _, sub in ipairs(list or {}) do out[sub.subresource] = true end
  return out
end

local function read_aggregated(document, list)
  for _, group in ipairs(document.items or {}) do
    for _, version in ipairs(group.versions or {}) do
      for _, one in ipairs(version.resources or {}) do
        if one.responseKind then
          add(list, {
            group = group.metadata.name or "", version = version.version,
            kind = one.responseKind.kind, plural = one.resource,
            singular = one.singularResource, short = one.shortNames,
            namespaced = one.scope == "Namespaced", verbs = set(one.verbs),
            subresources = subresources(one.subresources),
          })
        end
      end
    end
  end
end

--- Old documents.

local function read_resources(document, group, version, list)
  local here, subs = {}, {}
  for _, one in ipairs(document.resources or {}) do
    local plural, sub = one.name:match "^([^/]+)/(.+)$"
    if plural then
      subs[plural] = subs[plural] or {}
      subs[plural][sub] = true
    else
      here[#here + 1] = one
    end
  end
  for _, one in ipairs(here) do
    add(list, {
      group = group, version = version, kind = one.kind, plural = one.name,
      singular = one.singularName, short = one.shortNames,
      namespaced = one.namespaced, verbs = set(one.verbs),
      subresources = subs[one.name] or {},
    })
  end
end

local function each_version(body, ask, list)
  for _, version in ipairs(body.versions or {}) do      -- of the core
    local document, why = ask("/api/" .. version)
    if not document then return nil, why end
    read_resources(document, "", version, list)
  end
  for _, group in ipairs(body.groups or {}) do
    local preferred = group.preferredVersion
      and group.preferredVersion.groupVersion
    local order = {}
    for _, one in ipairs(group.versions) do
      table.insert(order, one.groupVersion == preferred and 1 or #order + 1, one)
    end
    for _, one in ipairs(order) do
      -- A group whose own server is away is no reason to know nothing, or to
      -- know it late.
      local document = ask("/apis/" .. one.groupVersion, nil, GROUP_MS)
      if document then
        read_resources(document, group.name, one.version, list)
      end
    end
  end
  return true
end

--- All kinds a server has, in its order of preference.
---@async
---@param ask fun(path: string, accept?: string, within_ms?: integer): any, tranship.Err?
---@return tranship.KubeKind[]?, tranship.Err?
function M.read(ask)
  local list = {}
  for _, path in ipairs { "/api", "/apis" } do
    local document, why = ask(path, AGGREGATED)
    if not document then return nil, why end
    if document.kind == "APIGroupDiscoveryList" then
      read_aggregated(document, list)
    else
      local ok
      ok, why = each_version(document, ask, list)
      if not ok then return nil, why end
    end
  end
  return list
end

--- Finding.

--- "Kafka.v1.kafka.strimzi.io" and the like: name, version, group.
local function parts_of(text)
  local group, version, kind = text:match "^([^/]*)/([^/]+)/([^/]+)$"
  if group then return kind, version, group end
  version, kind = text:match "^([^/]+)/([^/]+)$"
  if kind then return kind, version, "" end
  local name, rest = text:match "^([^.]+)%.(.+)$"
  if not name then return text end
  version, group = rest:match "^(v%d[%w]*)%.(.+)$"
  if version then return name, version, group end
  if rest:find "^v%d[%w]*$" then return name, rest end
  return name, nil, rest
end

--- The kind that a text means, or nil.
---@param kinds tranship.KubeKind[]
---@param text string
---@return tranship.KubeKind?
function M.find(kinds, text)
  local name, version, group = parts_of(text)
  name = name:lower()
  local first
  for _, one in ipairs(kinds) do
    if one.names[name] and (not group or one.group == group)
      and (not version or one.version == version) then
      -- A kind, plural or singular comes before another's short name.
      if one.kind:lower() == name or one.plural == name or one.singular == name then
        return one
      end
      first = first or one
    end
  end
  return first
end

--- All versions of a kind that a server has, in its order of preference.
---@return string[]
function M.versions(kinds, group, kind)
  local list = {}
  for _, one in ipairs(kinds) do
    if one.group == group and one.kind == kind then
      list[#list + 1] = one.version
    end
  end
  return list
end

--- The err of a kind that is not there.
function M.unknown(kinds, text, where)
  local names = {}
  for _, one in ipairs(kinds) do names[#names + 1] = one.kind end
  local name, version, group = parts_of(text)
  local versions = version and group and M.versions(kinds, group, name) or {}
  local hint = ""
  if #versions > 0 then
    hint = "; it has " .. table.concat(versions, ", ")
  else
    local near = schema.nearest(name, names)
    if near and near ~= name then hint = "; did you mean " .. near .. "?" end
  end
  return err.new {
    kind = "not found", origin = "kube", code = 404, reason = "NotServed",
    message = ("%s does not serve a kind '%s'%s"):format(where, text, hint),
  }
end

return M
