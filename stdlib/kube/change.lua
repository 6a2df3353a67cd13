--- Everything that changes a Kubernetes cluster. Each method describes one
-- effect (what, before, after, how it is taken back) and lets effect.perform
-- decide; nothing here looks whether it is needed: goals do. Each returns the
-- object as the server has it afterwards.

local context = require "base.context"
local effect = require "base.effect"
local err = require "base.err"
local json = require "vm.json"
local object = require "kube.object"
local planned = require "kube.planned"
local yaml = require "vm.yaml"

---@class tranship.Kubernetes
local M = {}

local DELETED_WITHIN_MS = 120000

local TYPES = {
  apply = "application/apply-patch+yaml",
  merge = "application/merge-patch+json",
  json = "application/json-patch+json",
  strategic = "application/strategic-merge-patch+json",
}

--- The name under which fields of ours are kept: one for each run.
---@return string
function M.manager()
  local now = context.get()
  return "tranship/" .. (now.run or now.phase)
end

local function copy(from, more)
  local out = {}
  for key, value in pairs(from or {}) do out[key] = value end
  for key, value in pairs(more or {}) do out[key] = value end
  return out
end

--- Do these conflicts concern fields of such managers only?
local function are_of(causes, managers)
  for _, cause in ipairs(causes or {}) do
    local owner = (cause.message or ""):match 'conflict with "([^"]+)"'
    if not owner or not owner:find(managers) then return false end
  end
  return causes ~= nil and causes[1] ~= nil
end

--- Sends it; with `over`, once more and forced when only fields of managers of
-- that name are in the way.
local function send(kube, mode, request)
  local answer, why = kube:_send(mode, request)
  if not answer and request.over and are_of(why.causes, request.over) then
    answer, why = kube:_send(mode, copy(request,
      { query = copy(request.query, { force = true }) }))
  end
  return answer and answer.body, why
end

--- Does one effect. `request` is what is sent; planned, the same is asked with
-- dryRun=All, and what the server would store is what later reads of the plan
-- see. What a step above is to make or delete cannot be asked about yet: what a
-- patch makes of it is told by `request.patched`.
local function perform(kube, one, request)
  request.query = copy(request.query, { fieldManager = M.manager() })
  one.send = one.send or function() return send(kube, "write", request) end
  local there = (context.get().overlay or {})[one.target]
  if there ~= nil then
    if request.patched then one.after = request.patched(there) end
    return effect.perform(one)
  end
  one.simulate = function()
    local dry = copy(request, { query = copy(request.query, { dryRun = "All" }) })
    -- The options of a DELETE are read from its query only if it has no body:
    -- with one, this would be no dry run.
    if request.method == "DELETE" then dry.body = nil end
    local body, why = send(kube, "validate", dry)
    if not body then return nil, why end
    if one.after then one.after = object.bare(body) end
    return true
  end
  return effect.perform(one)
end

--- Reads an object that is to be changed, and holds its uid against the one
-- that is meant.
local function preimage(kube, found, name, options)
  local there, why = kube:find(found, name, options)
  if there == nil then return nil, why end
  local uid = options.uid
  if there and uid and there.metadata.uid ~= uid then
    return nil, err.new { kind = "conflict", origin = "kube",
      message = ("%s %s on %s is another one than was meant: it was deleted "
        .. "and made again (uid %s, was %s)"):format(found.kind, name,
        kube.name, there.metadata.uid, uid) }
  end
  return there
end

--- An object as a table, from a table, a view or YAML text.
local function table_of(given)
  local made, why = given
  if type(given) == "string" then
    made, why = yaml.decode(given)
    if not made then return nil, err.wrap(why, "the manifest") end
  end
  if json.is_view(made) then made = json.copy(made) end
  local meta = type(made) == "table" and made.metadata
  if type(meta) ~= "table" or not (made.apiVersion and made.kind and meta.name) then
    return nil, err.new { kind = "invalid", origin = "kube",
      message = "an object has apiVersion, kind and metadata.name" }
  end
  return made
end

--- What an object is to be written as, and where.
local function subject(kube, given, options)
  local made, why = table_of(given)
  if not made then return nil, why end
  local meta = copy(made.metadata)
  meta.managedFields = nil
  if options.uid then meta.uid = options.uid end
  made = copy(made, { metadata = meta })
  local found, namespace, called = kube:_place(made.apiVersion .. "/" .. made.kind,
    meta.name, { namespace = options.namespace or meta.namespace })
  if not found then return nil, namespace end
  if found.namespaced then meta.namespace = namespace end
  return made, found, namespace, called
end

---@class tranship.KubeWrite
---@field namespace? string  default: the object's own, else the session's
---@field uid? string        refused when another object has that name by now
---@field force? boolean     take fields from other managers; never unasked
---@field over? string       take fields from managers of such a name (a pattern) only
---@field lenient? boolean   create and replace: unknown fields are dropped, and warned about

