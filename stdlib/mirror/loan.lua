--- A setting of the target's brokers, borrowed for as long as a bridge is open.
-- Brokers forget a producer by the timestamps of its records, and a copy writes
-- old ones: the id of a leg would be gone at the next expiry check, and with it
-- what refuses a repeated batch. So brokers remember for as long as they can.
-- What was set before is recorded first, and put back when the bridge closes.

local log = require "vm.log"
local record = require "mirror.record"

local M = {}

local SETTING = "producer.id.expiration.ms"
local LONGEST = "2147483647" -- ms, 24.8 days: the largest that brokers take

local function brokers(engine)
  local found, why = engine.clients.to:cluster()
  if not found then return nil, why end
  local ids = {}
  for _, one in ipairs(found.brokers) do ids[#ids + 1] = tostring(one.id) end
  return ids
end

local function alter(engine, change)
  local done, why = engine.clients.to:alter_configs { change }
  if not done then return nil, why end
  if done[1] and done[1].err then return nil, done[1].err end
  return true
end

local function raise(engine, id, now)
  local before = now and now.source == "broker" and now.value or nil
  if not engine.ledger.loans[id] then
    local ok, why = engine:announce { { record.key.loan(id), {
      setting = SETTING, before = before, state = "taken",
    } } }
    if not ok then return nil, why end
  end
  local ok, why = alter(engine, {
    type = "broker", name = id, set = { [SETTING] = LONGEST },
  })
  if not ok then return nil, why end
  log.info(("broker %s of %s remembers producers for 24.8 days while the "
    .. "bridge is open (%s; %s before)"):format(id, engine.spec.to.name,
    SETTING, now and now.value or "not set"))
  return true
end

--- Was the cluster declared with never = { "alter configs" }?
local function is_ruled_out(engine)
  for _, word in ipairs(engine.policy.to.never or {}) do
    if word == "alter configs" then return true end
  end
  return false
end

--- Takes the loan from every broker that has not given it yet. A refusal is
-- told once: copying goes on, and every answer's offset is compared anyway.
---@async
function M.take(engine)
  local ids, why = brokers(engine)
  if not ids then return nil, why end
  local found
  if is_ruled_out(engine) then
    why = "it is declared never to alter configs"
  else
    found, why = engine.clients.to:configs("broker", ids)
  end
  for _, id in ipairs(found and ids or {}) do
    local now = found[id] and found[id][SETTING]
    if not now or now.value ~= LONGEST then
      local ok
      ok, why = raise(engine, id, now)
      if not ok then break end
    end
  end
  if not why or engine.loan_refused then return true end
  engine.loan_refused = true
  log.warn(("%s cannot be raised on %s (%s): for records that are older than "
    .. "it, brokers may forget the copy's producer id"):format(SETTING,
    engine.spec.to.name, tostring(why)))
  return true
end

--- Puts back what was there before; what says so is added to `list`.
---@async
function M.give_back(engine, list)
  for id, loan in pairs(engine.ledger.loans) do
    local change = { type = "broker", name = id }
    if loan.before then
      change.set = { [loan.setting] = loan.before }
    else
      change.delete = { loan.setting }
    end
    local ok, why = alter(engine, change)
    if ok then
      list[#list + 1] = { record.key.loan(id), {
        setting = loan.setting, state = "given back",
      } }
    else
      log.error(("%s of broker %s of %s is still %s (%s): put it back to %s")
        :format(loan.setting, id, engine.spec.to.name, LONGEST, tostring(why),
          loan.before or "its default"))
    end
  end
end

return M
