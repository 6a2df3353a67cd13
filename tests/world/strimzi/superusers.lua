--- Superusers that came after the broker's start: they have every right by ACLs,
-- as far as a client can tell the same.

local acls = require "kafka.acl"

local M = {}

local EVERYTHING = { topic = "*", group = "*", transactional_id = "*", cluster = "kafka-cluster" }

--- Every ACL, for a principal's name.
function M.acls(name)
  local list = {}
  for kind, resource in pairs(EVERYTHING) do
    list[#list + 1] = { principal = "User:" .. name, host = "*", resource_type = kind,
      name = resource, pattern = "literal", operation = "all", permission = "allow" }
  end
  return list
end

local function told(list, why)
  if not list then error(why, 0) end
  for _, item in ipairs(list) do
    if item.err then error(item.err, 0) end
  end
  return list
end

--- Gives and takes rights; `granted` remembers to whom.
---@async
function M.fit(client, granted, names)
  local wanted = {}
  for _, name in ipairs(names) do
    wanted[name] = true
    local seen = told(client:acls { principal = "User:" .. name })
    local lack = acls.missing(M.acls(name), seen)
    if #lack > 0 then told(client:create_acls(lack)) end
  end
  for name in pairs(granted) do
    if not wanted[name] then told(client:delete_acls(M.acls(name))) end
    granted[name] = nil
  end
  for name in pairs(wanted) do granted[name] = true end
end

return M
