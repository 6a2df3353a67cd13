--- Who a KafkaUser is to the brokers: its Secret as a login, its principal.

local err = require "base.err"
local state = require "strimzi.state"

local M = {}

local COLLECTED_MS = 30000

local function refuse(kind, format, ...)
  return nil, err.new { kind = kind, origin = "strimzi", message = format:format(...) }
end

--- What each type of authentication has in its Secret, as a login.
local LOGIN = {
  tls = function(_, data)
    return { kind = "certificate", cert = data["user.crt"], key = data["user.key"] },
      { "user.crt", "user.key" }
  end,
  ["scram-sha-512"] = function(name, data)
    return { kind = "scram", user = name, password = data.password }, { "password" }
  end,
}

--- The principal's name as the brokers see it: "CN=x" with a certificate.
---@param kind string  of authentication
function M.principal(name, kind)
  return kind and kind:find "^tls" and "CN=" .. name or name
end

--- What is in a KafkaUser's Secret, and the Secret's name.
---@async
---@param self tranship.StrimziCluster
---@param there any  the KafkaUser
---@return table? data, string|tranship.Err name
function M.secret(self, there)
  local name = there.status and there.status.secret or there.metadata.name
  local secret, why = self.kube:find("v1/Secret", name, { namespace = self.namespace })
  if secret then return secret.data or {}, name end
  if secret == nil then return nil, why end
  return refuse("not found", "KafkaUser %s on %s: its Secret %s is not there: %s",
    there.metadata.name, self.kube.name, name, state.is_ready(there) and not state.is_paused(there)
      and "it was deleted, and the User Operator makes it anew at its next look"
      or state.text(there))
end

--- Waits for the Secret of a KafkaUser that is ready.
---@async
---@return true?, tranship.Err?
function M.await_secret(self, there, within_ms)
  local name = there.status and there.status.secret
  if not name then return true end -- its certificate comes from elsewhere
  local ok, why = self.kube:wait_until("v1/Secret", name, function(seen)
    return seen ~= false
  end, { namespace = self.namespace, within_ms = within_ms, what = "made" })
  return ok and true, why
end

--- After a KafkaUser was deleted: gives the garbage collector time to take its
-- Secret, too, lest it take that of a next user of the name.
---@async
function M.await_end(self, there)
  local name = there.status and there.status.secret or there.metadata.name
  local secret = self.kube:find("v1/Secret", name, { namespace = self.namespace })
  for _, owner in ipairs(secret and secret.metadata.ownerReferences or {}) do
    if owner.uid == there.metadata.uid then
      self.kube:wait_gone("v1/Secret", name, { namespace = self.namespace,
        uid = secret.metadata.uid, within_ms = COLLECTED_MS })
    end
  end
end

--- Refuses a user that the listener would turn away.
local function must_fit(self, one, kind, name)
  if kind == one.login then return true end
  return refuse("auth", "%s: listener \"%s\" %s, and KafkaUser %s logs in by %s",
    tostring(self), one.name, one.login and "wants " .. one.login
      or "wants no login (leave `user` out)", name, tostring(kind))
end

--- How a user logs in to a listener; nil where nobody is named and nothing wanted.
---@async
---@param self tranship.StrimziCluster
---@param one tranship.Listener
---@param name? string  of a KafkaUser
---@return table? login, tranship.Err?
function M.login(self, one, name)
  if not name then
    if not one.login then return nil end
    return refuse("auth", "%s: listener \"%s\" wants %s: give the cluster user = \"NAME\" "
      .. "of a KafkaUser, or a login", tostring(self), one.name, one.login)
  end
  local there, why = self:object("KafkaUser", name)
  if not there then return nil, why end
  local kind = there.spec and there.spec.authentication and there.spec.authentication.type
  local ok
  ok, why = must_fit(self, one, kind, name)
  if not ok then return nil, why end
  if not LOGIN[kind] then
    return refuse("auth", "KafkaUser %s logs in by %s: its credentials are not in "
      .. "Kubernetes; give the cluster a login", name, kind)
  end
  local data
  data, why = M.secret(self, there)
  if not data then return nil, why end
  local login, keys = LOGIN[kind](there.status and there.status.username or name, data)
  for _, key in ipairs(keys) do
    if not data[key] then
      return refuse("not found", "Secret %s on %s has no '%s', which KafkaUser %s logs "
        .. "in by", why, self.kube.name, key, name)
    end
  end
  return login
end

return M