--- Writes an object whole: `verb` is what is done, `request` how.
local function write(kube, verb, given, options, request, undo)
  local made, found, namespace, called = subject(kube, given, options)
  if not made then return nil, found end
  local name = made.metadata.name
  local before, why = preimage(kube, found, name,
    { namespace = namespace, uid = options.uid })
  if before == nil then return nil, why end
  request.path, request.body = object.path(found, namespace, name), made
  request.doing = verb .. " " .. called
  return perform(kube, {
    primitive = "kube." .. verb, target = kube:_path(namespace, found, name),
    resume = "set", summary = request.doing, args = object.bare(made),
    before = before and object.bare(before) or false, after = object.bare(made),
    undo = before and undo or "delete it",
  }, request)
end

--- Server-side apply: the fields given become ours, under this run's name.
-- Fields of others that would change are a conflict, which names them.
---@async
---@param given table|string  an object, a view, or YAML text
---@param options? tranship.KubeWrite
function M:apply(given, options)
  options = options or {}
  return write(self, "apply", given, options, {
    method = "PATCH", type = TYPES.apply, repeats = true, over = options.over,
    query = { force = options.force or nil, fieldValidation = "Strict" },
  }, "apply what was there")
end

--- Creates an object; nil and an err of kind "exists" when there is one.
---@async
---@param given table|string
---@param options? tranship.KubeWrite
function M:create(given, options)
  options = options or {}
  local made, found, namespace, called = subject(self, given, options)
  if not made then return nil, found end
  made.metadata.resourceVersion = nil
  return perform(self, {
    primitive = "kube.create", resume = "create", summary = "create " .. called,
    target = self:_path(namespace, found, made.metadata.name),
    args = object.bare(made), before = false, after = object.bare(made),
    undo = "delete it",
  }, {
    method = "POST", path = object.path(found, namespace), body = made,
    doing = "create " .. called,
    query = { fieldValidation = options.lenient and "Warn" or "Strict" },
  })
end

--- Puts an object in the place of the one it was read from: its
-- resourceVersion must still be the current one.
---@async
---@param given table|string
---@param options? tranship.KubeWrite
function M:replace(given, options)
  options = options or {}
  return write(self, "replace", given, options, {
    method = "PUT",
    query = { fieldValidation = options.lenient and "Warn" or "Strict" },
  }, "replace it with what was there")
end

