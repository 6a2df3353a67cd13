--- What a topic takes: the size of batches, up to which the copier merges small
-- ones and divides large ones. Asked again now and then, since such a limit may
-- be moved while a bridge is open.

local task = require "vm.task"

local M = {}

local KEEP_MS = 60000

local function key_of(side, topic) return side .. "/" .. topic end

--- Bytes, or 0 where the cluster does not say (then nothing is merged).
---@async
---@return integer
function M.batch_bytes(engine, side, topic)
  engine.limits = engine.limits or {}
  local key = key_of(side, topic)
  local known = engine.limits[key]
  if known and task.now() < known.until_ms then return known.answer:wait() end
  known = { answer = task.flag(), until_ms = task.now() + KEEP_MS }
  engine.limits[key] = known
  local found = engine.clients[side]:configs("topic", { topic })
  local setting = found and found[topic] and found[topic]["max.message.bytes"]
  known.answer:set(setting and math.tointeger(tonumber(setting.value)) or 0)
  return known.answer:wait()
end

--- Forgets what a topic takes: the target has just said otherwise.
function M.forget(engine, side, topic)
  if engine.limits then engine.limits[key_of(side, topic)] = nil end
end

return M
