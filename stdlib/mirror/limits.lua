--- How large a batch a topic takes: what the copier may merge small ones up
-- to, and what it need not even send. Asked again now and then, since such a
-- limit may be moved while a bridge is open.

local task = require "vm.task"

local M = {}

local KEEP_MS = 60000

--- Bytes, or 0 where the cluster does not say (then nothing is merged).
---@async
---@return integer
function M.batch_bytes(engine, side, topic)
  engine.limits = engine.limits or {}
  local key = side .. "/" .. topic
  local known = engine.limits[key]
  if known and task.now() < known.until_ms then return known.answer:wait() end
  known = { answer = task.flag(), until_ms = task.now() + KEEP_MS }
  engine.limits[key] = known
  local found = engine.clients[side]:configs("topic", { topic })
  local setting = found and found[topic] and found[topic]["max.message.bytes"]
  known.answer:set(setting and math.tointeger(tonumber(setting.value)) or 0)
  return known.answer:wait()
end

return M
