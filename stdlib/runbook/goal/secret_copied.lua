--- "The Secret is there, too": a copy of another Kubernetes' Secret, without its
-- metadata, straight from server to server. A Secret of somebody else is never
-- overwritten. Undone, the copy goes again, if this goal made it.

local err = require "base.err"

local COPIED_FROM = "tranship.io/copied-from"
local OURS = { ["app.kubernetes.io/managed-by"] = "tranship" }
local KEY = "same?" -- of fingerprints that are only held against each other

local function place_of(g) return ("%s/%s"):format(g.from.name, g.name) end

--- Keys that are carried: named ones, or all but PKCS#12 stores, which hold the
-- same once more, and the words that open them.
local function is_carried(g, key, data)
  if not g.keys then
    local store = key:match "^(.*)%.password$"
    return not key:find "%.p12$" and not (store and data[store .. ".p12"])
  end
  for _, pattern in ipairs(g.keys) do
    local lua = "^" .. pattern:gsub("[^%w*]", "%%%0"):gsub("%*", ".*") .. "$"
    if key:find(lua) then return true end
  end
  return false
end

--- What is to be in the copy: secrets by key.
local function wanted(g)
  local secret, why = g.from:get("v1/Secret", g.name, { namespace = g.from_namespace })
  if not secret then return nil, why end
  local data = {}
  for key, value in pairs(secret.data or {}) do
    if is_carried(g, key, secret.data) then data[key] = value end
  end
  if next(data) then return data, secret.type end
  return nil, err.new { kind = "not found", origin = "kube",
    message = ("Secret %s on %s has none of the keys that are to be copied"):format(g.name,
      g.from.name) }
end

local function same(a, b)
  for key, value in pairs(a) do
    if not b[key] or b[key]:fingerprint(KEY) ~= value:fingerprint(KEY) then return false end
  end
  for key in pairs(b) do
    if not a[key] then return false end
  end
  return true
end

local function is_ours(g, there)
  return (there.metadata.annotations or {})[COPIED_FROM] == place_of(g)
end

--- What there is: { data, there = view or false, state = "absent" "same" "old" "alien" }.
local function look(g)
  local data, kind = wanted(g)
  if not data then return nil, kind end
  local there, why = g.kubernetes:find("v1/Secret", g.as or g.name, { namespace = g.namespace })
  if there == nil then return nil, why end
  local state = not there and "absent" or same(data, there.data or {}) and "same"
    or is_ours(g, there) and "old" or "alien"
  return { data = data, type = kind, there = there, state = state }
end

local SAYS = {
  absent = "it is not there", same = "it is there, and the same",
  old = "the copy is older than the original",
  alien = "there is another Secret of that name, which nobody copied from there",
}

local function check(g)
  local seen, why = look(g)
  if not seen then return nil, why end
  local keys = {}
  for key in pairs(seen.data) do keys[#keys + 1] = key end
  table.sort(keys)
  return { ok = seen.state == "same", want = keys, seen = seen.state,
    text = ("Secret %s on %s: %s"):format(g.as or g.name, g.kubernetes.name, SAYS[seen.state]) }
end

local function before(g, run)
  return run:remember("before", function()
    local seen, why = look(g)
    return seen and seen.state, why
  end)
end

local function apply(g, run)
  local noted, why = before(g, run)
  if not noted then return nil, why end
  local seen
  seen, why = look(g)
  if not seen then return nil, why end
  local kube, name = g.kubernetes, g.as or g.name
  if seen.state == "same" then return true end
  if seen.state == "alien" then
    return nil, err.new { kind = "conflict", origin = "kube",
      message = ("Secret %s on %s: %s; give the copy another name, as = \"...\""):format(name,
        kube.name, SAYS.alien) }
  end
  local made = { apiVersion = "v1", kind = "Secret", type = seen.type, data = seen.data,
    metadata = { name = name, labels = OURS, annotations = { [COPIED_FROM] = place_of(g) } } }
  if seen.state == "absent" then
    return kube:create(made, { namespace = g.namespace })
  end
  made.metadata.resourceVersion = seen.there.metadata.resourceVersion
  return kube:replace(made, { namespace = g.namespace, uid = seen.there.metadata.uid })
end

local function undo(g, run)
  local noted, why = before(g, run)
  if not noted then return nil, why end
  local name = g.as or g.name
  local there
  there, why = g.kubernetes:find("v1/Secret", name, { namespace = g.namespace })
  if there == nil then return nil, why end
  if not there or not is_ours(g, there) then return end
  if noted ~= "absent" then
    run:log(("Secret %s on %s stays as it is: what it held before is not kept in a journal")
      :format(name, g.kubernetes.name))
    return
  end
  local ok
  ok, why = g.kubernetes:delete("v1/Secret", name, { namespace = g.namespace,
    uid = there.metadata.uid })
  if not ok then return nil, why end
end

return {
  name = "secret_copied", title = "{kubernetes} has Secret {name} of {from}",
  subject = function(args)
    return ("kubernetes/{kubernetes}/secret/%s"):format(args.as or args.name or "?")
  end,
  takes = {
    { name = "kubernetes", kind = "kubernetes", desc = "where the copy is" },
    { name = "name", kind = "text", desc = "of the Secret" },
    { name = "from", kind = "kubernetes", desc = "where the original is" },
    { name = "as", kind = "text", optional = true, desc = "name of the copy; default: the same" },
    { name = "keys", kind = "list", of = "pattern", optional = true,
      desc = "which keys, such as \"*.crt\"; default: all but PKCS#12 stores" },
    { name = "namespace", kind = "text", optional = true, desc = "of the copy" },
    { name = "from_namespace", kind = "text", optional = true, desc = "of the original" },
  },
  check = check, apply = apply, verify = check, undo = undo,
}
