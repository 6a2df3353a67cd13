--- What a Kubernetes cluster can be asked. Objects are views (vm.json): read
-- like tables, changed by nobody; what is secret in them is seen as secrets.

local context = require "base.context"
local effect = require "base.effect"
local err = require "base.err"
local object = require "kube.object"
local watch = require "kube.watch"

---@class tranship.Kubernetes
local M = {}

local PAGE = 500
local MOST_RELISTS = 5

function M:_path(namespace, found, name, more)
  return table.concat({ "kubernetes", self.name, namespace or "-",
    found.group == "" and found.plural or found.plural .. "." .. found.group,
    name, more }, "/")
end

--- Where an object of a kind is: kind, namespace, and how to speak of it.
---@async
function M:_place(kind, name, options)
  local found, why = kind
  if type(kind) == "string" then found, why = self:kind(kind) end
  if not found then return nil, why end
  if name then object.check_name(name, found.kind) end
  local all = options and options.namespace == "*"
  local namespace = found.namespaced and not all
    and self:_namespace(options and options.namespace) or nil
  return found, namespace, object.called(found, namespace, name) .. " on "
    .. self.name
end

--- One object; nil and an err of kind "not found" when it is not there.
---@async
---@param kind string
---@param name string
---@param options? { namespace?: string, subresource?: string }
---@return any? object, tranship.Err?
function M:get(kind, name, options)
  local found, namespace, called = self:_place(kind, name, options)
  if not found then return nil, namespace end
  local sub = options and options.subresource
  local doing = "get " .. (sub and sub .. " of " or "") .. called
  local there, why = effect.observe(self:_path(namespace, found, name, sub),
    function()
      local answer, failed = self:_send("read", { doing = doing,
        path = object.path(found, namespace, name, sub) })
      return answer and answer.body, failed
    end)
  if there ~= false then return there, why end
  return nil, err.new { kind = "not found", origin = "kube", code = 404,
    message = doing .. ": a step above deletes it" }
end

--- The same; false when it is not there.
---@async
function M:find(kind, name, options)
  local there, why = self:get(kind, name, options)
  if there == nil and why.kind == "not found" and why.reason ~= "NotServed" then
    return false
  end
  return there, why
end

local function query_of(options)
  return {
    labelSelector = options.labels, fieldSelector = options.fields,
    limit = options.page or PAGE,
  }
end

--- Pages of a list, one after the other, to `take(items, metadata)`. A list
-- that takes longer than the server remembers is begun again.
---@async
function M:_pages(kind, options, take)
  local found, namespace, called = self:_place(kind, nil, options)
  if not found then return nil, namespace end
  local path, query, relists = object.path(found, namespace), query_of(options), 0
  while true do
    local answer, why = self:_send("read", { path = path, query = query,
      doing = "list " .. called })
    if not answer then
      if why.code ~= 410 or not query.continue or relists == MOST_RELISTS then
        return nil, why
      end
      relists, query.continue = relists + 1, nil
      take(nil)
    else
      local meta = answer.body.metadata
      take(answer.body.items, meta)
      query.continue = meta.continue
      if not meta.continue or meta.continue == "" then
        return meta.resourceVersion
      end
    end
  end
end

--- Objects of a kind: a list of views, and the version of the whole, from
-- which a watch goes on.
---@async
---@param kind string
---@param options? table  namespace ("*": all of them), labels, fields, page
---@return any[]? list, string|tranship.Err version
function M:list(kind, options)
  local list = {}
  local version, why = self:_pages(kind, options or {}, function(items)
    if not items then list = {} return end
    for _, item in ipairs(items) do list[#list + 1] = item end
  end)
  if not version then return nil, why end
  return list, version
end

--- Objects of several kinds, for people and for `backup`: { { kind, name,
-- namespace, object } }. Kinds that are not served are left out.
---@async
---@param kinds string|string[]
function M:objects(kinds, options)
  if type(kinds) == "string" then kinds = { kinds } end
  if context.get().phase == "declare" then
    return { kubernetes = self, what = "objects", kinds = kinds,
      title = ("%s of %s"):format(table.concat(kinds, ", "), self.name) }
  end
  local out = {}
  for _, kind in ipairs(kinds) do
    local found, why = self:kind(kind)
    if found then
      local list
      list, why = self:list(kind, options)
      if not list then return nil, why end
      for _, one in ipairs(list) do
        out[#out + 1] = { kind = found.kind, name = one.metadata.name,
          namespace = one.metadata.namespace, object = one }
      end
    elseif why.reason ~= "NotServed" then
      return nil, why
    end
  end
  return out
end

--- Changes of a kind as they come (kube.watch); close it.
---@async
---@param kind string
---@param options? table  namespace, name, labels, fields, from (a version),
-- idle_ms, patience_ms
---@return tranship.KubeWatch?, tranship.Err?
function M:watch(kind, options)
  return watch.open(self, kind, options or {})
end

--- What tells this cluster from every other: the uid of its kube-system
-- namespace, or its server's address where that may not be read.
---@async
---@return string? id, tranship.Err?
function M:id()
  local there, why = self:get("v1/Namespace", "kube-system")
  if there then return there.metadata.uid end
  if why.kind ~= "denied" then return nil, why end
  return self:about().server
end

--- Whether whoever we are may do something: { ok, want, text }.
---@async
---@param verb string   "get", "list", "patch", ...
---@param kind string
---@param options? { name?: string, namespace?: string, subresource?: string }
---@return tranship.Answer?, tranship.Err?
function M:can_i(verb, kind, options)
  options = options or {}
  local found, namespace, called = self:_place(kind, options.name, options)
  if not found then return nil, namespace end
  local answer, why = self:_send("read", {
    method = "POST", repeats = true,
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    doing = "ask what we may do on " .. self.name,
    body = {
      apiVersion = "authorization.k8s.io/v1", kind = "SelfSubjectAccessReview",
      spec = { resourceAttributes = {
        verb = verb, group = found.group, resource = found.plural,
        subresource = options.subresource, name = options.name,
        namespace = namespace,
      } },
    },
  })
  if not answer then return nil, why end
  local seen = answer.body.status
  local what = ("%s %s%s"):format(verb,
    options.subresource and options.subresource .. " of " or "", called)
  return { ok = seen.allowed == true, want = what,
    text = seen.allowed and "may " .. what or ("%s may not %s%s"):format(
      self._about.user, what, seen.reason and seen.reason ~= ""
      and ": " .. seen.reason or "") }
end

--- One key of a Secret, as a secret.
---@async
---@param name string  of the Secret
---@param key string
---@return userdata? secret, tranship.Err?
function M:secret(name, key, options)
  local there, why = self:get("v1/Secret", name, options)
  if not there then return nil, why end
  local value = there.data and there.data[key]
  if value then return value end
  local keys = {}
  for known in pairs(there.data or {}) do keys[#keys + 1] = known end
  table.sort(keys)
  return nil, err.new {
    kind = "not found", origin = "kube",
    message = ("Secret %s on %s has no '%s', only: %s"):format(name, self.name,
      key, #keys > 0 and table.concat(keys, ", ") or "nothing"),
  }
end

return M
