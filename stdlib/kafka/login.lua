--- What a cluster's declaration says about logging in, as options of
-- vm.kafka.open. Secrets are handed on, never looked at.

local err = require "base.err"

local M = {}

local SASL = { scram = true, plain = true }

local function protocol(spec, login)
  local tls = spec.tls
  if tls == nil then
    tls = spec.ca ~= nil or login ~= nil and login.kind == "certificate"
  end
  if login and SASL[login.kind] then return tls and "sasl_ssl" or "sasl_plaintext" end
  return tls and "ssl" or "plaintext"
end

--- Options for vm.kafka.open, less mode and timeout.
---@param spec table  the fields of a cluster's declaration
---@return table
function M.options(spec)
  local login = spec.login
  if login and not SASL[login.kind] and login.kind ~= "certificate" then
    err.raise {
      kind = "invalid", origin = "kafka",
      message = ("cluster %s cannot log in by '%s'"):format(spec.name,
        tostring(login.kind)),
    }
  end
  local options = {
    bootstrap = spec.bootstrap, name = "tranship",
    protocol = protocol(spec, login), ca = spec.ca, settings = spec.settings,
  }
  if login and SASL[login.kind] then
    options.mechanism = login.kind == "plain" and "PLAIN"
      or login.mechanism or "SCRAM-SHA-512"
    options.user, options.password = login.user, login.password
  elseif login then
    options.cert, options.key = login.cert, login.key
  end
  return options
end

return M
