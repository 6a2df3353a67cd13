--- ACLs of the source, copied to the target in full: every resource, literal and
-- prefixed names, allow and deny. Only what is missing is added; what is taken
-- away on the source stays on the target, and nobody else's is touched.

local log = require "vm.log"
local acl = require "kafka.acl"
local names = require "mirror.names"

local M = {}

local SECURITY_DISABLED = 54

local function topic_name(policy, one)
  local rename = policy.names
  if one.pattern == "prefixed" then
    if type(rename) == "table" and rename.prefix then
      return rename.prefix .. one.name
    elseif type(rename) == "table" then
      return nil, "a prefix has no name of its own in a map of names"
    end
    return one.name
  elseif one.name == "*" then
    return one.name
  elseif not names.carries(policy, one.name) then
    return nil
  end
  return names.on_target(rename, one.name)
end

--- What the target should have: topics under their names there; those that
-- name a single topic which the bridge does not carry are left out.
---@param policy table  topics, except, names
---@param list tranship.Acl[]
---@return tranship.Acl[] wanted, string[] notes  what cannot be carried, and why
function M.wanted(policy, list)
  local wanted, notes = {}, {}
  for _, one in ipairs(list) do
    local name, why = one.name, nil
    if one.resource_type == "topic" then name, why = topic_name(policy, one) end
    if name then
      local copy = acl.whole(one)
      copy.name = name
      wanted[#wanted + 1] = copy
    elseif why then
      notes[#notes + 1] = ("%s: %s"):format(acl.text(one), why)
    end
  end
  return wanted, notes
end

local function say_once(engine, text)
  engine.said = engine.said or {}
  if not engine.said[text] then log.warn("ACLs: " .. text) end
  engine.said[text] = true
end

--- ACLs of a side; false when it keeps none.
local function list_of(engine, side)
  local list, why = engine.clients[side]:acls {}
  if list then return list end
  if why.code == SECURITY_DISABLED then
    say_once(engine, ("%s has no authorizer: none are copied"):format(
      engine.spec[side].name))
    return false
  end
  return nil, why
end

--- Adds what is missing on the target, if the bridge was opened to copy ACLs.
---@async
function M.follow(engine)
  if engine.policy.acls ~= "copied" then return true end
  local here, why = list_of(engine, "from")
  if not here then return here == false or nil, why end
  local there
  there, why = list_of(engine, "to")
  if not there then return there == false or nil, why end
  local wanted, notes = M.wanted(engine.policy, here)
  for _, note in ipairs(notes) do say_once(engine, note) end
  local missing = acl.missing(wanted, there)
  if #missing == 0 then return true end
  local done
  done, why = engine.clients.to:create_acls(missing)
  if not done then return nil, why end
  for index, one in ipairs(done) do
    local text = acl.text(missing[index])
    if one.err then
      say_once(engine, ("%s: %s"):format(text, tostring(one.err)))
    else
      log.info("ACL added: " .. text)
    end
  end
  return true
end

return M
