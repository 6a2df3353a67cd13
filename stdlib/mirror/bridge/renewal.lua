--- Credentials that are renewed while a run works: a KafkaUser's certificate or
-- password, an authority. The clusters of the bridge go on with the new ones, and
-- the engine gets them, wherever it lives; it is not started anew for them.

local login = require "kafka.login"
local place = require "mirror.engine.place"

local M = {}

--- One cluster's clients, and what of the bridge stands on them.
local function refresh(bridge, at)
  local renewed, why = bridge:cluster(at):_renew_login()
  if renewed and at == "to" and bridge._topic then bridge._topic:renew() end
  return renewed, why
end

--- What `read()` answers; asked again where a login is refused that was renewed, or
-- a renewal cut it off.
---@async
---@param read fun(): any, tranship.Err?
function M.again(bridge, read)
  local answer, why = read()
  if answer ~= nil or why == nil then return answer, why end
  if why.kind == "closed" then return read() end
  if why.kind ~= "auth" then return nil, why end
  local from, to = refresh(bridge, "from"), refresh(bridge, "to")
  if from or to then return read() end
  return nil, why
end

--- Looks once. True when something new was handed over; the first look of a
-- process always hands over, as nobody knows what the engine has.
---@async
---@param bridge tranship.Bridge
---@return boolean?, tranship.Err?
function M.look(bridge)
  if not bridge.from.strimzi and not bridge.to.strimzi then return false end
  for _, at in ipairs { "from", "to" } do
    local renewed, why = refresh(bridge, at)
    if renewed == nil then return nil, why end
  end
  local spec, why = place.spec(bridge, bridge._as)
  if not spec then return nil, why end
  local marks = login.marks(spec.from) .. login.marks(spec.to)
  if marks == bridge._handed_over then return false end
  local done
  done, why = bridge:home():hand_over(spec, bridge._as)
  if done == nil then return nil, why end
  if done then bridge._handed_over = marks end
  return done
end

return M