--- A patch that only counts for one version of the object.
local function guarded(patch, kind, version)
  if not version then return patch end
  if kind == "json" then
    local out = { { op = "test", path = "/metadata/resourceVersion",
      value = version } }
    return table.move(patch, 1, #patch, 2, out)
  end
  return copy(patch, { metadata = copy(patch.metadata,
    { resourceVersion = version }) })
end

---@class tranship.KubePatch: tranship.KubeWrite
---@field type? "merge"|"json"|"strategic"  default: merge
---@field subresource? string        "status", "scale"
---@field resource_version? string   refused when it is not the current one

--- Patches an object or one of its subresources. In a merge patch json.null
-- takes a field away; a JSON patch is a list of operations.
---@async
---@param kind string
---@param name string
---@param patch table
---@param options? tranship.KubePatch
function M:patch(kind, name, patch, options)
  options = options or {}
  local found, namespace, called = self:_place(kind, name, options)
  if not found then return nil, namespace end
  local before, why = preimage(self, found, name, options)
  if before == nil then return nil, why end
  local patch_type, sub = options.type or "merge", options.subresource
  local version = options.resource_version
  if options.uid and not version and before then
    version = before.metadata.resourceVersion
  end
  local what = (sub and sub .. " of " or "") .. called
  return perform(self, {
    primitive = "kube.patch", resume = "set",
    target = self:_path(namespace, found, name),
    summary = options.summary or "patch " .. what, args = patch,
    before = before and object.bare(before) or false, after = {},
    undo = "set back what was there",
  }, {
    method = "PATCH", path = object.path(found, namespace, name, sub),
    body = guarded(patch, patch_type, version), type = TYPES[patch_type],
    patched = function(there) return planned.patched(there, patch, patch_type) end,
    doing = "patch " .. what, repeats = patch_type ~= "json" and not version,
  })
end

--- Sets annotations of an object; false takes one away.
---@async
---@param values table<string, string|false>
---@param options? tranship.KubePatch
function M:annotate(kind, name, values, options)
  return self:_mark("annotations", "annotate", kind, name, values, options)
end

--- Sets labels of an object; false takes one away.
---@async
---@param values table<string, string|false>
---@param options? tranship.KubePatch
function M:label(kind, name, values, options)
  return self:_mark("labels", "label", kind, name, values, options)
end

function M:_mark(field, verb, kind, name, values, options)
  local set, words = {}, {}
  for key, value in pairs(values) do
    set[key] = value or json.null
    words[#words + 1] = value and key .. "=" .. value or key .. " off"
  end
  table.sort(words)
  return self:patch(kind, name, { metadata = { [field] = set } },
    copy(options, { summary = ("%s %s %s on %s: %s"):format(verb, kind, name,
      self.name, table.concat(words, ", ")) }))
end

--- Scales through the scale subresource, from the state that was read: whoever
-- changed it meanwhile makes this a conflict.
---@async
---@param kind string
---@param name string
---@param replicas integer
-- `from`: refused when it has another size by now
---@param options? { namespace?: string, from?: integer, resource_version?: string }
---@return any? scale, tranship.Err?
function M:scale(kind, name, replicas, options)
  options = options or {}
  local found, namespace, called = self:_place(kind, name, options)
  if not found then return nil, namespace end
  local now, why = self:get(found, name,
    { namespace = namespace, subresource = "scale" })
  if not now then return nil, why end
  local size = now.spec and now.spec.replicas or 0
  if options.from and options.from ~= size then
    return nil, err.new { kind = "conflict", origin = "kube",
      message = ("scale %s: it has %d replicas, and %d were expected: "
        .. "somebody else scales it"):format(called, size, options.from) }
  end
  return perform(self, {
    primitive = "kube.scale", resume = "set",
    target = self:_path(namespace, found, name, "scale"),
    summary = ("scale %s from %d to %d"):format(called, size, replicas),
    args = { replicas = replicas }, before = { spec = { replicas = size } },
    after = { spec = { replicas = replicas } },
    undo = "scale it back to " .. size,
  }, {
    method = "PATCH", path = object.path(found, namespace, name, "scale"),
    type = TYPES.merge, doing = "scale " .. called,
    body = {
      metadata = { resourceVersion = options.resource_version
        or now.metadata and now.metadata.resourceVersion },
      spec = { replicas = replicas },
    },
  })
end

local PROPAGATION = { background = "Background", foreground = "Foreground",
  orphan = "Orphan" }

---@class tranship.KubeDelete
---@field namespace? string
---@field uid? string
---@field resource_version? string
---@field propagation? "background"|"foreground"|"orphan"
---@field grace_s? integer
---@field wait? boolean        false: do not wait until it is gone
---@field within_ms? integer   for the wait

--- Deletes the object that is there now (or the one of `uid`, if given), and
-- waits until it is gone, whatever its finalizers need. One that is not there
-- is fine.
---@async
---@param kind string
---@param name string
---@param options? tranship.KubeDelete
---@return true|any|nil, tranship.Err?
function M:delete(kind, name, options)
  options = options or {}
  local found, namespace, called = self:_place(kind, name, options)
  if not found then return nil, namespace end
  local before, why = preimage(self, found, name, options)
  if before == nil then return nil, why end
  if not before then return true end
  local uid = options.uid or before.metadata.uid
  local request = {
    method = "DELETE", path = object.path(found, namespace, name),
    doing = "delete " .. called, query = {},
    body = {
      apiVersion = "v1", kind = "DeleteOptions",
      propagationPolicy = PROPAGATION[options.propagation or "background"],
      gracePeriodSeconds = options.grace_s,
      preconditions = { uid = uid, resourceVersion = options.resource_version },
    },
  }
  return perform(self, {
    primitive = "kube.delete", target = self:_path(namespace, found, name),
    resume = "delete", summary = "delete " .. called, args = { uid = uid },
    before = object.bare(before), after = false, undo = "apply it again",
    send = function()
      local answer, failed = self:_send("write", request)
      if not answer then return nil, failed end
      if options.wait == false then return true end
      return self:wait_gone(found, name, { namespace = namespace, uid = uid,
        within_ms = options.within_ms or DELETED_WITHIN_MS })
    end,
  }, request)
end

--- A token of a service account: { token = secret, expires = text }.
---@async
---@param account string
---@param options? { namespace?: string, seconds?: integer, audiences?: string[] }
function M:token(account, options)
  options = options or {}
  local found, namespace, called = self:_place("v1/ServiceAccount", account, options)
  if not found then return nil, namespace end
  local request = {
    method = "POST", path = object.path(found, namespace, account, "token"),
    doing = "ask for a token of " .. called,
    body = {
      apiVersion = "authentication.k8s.io/v1", kind = "TokenRequest",
      spec = { expirationSeconds = options.seconds,
        audiences = json.array(options.audiences or {}) },
    },
  }
  return perform(self, {
    primitive = "kube.token", resume = "set",
    target = self:_path(namespace, found, account, "token"),
    summary = "ask for a token of " .. called, undo = "none: it expires",
    send = function()
      local answer, why = self:_send("write", request)
      if not answer then return nil, why end
      return { token = answer.body.status.token,
        expires = answer.body.status.expirationTimestamp }
    end,
  }, request)
end

return M
