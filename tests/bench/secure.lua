--- What brokers of a benchmark need for TLS: one authority, a certificate, and
-- for each of two brokers its settings and the address of its TLS listener.
--   tranship --lua tests/bench/secure.lua FOLDER
-- leaves FOLDER/ca.pem, and for `old` and `new` NAME.settings, NAME.tls and
-- NAME.plain (addresses; the plain one is for filling).

local secure = dofile "tests/support/secure.lua"
local sys = require "vm.sys"
local try = require "base.try"

local folder = ...
local authority = {}
secure.certificates(folder, authority)
for _, name in ipairs { "old", "new" } do
  local on = {}
  local settings = secure.settings(folder, on)
  -- What is measured is encryption: who calls does not matter.
  settings[#settings + 1] = "listener.name.ssl.ssl.client.auth=none"
  settings[#settings + 1] = ""
  local base = folder .. "/" .. name
  try(sys.write_file(base .. ".settings", table.concat(settings, "\n")))
  try(sys.write_file(base .. ".tls", on.ssl))
  try(sys.write_file(base .. ".plain", on.plaintext))
end
