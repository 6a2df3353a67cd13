--- A Kafka resource of Strimzi, as the cluster that is declared by it holds it
-- (`cluster.strimzi`): where its brokers are, whom to trust, how to log in. All
-- of it is read from Kubernetes when it is first needed; secrets go from there
-- to the clients, and are never looked at. What is not there (yet) is an err of
-- kind "not found", so that who waits for it can tell.

local err = require "base.err"
local schema = require "base.schema"
local listener = require "strimzi.listener"
local state = require "strimzi.state"
local user = require "strimzi.user"

---@class tranship.StrimziCluster
---@field name string           of the Kafka resource
---@field kube tranship.Kubernetes
---@field namespace? string     nil: the one of the Kubernetes it is on
---@field listener? string      which of its listeners; nil: the one to outside
---@field user? string          the KafkaUser that is logged in
local Strimzi = { __name = "strimzi.cluster" }
Strimzi.__index = Strimzi
Strimzi.__tostring = function(self)
  return ("Kafka %s on %s"):format(self.name, self.kube.name)
end

--- As long as v1beta2 is served it is what is stored, and a change through v1
-- would lose what only v1beta2 has.
local VERSIONS = { "v1beta2", "v1", "v1beta1" }
local GROUP = "kafka.strimzi.io"

--- From fields of a cluster's declaration; contacts nothing.
---@param spec table  strimzi, on, listener, user, login
---@return tranship.StrimziCluster
local function new(spec)
  return setmetatable({
    name = spec.strimzi, kube = spec.on, namespace = spec.on.namespace,
    listener = spec.listener, user = spec.user, _has_login = spec.login ~= nil,
  }, Strimzi)
end

--- A kind of Strimzi's ("KafkaUser"), in the version to speak to this cluster.
---@async
---@return tranship.KubeKind?, tranship.Err?
function Strimzi:kind(kind)
  local names = {}
  for i, version in ipairs(VERSIONS) do
    names[i] = ("%s/%s/%s"):format(GROUP, version, kind)
  end
  local found, why = self.kube:first_kind(names)
  if found or why.reason ~= "NotServed" then return found, why end
  return nil, err.new { kind = "not found", origin = "strimzi",
    reason = "NotServed", message = ("%s serves no %s of %s: Strimzi is not "
      .. "installed there, or it is another cluster than was meant"):format(
      self.kube.name, kind, GROUP) }
end

--- "v1" or "v1beta2": what this cluster's objects of a kind are written in.
---@async
---@return string?, tranship.Err?
function Strimzi:version(kind)
  local found, why = self:kind(kind)
  return found and found.version, why
end

--- An object of the namespace, or nil and an err that names those there are.
---@async
---@param kind string  of Strimzi's
---@param name string
---@return any?, tranship.Err?
function Strimzi:object(kind, name)
  local found, why = self:kind(kind)
  if not found then return nil, why end
  local there
  there, why = self.kube:find(found, name, { namespace = self.namespace })
  if there then return there end
  if there == nil then return nil, why end
  local names, list = {}, self.kube:list(found, { namespace = self.namespace })
  for i, one in ipairs(list or {}) do names[i] = one.metadata.name end
  return nil, err.new { kind = "not found", origin = "strimzi",
    message = ("there is no %s %s in %s on %s; %s"):format(kind, name,
      self.kube:_namespace(self.namespace), self.kube.name,
      #names > 0 and schema.suggest(name, names)
        or "no other one either: is it the right namespace?") }
end

--- The Kafka resource, as it is now.
---@async
---@return any? view, tranship.Err?
function Strimzi:resource() return self:object("Kafka", self.name) end

--- The id that the operator has read from the brokers.
---@async
---@return string? id, tranship.Err?
function Strimzi:id()
  local kafka, why = self:resource()
  if not kafka then return nil, why end
  local id = kafka.status and kafka.status.clusterId
  if id then return id end
  return nil, err.new { kind = "not found", origin = "strimzi",
    message = ("%s has no clusterId yet: %s"):format(tostring(self),
      state.text(kafka)) }
end

--- Certificates of one object, joined: all `*.crt`, for while an authority is
-- renewed the old one stands beside the new one.
local function joined(data)
  local names, all = {}, nil
  for name in pairs(data or {}) do
    if name:find "%.crt$" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do all = all and all .. "\n" .. data[name] or data[name] end
  return all
end

--- Whom to trust: the cluster's own authority, and what a listener with a
-- certificate of its own shows.
local function trusted(self, certificates)
  local name = self.name .. "-cluster-ca-cert"
  local secret, why = self.kube:get("v1/Secret", name, { namespace = self.namespace })
  if not secret and why.kind ~= "denied" then
    return nil, err.new { kind = why.kind, origin = "strimzi", cause = why,
      message = ("the authority of %s: %s"):format(tostring(self), why.message) }
  end
  local all = secret and joined(secret.data)
  for _, pem in ipairs(certificates or {}) do all = all and all .. "\n" .. pem or pem end
  if all then return all end
  return nil, why or err.new { kind = "not found", origin = "strimzi",
    message = ("Secret %s on %s has no *.crt"):format(name, self.kube.name) }
end

---@class tranship.Access
---@field bootstrap string
---@field listener string
---@field tls boolean
---@field ca? any          PEM, as text or secret
---@field login? table     as scram and certificate make them
---@field id? string       of the cluster, as its status says

--- How the brokers are reached, by the listener that was declared.
---@async
---@return tranship.Access?, tranship.Err?
function Strimzi:access()
  local kafka, why = self:resource()
  if not kafka then return nil, why end
  local one
  one, why = listener.find(self, kafka)
  if not one then return nil, why end
  local access = { bootstrap = one.bootstrap, listener = one.name, tls = one.tls,
    id = kafka.status.clusterId }
  if one.tls then
    access.ca, why = trusted(self, one.certificates)
    if not access.ca then return nil, why end
  end
  if not self._has_login then
    access.login, why = user.login(self, one, self.user)
    if access.login == nil and why then return nil, why end
  end
  return access
end

--- How another KafkaUser than the declared one logs in there.
---@async
---@param name string
---@return table? login, tranship.Err?
function Strimzi:login_of(name)
  local kafka, why = self:resource()
  if not kafka then return nil, why end
  local one
  one, why = listener.find(self, kafka)
  if not one then return nil, why end
  return user.login(self, one, name)
end

return { new = new, GROUP = GROUP }
