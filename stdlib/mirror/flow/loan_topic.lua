--- Settings of the topic that is written, borrowed where it would not take the
-- records' times as they are: the copy takes what the source took, and shows
-- what the source shows. Given back when the topic turns, or the bridge closes.

local log = require "vm.log"
local err = require "base.err"
local halt = require "mirror.flow.halt"
local limits = require "mirror.flow.limits"
local loan = require "mirror.topic.loan"

local M = {}

local TYPE = "message.timestamp.type"
local BEFORE = "message.timestamp.before.max.ms"
local AFTER = "message.timestamp.after.max.ms"
local UNLIMITED = math.maxinteger

local function id_of(side, name, setting)
  return ("%s:%s:%s"):format(side, name, setting)
end

local function borrow(flow, side, name, setting, value)
  local engine = flow.engine
  if loan.is_ruled_out(engine.policy, side) then
    return nil, err.new { kind = "denied", origin = "bridge",
      message = flow:side(side).name .. " is declared never to alter configs" }
  end
  local said = limits.of(engine, side, name)
  if said.why then return nil, said.why end -- what was there before is not known
  local now = said.settings[setting]
  local ok, why = loan.borrow(engine, id_of(side, name, setting), {
    setting = setting, topic = name, side = side,
    before = now and now.source == "topic" and now.value or nil,
  }, value)
  limits.forget(engine, side, name)
  if not ok then return nil, why end
  log.info(("%s of %s on %s is %s while it is copied (%s before)"):format(
    setting, name, flow:side(side).name, value, now and now.value or "not set"))
  return true
end

--- Lifts the limits of timestamps. False: there is none that could be lifted.
---@async
---@return boolean?, tranship.Err?
function M.lift(flow, side)
  local engine, name = flow.engine, flow:name_on(side)
  limits.forget(engine, side, name)
  local now, lifted = limits.of(engine, side, name), false
  if now.why then return nil, now.why end
  for setting, value in pairs { [BEFORE] = now.before_ms or UNLIMITED,
    [AFTER] = now.after_ms or UNLIMITED } do
    if value < UNLIMITED then
      local ok, why = borrow(flow, side, name, setting,
        ("%d"):format(UNLIMITED))
      if not ok then return nil, why end
      lifted = true
    end
  end
  return lifted
end

--- Nobody says whether the topic keeps records' times. Who has no right to know
-- copies all the same, and is told once what he has to see to.
local function is_untold(flow, side, why)
  if why.kind ~= "denied" then return nil, why end
  local engine, name = flow.engine, flow:name_on(side)
  engine.untold = engine.untold or {}
  if not engine.untold[name] then
    log.warn(("whether %s on %s keeps records' times cannot be told (%s): its %s "
      .. "must be CreateTime, or the copy bears other times; grant "
      .. "DESCRIBE_CONFIGS on it"):format(name, flow:side(side).name,
      tostring(why), TYPE))
  end
  engine.untold[name] = true
  return true
end

--- Sees to it that the topic keeps records' times and does not set its own.
---@async
---@return true|nil, tranship.Err|tranship.Halt?
function M.keep_time(flow, side)
  local engine, name = flow.engine, flow:name_on(side)
  local function sets_its_own()
    return limits.of(engine, side, name).time == "LogAppendTime"
  end
  local untold = limits.of(engine, side, name).why
  if untold then return is_untold(flow, side, untold) end
  if not sets_its_own() then return true end
  local ok, why = borrow(flow, side, name, TYPE, "CreateTime")
  if ok or why.retriable then return ok, why end
  local stop = halt.new("append_time", nil, "%s: %s on %s gives records its own "
    .. "time, so the copy would not show what the source shows, and that "
    .. "cannot be changed (%s): set its %s to CreateTime, and the copy goes on "
    .. "by itself", flow.id, name, flow:side(side).name, tostring(why), TYPE)
  function stop.is_cured()
    limits.forget(engine, side, name)
    return not sets_its_own()
  end
  return nil, stop
end

--- Gives back what was borrowed of a topic that is read from now on.
---@async
function M.give_back(flow, side)
  local engine, name = flow.engine, flow:name_on(side)
  for _, setting in ipairs { TYPE, BEFORE, AFTER } do
    local id = id_of(side, name, setting)
    local lent = engine.ledger.loans[id]
    if lent then
      local said, why = loan.repay(id, lent, function(at)
        return engine.clients[at]
      end)
      if not said then return nil, why end
      local ok
      ok, why = engine:announce { said }
      if not ok then return nil, why end
      limits.forget(engine, side, name)
    end
  end
  return true
end

return M
