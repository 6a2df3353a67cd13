--- ACLs as plain tables: their names, their order, what two lists differ in.

local M = {}

---@class tranship.Acl
---@field resource_type "topic"|"group"|"cluster"|"transactional_id"
---@field name string
---@field pattern "literal"|"prefixed"
---@field principal string   "User:alice"
---@field host string        "*" for any
---@field operation string   "read", "write", "all", ...
---@field permission "allow"|"deny"

local FIELDS = { "resource_type", "pattern", "name", "principal", "host",
  "operation", "permission" }
local DEFAULTS = { pattern = "literal", host = "*", permission = "allow" }

--- The same ACL with nothing left out.
---@param acl table
---@return tranship.Acl
function M.whole(acl)
  local out = {}
  for _, field in ipairs(FIELDS) do out[field] = acl[field] or DEFAULTS[field] end
  if out.resource_type == "cluster" then out.name = out.name or "kafka-cluster" end
  return out
end

--- One text per ACL: equal ACLs have equal keys.
---@return string
function M.key(acl)
  local parts = {}
  local whole = M.whole(acl)
  for i, field in ipairs(FIELDS) do parts[i] = tostring(whole[field]) end
  return table.concat(parts, "/")
end

--- "allow User:alice read on topic apps.*" (prefixed names end with `*`).
---@return string
function M.text(acl)
  local whole = M.whole(acl)
  return ("%s %s %s on %s %s%s%s"):format(whole.permission, whole.principal,
    whole.operation, whole.resource_type, whole.name,
    whole.pattern == "prefixed" and "*" or "",
    whole.host ~= "*" and " from " .. whole.host or "")
end

--- A set of ACLs by key.
---@param list tranship.Acl[]
---@return table<string, tranship.Acl>
function M.set(list)
  local set = {}
  for _, acl in ipairs(list) do set[M.key(acl)] = M.whole(acl) end
  return set
end

--- ACLs of `wanted` that are not in `there`, in the order of their keys.
---@return tranship.Acl[]
function M.missing(wanted, there)
  local known, out = M.set(there), {}
  for key, acl in pairs(M.set(wanted)) do
    if not known[key] then out[#out + 1] = acl end
  end
  return M.sorted(out)
end

---@param list tranship.Acl[]
function M.sorted(list)
  table.sort(list, function(a, b) return M.key(a) < M.key(b) end)
  return list
end

return M
