--- An engine's access to its two clusters: sides for the wire, clients for the
-- rest, one login for both; and what happens when a password or certificate
-- is replaced under it: new connections use the new one, old ones go on.

local handover = require "vm.handover"
local kafka = require "vm.kafka"
local log = require "vm.log"
local secret = require "vm.secret"
local task = require "vm.task"
local outgoing = require "base.outgoing"
local login = require "kafka.login"
local credentials = require "mirror.engine.credentials"
local place = require "mirror.engine.place"
local side = require "mirror.side"

local M = {}

local LOOK_MS = 2000
local DISMISS_MS = 30000 -- calls under way on a client that was replaced

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

--- Takes over what the references of a side hold now, or what was handed over.
-- Certificate and key are two files: between the two writes they do not fit, and
-- are read again.
local function renew(engine, at, given)
  local fresh = credentials.renewed(engine.spec[at], at, given)
  if not fresh then return end
  local options = login.options(fresh)
  local ok, why = engine.logins[at]:replace(login.raw(options))
  if not ok then
    log.warn(("%s: the new credentials cannot be used: %s"):format(fresh.name,
      tostring(why)))
    return
  end
  engine.outgoing:add(engine.clients[at])
  engine.clients[at] = client_of(options, fresh.name)
  engine.spec[at] = fresh
  if at == "to" then engine.topic:renew() end
  log.info(("%s: logs in with new credentials from now on"):format(fresh.name))
end

--- Where a run hands over what was renewed. False where there is none: an engine
-- of a group reads files.
local function open_inbox(engine)
  if engine.spec.group then return false end
  local inbox, why = handover.open(place.path(engine.name, "inbox"))
  if inbox then return inbox end
  log.warn("renewed credentials cannot be handed over: " .. tostring(why))
  return false
end

--- What was handed over since, by place.
local function taken(inbox)
  local packed, why = inbox:take()
  local given
  if packed then given, why = secret.unpack(packed) end
  if why then log.warn("what was handed over cannot be used: " .. tostring(why)) end
  return given
end

local function dismiss(engine, after_ms)
  for client in engine.outgoing:old(after_ms) do client:close() end
end

--- Looks after replaced files and what runs hand over; ends at once where nobody
-- logs in.
---@async
function M.keep(engine)
  local watched = {}
  for _, at in ipairs { "from", "to" } do
    if engine.logins[at] then watched[#watched + 1] = at end
  end
  if #watched == 0 then return true end
  engine.outgoing = outgoing.new()
  local _ <close> = setmetatable({}, { __close = function() dismiss(engine, 0) end })
  local inbox <close> = open_inbox(engine)
  while true do
    task.sleep(LOOK_MS)
    dismiss(engine, DISMISS_MS)
    local given = inbox and taken(inbox)
    for _, at in ipairs(watched) do
      if given or credentials.may_change(engine.spec[at]) then renew(engine, at, given) end
    end
  end
end

return M
