--- Certificates of the stand-in for Strimzi's operators, made by openssl in a
-- private folder: authorities, and what they sign.

local sys = require "vm.sys"

local M = {}

local EC = { "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes" }
local DAYS = "365"

local function run(words)
  local done = assert(sys.run(words))
  if done.code ~= 0 then error(words[2] .. ": " .. done.stderr, 0) end
  return done.stdout
end

local function openssl(...)
  local words = { "openssl" }
  for _, part in ipairs { ... } do
    if type(part) == "table" then
      table.move(part, 1, #part, #words + 1, words)
    else
      words[#words + 1] = part
    end
  end
  return run(words)
end

--- Calls `body(folder)` with a folder that is gone afterwards.
local function privately(body)
  local folder = assert(sys.temporary_folder "strimzi-stand-in")
  local ok, value, more = pcall(body, folder)
  run { "rm", "-rf", folder }
  if not ok then error(value, 0) end
  return value, more
end

local function read(folder, name) return assert(sys.read_file(folder .. "/" .. name)) end
local function write(folder, name, text)
  assert(sys.write_file(folder .. "/" .. name, text, { mode = 384 }))
end

--- A new authority: certificate and key as PEM.
---@async
function M.make(name)
  return privately(function(folder)
    openssl("req", "-x509", EC, "-days", DAYS, "-subj", "/O=io.strimzi/CN=" .. name,
      "-addext", "keyUsage=critical,keyCertSign,cRLSign",
      "-keyout", folder .. "/key", "-out", folder .. "/crt")
    return read(folder, "crt"), read(folder, "key")
  end)
end

--- A certificate and key signed by an authority; `names` are those of a server
-- ("DNS:localhost,IP:127.0.0.1"), without any it is a client's.
---@async
function M.sign(ca_crt, ca_key, subject, names, days)
  return privately(function(folder)
    write(folder, "ca.crt", ca_crt)
    write(folder, "ca.key", ca_key)
    write(folder, "ext", names and "extendedKeyUsage=serverAuth\nsubjectAltName=" .. names
      or "extendedKeyUsage=clientAuth")
    openssl("req", EC, "-subj", subject, "-keyout", folder .. "/key", "-out", folder .. "/csr")
    openssl("x509", "-req", "-in", folder .. "/csr", "-CA", folder .. "/ca.crt",
      "-CAkey", folder .. "/ca.key", "-CAcreateserial", "-days", tostring(days or DAYS),
      "-extfile", folder .. "/ext", "-out", folder .. "/crt")
    return read(folder, "crt"), read(folder, "key")
  end)
end

--- Whether a certificate was signed by an authority.
---@async
function M.is_from(crt, ca_crt)
  return privately(function(folder)
    write(folder, "crt", crt)
    write(folder, "ca", ca_crt)
    return sys.run { "openssl", "verify", "-CAfile", folder .. "/ca", folder .. "/crt" }.code == 0
  end)
end

return M
