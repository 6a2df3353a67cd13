--- Settings of the target, borrowed for as long as a bridge is open. What was
-- set before is recorded first, and put back when the bridge closes.
--
-- From brokers: they forget a producer by the timestamps of its records, and a
-- copy writes old ones, so the id of a leg would be gone at the next expiry
-- check, and with it what refuses a repeated batch. They remember for as long as
-- they can. From topics: see mirror.loan_topic.

local log = require "vm.log"
local record = require "mirror.topic.record"

local M = {}

local SETTING = "producer.id.expiration.ms"
local LONGEST = "2147483647" -- ms, 24.8 days: the largest that brokers take

local function alter(client, change)
  local done, why = client:alter_configs { change }
  if not done then return nil, why end
  if done[1] and done[1].err then return nil, done[1].err end
  return true
end

--- Was the cluster declared with never = { "alter configs" }?
function M.is_ruled_out(policy, side)
  for _, word in ipairs(policy[side].never or {}) do
    if word == "alter configs" then return true end
  end
  return false
end

--- Borrows: notes what was there before, unless that is noted, then sets.
-- `loan` is { setting, before?, topic?, side? }, of a topic or broker `id`.
---@async
function M.borrow(engine, id, loan, value)
  if not engine.ledger.loans[id] then
    loan.state = "taken"
    local ok, why = engine:announce { { record.key.loan(id), loan } }
    if not ok then return nil, why end
  end
  return alter(engine.clients[loan.side or "to"], {
    type = loan.topic and "topic" or "broker", name = loan.topic or id,
    set = { [loan.setting] = value },
  })
end

local function brokers(engine)
  local found, why = engine.clients.to:cluster()
  if not found then return nil, why end
  local ids = {}
  for _, one in ipairs(found.brokers) do ids[#ids + 1] = tostring(one.id) end
  return ids
end

local function raise(engine, id, now)
  local before = now and now.source == "broker" and now.value or nil
  local ok, why = M.borrow(engine, id, { setting = SETTING, before = before },
    LONGEST)
  if not ok then return nil, why end
  log.info(("broker %s of %s remembers producers for 24.8 days while the "
    .. "bridge is open (%s; %s before)"):format(id, engine.spec.to.name,
    SETTING, now and now.value or "not set"))
  return true
end

--- Takes the loan from every broker that has not given it yet. A refusal is
-- told once: copying goes on, and every answer's offset is compared anyway.
---@async
function M.take(engine)
  local ids, why = brokers(engine)
  if not ids then return nil, why end
  local found
  if M.is_ruled_out(engine.policy, "to") then
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

--- Puts one setting back to what was there before.
---@async
---@param client_of fun(side: string): userdata
---@return table? record  says so, to be written to the bridge's topic
---@return tranship.Err?
function M.repay(id, loan, client_of)
  local change = {
    type = loan.topic and "topic" or "broker", name = loan.topic or id,
  }
  if loan.before then
    change.set = { [loan.setting] = loan.before }
  else
    change.delete = { loan.setting }
  end
  local ok, why = alter(client_of(loan.side or "to"), change)
  if not ok and why.kind ~= "not found" then return nil, why end
  return { record.key.loan(id), {
    setting = loan.setting, state = "given back",
  } }
end

--- Puts everything back; what says so is added to `list`.
---@async
---@return string[] problems  one text for each that is still as it was lent
function M.give_back(loans, client_of, list)
  local problems = {}
  for id, loan in pairs(loans) do
    local said, why = M.repay(id, loan, client_of)
    if said then
      list[#list + 1] = said
    else
      problems[#problems + 1] = ("%s of %s is as the bridge needed it (%s): "
        .. "put it back to %s"):format(loan.setting, loan.topic
        and "topic " .. loan.topic or "broker " .. id, tostring(why),
        loan.before or "its default")
    end
  end
  return problems
end

return M
