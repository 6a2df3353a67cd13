--- Listeners of a Kafka resource: what its spec asks for, and where its status
-- says that they are.

local context = require "base.context"
local err = require "base.err"
local schema = require "base.schema"
local state = require "strimzi.state"

local M = {}

--- Types that only work inside of the platform.
local INSIDE = { internal = true, ["cluster-ip"] = true }

--- Listeners of a spec, by name. Before Strimzi 0.20 they were an object.
---@return table<string, any> by_name, string[] names
function M.of_spec(kafka)
  local by_name, names = {}, {}
  local list = kafka.spec and kafka.spec.kafka and kafka.spec.kafka.listeners or {}
  if #list == 0 then
    for name, one in pairs(list) do by_name[name] = one end
  else
    for _, one in ipairs(list) do by_name[one.name] = one end
  end
  for name in pairs(by_name) do names[#names + 1] = name end
  table.sort(names)
  return by_name, names
end

--- The status of a listener; old clusters name it by `type`.
function M.of_status(kafka, name)
  for _, one in ipairs(kafka.status and kafka.status.listeners or {}) do
    if (one.name or one.type) == name then return one end
  end
end

--- "host:port,host:port", or nil where there is none yet.
function M.addresses(status)
  if not status then return nil end
  if status.bootstrapServers and status.bootstrapServers ~= "" then
    return status.bootstrapServers
  end
  local list = {}
  for _, one in ipairs(status.addresses or {}) do
    if one.host and one.port then
      list[#list + 1] = ("%s:%d"):format(one.host, math.tointeger(one.port))
    end
  end
  return #list > 0 and table.concat(list, ",") or nil
end

local function missing(self, format, ...)
  return nil, err.new { kind = "not found", origin = "strimzi",
    message = tostring(self) .. format:format(...) }
end

--- The name of the listener that is meant when none was named: the only one
-- to outside, or the only one there is.
local function only(self, by_name, names)
  local outside = {}
  for _, name in ipairs(names) do
    if not INSIDE[by_name[name].type or "internal"] then outside[#outside + 1] = name end
  end
  local list = #outside > 0 and outside or names
  if #list == 1 then return list[1] end
  if #list == 0 then return missing(self, " has no listeners") end
  return missing(self, " has several listeners: name one, listener = \"%s\"",
    table.concat(list, '" or "'))
end

---@class tranship.Listener
---@field name string
---@field bootstrap string
---@field tls boolean
---@field login? string        the authentication it asks for: "tls", ...
---@field certificates? any    PEM texts of what it shows

--- The listener through which the cluster is to be reached.
---@param self tranship.StrimziCluster
---@return tranship.Listener?, tranship.Err?
function M.find(self, kafka)
  local by_name, names = M.of_spec(kafka)
  local name = self.listener
  if not name then
    local why
    name, why = only(self, by_name, names)
    if not name then return nil, why end
  end
  local spec, status = by_name[name], M.of_status(kafka, name)
  if not spec and not status then
    return missing(self, " has no listener \"%s\"; %s", name, schema.suggest(name, names))
  end
  local bootstrap = M.addresses(status)
  if not bootstrap and not kafka.status and context.get().overlay then
    return nil, err.new { kind = "unknown", origin = "strimzi",
      message = ("depends on listener \"%s\" of %s, which a step above makes"):format(name,
        tostring(self)) }
  elseif not bootstrap then
    return missing(self, ": listener \"%s\" has no address yet: %s", name, state.text(kafka))
  end
  local certificates = status.certificates
  local tls = certificates ~= nil and #certificates > 0
  if spec and spec.tls ~= nil then tls = spec.tls end
  return { name = name, bootstrap = bootstrap, tls = tls, certificates = certificates,
    login = spec and spec.authentication and spec.authentication.type }
end

return M
