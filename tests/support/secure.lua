--- A secured broker for tests: TLS, mTLS, SASL PLAIN and SCRAM, with an
-- authorizer. Certificates are made by openssl for each broker.
--     local secure = dofile "tests/support/secure.lua"
--     secure.with(function(on) ... end)
-- on.plaintext (everything allowed), on.sasl_ssl, on.sasl_plaintext, on.ssl are
-- addresses; on.ca, on.cert, on.key, on.other_ca are PEM texts. The client
-- certificate is User:CN=client; SASL PLAIN knows carol. SASL OAUTHBEARER is
-- Kafka's own handler that takes unsecured tokens. For several brokers of one
-- authority: secure.certificates(dir, on), then secure.settings(dir, on) each.

local err = require "base.err"
local sys = require "vm.sys"

local M = {}

local function check(value, why)
  if value == nil then error(why, 0) end
  return value
end

local function run(words)
  local done = check(sys.run(words))
  if done.code ~= 0 then
    err.raise { kind = "io", message = table.concat(words, " ") .. ": "
      .. done.stderr }
  end
  return done.stdout
end

local function authority(dir, name)
  run { "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
    "2", "-subj", "/CN=" .. name, "-keyout", dir .. "/" .. name .. ".key",
    "-out", dir .. "/" .. name .. ".pem" }
end

local function certificate(dir, ca, name, extra, days, as)
  local base = dir .. "/" .. (as or name)
  run { "openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj",
    "/CN=" .. name, "-keyout", base .. ".key", "-out", base .. ".csr" }
  check(sys.write_file(base .. ".ext", extra))
  run { "openssl", "x509", "-req", "-in", base .. ".csr", "-CA",
    dir .. "/" .. ca .. ".pem", "-CAkey", dir .. "/" .. ca .. ".key",
    "-CAcreateserial", "-days", days or "2", "-extfile", base .. ".ext", "-out",
    base .. ".pem" }
end

--- A port that nobody listens on.
function M.free_port()
  while true do
    local a, b = sys.random(2):byte(1, 2)
    local port = 20000 + (a << 8 | b) % 9000
    if not sys.probe_tcp("127.0.0.1", port, 200) then return port end
  end
end

local NAMES = { "PLAINTEXT", "SASL_SSL", "SASL_PLAINTEXT", "SSL" }

local function settings(dir, on)
  local listen, advertise, map = {}, {}, { "CONTROLLER:PLAINTEXT" }
  for i, name in ipairs(NAMES) do
    local port = M.free_port()
    listen[i] = ("%s://127.0.0.1:%d"):format(name, port)
    advertise[i] = ("%s://localhost:%d"):format(name, port)
    map[#map + 1] = name .. ":" .. name
    on[name:lower()] = "localhost:" .. port
  end
  listen[#listen + 1] = "CONTROLLER://127.0.0.1:@CTL@"
  local scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
  local plain = "org.apache.kafka.common.security.plain.PlainLoginModule "
    .. "required user_carol=\"carol-pw\";"
  local bearer = "org.apache.kafka.common.security.oauthbearer."
    .. "OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"x\";"
  local list = {
    "listeners=" .. table.concat(listen, ","),
    "advertised.listeners=" .. table.concat(advertise, ","),
    "listener.security.protocol.map=" .. table.concat(map, ","),
    "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
    "ssl.keystore.type=PEM", "ssl.keystore.location=" .. dir .. "/server.all",
    "ssl.truststore.type=PEM", "ssl.truststore.location=" .. dir .. "/ca.pem",
    "listener.name.ssl.ssl.client.auth=required",
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users=User:ANONYMOUS;User:admin",
  }
  for _, listener in ipairs { "sasl_ssl", "sasl_plaintext" } do
    local prefix = "listener.name." .. listener .. "."
    list[#list + 1] = prefix .. "plain.sasl.jaas.config=" .. plain
    list[#list + 1] = prefix .. "scram-sha-256.sasl.jaas.config=" .. scram
    list[#list + 1] = prefix .. "scram-sha-512.sasl.jaas.config=" .. scram
    list[#list + 1] = prefix .. "oauthbearer.sasl.jaas.config=" .. bearer
  end
  return list
end

--- A new certificate for the brokers, good for `days`: they take it with their
-- next start; or a file of its own `as` a name, which they may be told to take.
---@return string path
function M.renew_server(dir, days, as)
  as = as or "server"
  certificate(dir, "ca", "server", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    days, as)
  local function pem(name) return check(sys.read_file(dir .. "/" .. name)) end
  -- PKCS#8 key and chain in one file, as Kafka wants it.
  local path = ("%s/%s.all"):format(dir, as)
  check(sys.write_file(path, pem(as .. ".key") .. pem(as .. ".pem")
    .. pem "ca.pem"))
  return path
end

local function make_certificates(dir, on)
  authority(dir, "ca")
  authority(dir, "other")
  M.renew_server(dir)
  certificate(dir, "ca", "client", "extendedKeyUsage=clientAuth")
  local function pem(name) return check(sys.read_file(dir .. "/" .. name)) end
  on.ca, on.other_ca = pem "ca.pem", pem "other.pem"
  on.cert, on.key = pem "client.pem", pem "client.key"
end
M.certificates, M.settings = make_certificates, settings

--- The client's certificate, expired: { cert, key } as PEM.
function M.expired(dir)
  certificate(dir, "ca", "client", "extendedKeyUsage=clientAuth", "-1", "late")
  return { cert = check(sys.read_file(dir .. "/late.pem")),
    key = check(sys.read_file(dir .. "/late.key")) }
end

--- A script that prints an unsecured token of `subject`, good for `seconds`.
function M.token_command(dir, subject, seconds)
  local path = dir .. "/token-of-" .. subject
  check(sys.write_file(path, ([[#!/bin/sh
now=$(date +%%s)
part() { printf '%%s' "$1" | base64 -w0 | tr '+/' '-_' | tr -d '='; }
echo "$(part '{"alg":"none"}').$(part '{"sub":"%s","iat":'"$now"',"exp":'"$((now + %d))"'}')."
echo asked >>"$0.log"
]]):format(subject, seconds), { mode = 448 })) -- 0700
  return path
end

--- Starts one, calls `body(on)`, and stops it however that ends.
---@async
function M.with(body)
  local dir = check(sys.temporary_folder "tranship-secure")
  local on = {}
  local ok, why = pcall(function()
    make_certificates(dir, on)
    run { "tests/world/cluster", "up", dir .. "/b",
      table.unpack(settings(dir, on)) }
    body(on)
  end)
  sys.run { "tests/world/cluster", "down", dir .. "/b" }
  sys.run { "rm", "-rf", dir }
  if not ok then error(why, 0) end
end

return M
