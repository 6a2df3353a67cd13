--- An engine's access to its two clusters: sides for the wire, clients for the
-- rest, one login for both; and what happens when a password or certificate
-- is replaced under it: new connections use the new one, old ones go on.

local kafka = require "vm.kafka"
local log = require "vm.log"
local task = require "vm.task"
local login = require "kafka.login"
local credentials = require "mirror.credentials"
local side = require "mirror.side"

local M = {}

local LOOK_MS = 2000

local function client_of(options, name)
  options.name = name
  local client, why = kafka.open(options)
  if not client then error(why, 0) end
  return client
end

--- Opens side and client `at`; raises the err of credentials that are broken.
function M.open(engine, at)
  local spec = engine.spec[at]
  local options = login.options(spec)
  engine.logins = engine.logins or {}
  engine.logins[at] = login.wire(options)
  engine.sides[at] = side.new {
    name = spec.name, bootstrap = spec.bootstrap, login = engine.logins[at],
  }
  engine.clients[at] = client_of(options, spec.name)
end

--- Takes over what the references of a side hold now. Certificate and key are
-- two files: between the two writes they do not fit, and are read again.
local function renew(engine, at)
  local fresh = credentials.renewed(engine.spec[at])
  if not fresh then return end
  local options = login.options(fresh)
  local ok, why = engine.logins[at]:replace(login.raw(options))
  if not ok then
    log.warn(("%s: the new credentials cannot be used: %s"):format(fresh.name,
      tostring(why)))
    return
  end
  local before = engine.clients[at]
  engine.clients[at] = client_of(options, fresh.name)
  engine.spec[at] = fresh
  before:close()
  if at == "to" then engine.topic:renew() end
  log.info(("%s: logs in with new credentials from now on"):format(fresh.name))
end

--- Looks after replaced files; ends at once where nothing can be replaced.
---@async
function M.keep(engine)
  local watched = {}
  for _, at in ipairs { "from", "to" } do
    if engine.logins[at] and credentials.may_change(engine.spec[at]) then
      watched[#watched + 1] = at
    end
  end
  while #watched > 0 do
    task.sleep(LOOK_MS)
    for _, at in ipairs(watched) do renew(engine, at) end
  end
  return true
end

return M
