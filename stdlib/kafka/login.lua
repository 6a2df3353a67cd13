--- What a cluster's declaration says about logging in, as options of
-- vm.kafka.open and vm.wire.login. Secrets are handed on, never looked at.

local err = require "base.err"
local secret = require "vm.secret"
local wire = require "vm.wire"

local M = {}

local SASL = { scram = true, plain = true, token = true }
local HELD = { "user", "password", "cert", "key", "key_password" }
local KEY = "same?" -- of fingerprints that are only held against each other
local VERIFIES = "ssl.endpoint.identification.algorithm"

--- Options that raw connections take too.
local SHARED = { "protocol", "mechanism", "user", "password", "token", "ca",
  "cert", "key", "key_password" }

local function refuse(spec, format, ...)
  err.raise { kind = "invalid", origin = "kafka",
    message = ("cluster %s "):format(spec.name) .. format:format(...) }
end

local function protocol(spec, login)
  local tls = spec.tls
  if tls == nil then
    tls = spec.ca ~= nil or login ~= nil and login.kind == "certificate"
  end
  if login and SASL[login.kind] then return tls and "sasl_ssl" or "sasl_plaintext" end
  return tls and "ssl" or "plaintext"
end

local function mechanism(login)
  if login.kind == "plain" then return "PLAIN" end
  if login.kind == "token" then return "OAUTHBEARER" end
  return login.mechanism or "SCRAM-SHA-512"
end

--- Options for vm.kafka.open, less mode and timeout.
---@param spec table  the fields of a cluster's declaration
---@return table
function M.options(spec)
  local login = spec.login
  if login and not SASL[login.kind] and login.kind ~= "certificate" then
    refuse(spec, "cannot log in by '%s'", tostring(login.kind))
  end
  local options = {
    bootstrap = spec.bootstrap, name = "tranship",
    protocol = protocol(spec, login), ca = spec.ca, settings = spec.settings,
  }
  if login and SASL[login.kind] then
    options.mechanism = mechanism(login)
    options.user, options.password = login.user, login.password
    options.token = login.command
  elseif login then
    options.cert, options.key = login.cert, login.key
    options.key_password = login.key_password
  end
  return options
end

--- The same for raw connections; nil where they need none.
---@param options table  what M.options gave
function M.raw(options)
  if options.protocol == "plaintext" then return nil end
  local raw = {}
  for _, name in ipairs(SHARED) do raw[name] = options[name] end
  raw.any_host = options.settings and options.settings[VERIFIES] == "none"
  return raw
end

local function mark(value)
  if value == nil then return "-" end
  return (secret.is(value) and value or secret.new(value, "pem")):fingerprint(KEY)
end
M.mark = mark

--- A text that is another one when whoever logs in does so otherwise.
---@param spec table  the fields of a cluster's declaration
---@return string
function M.marks(spec)
  local list = { mark(spec.ca) }
  for i, name in ipairs(HELD) do list[i + 1] = mark(spec.login and spec.login[name]) end
  return table.concat(list, " ")
end

--- A login for vm.wire.connect and all that builds on it; nil for a cluster
-- that wants none. Raises the err of a certificate or key that is broken.
---@param options table  what M.options gave
---@return userdata?
function M.wire(options)
  local raw = M.raw(options)
  if not raw then return nil end
  local made, why = wire.login(raw)
  if not made then error(err.wrap(why, "login"), 0) end
  return made
end

return M
