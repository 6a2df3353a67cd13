--- What a topic takes: the size of batches, up to which the copier merges small
-- ones and divides large ones, whether it keeps a record's time, how many
-- replicas it wants in sync. Asked again now and then, since settings may change
-- while a bridge is open.

local task = require "vm.task"
local err = require "base.err"

local M = {}

local KEEP_MS = 60000

---@class mirror.topic_limits
---@field batch_bytes integer 0: not known
---@field compacted boolean
---@field time? string "CreateTime" or "LogAppendTime"
---@field before_ms? integer
---@field after_ms? integer
---@field in_sync? integer
---@field settings table all of them, by name

local function key_of(side, topic) return side .. "/" .. topic end

local function ask(engine, side, topic)
  local found, why = engine.clients[side]:configs("topic", { topic })
  if found and not found[topic] then
    why = err.new { kind = "not found", origin = "kafka", retriable = true,
      message = "what topic " .. topic .. " takes is not told yet" }
  end
  local settings = found and found[topic] or {}
  local function value(name) return settings[name] and settings[name].value end
  local function integer(name)
    return math.tointeger(tonumber(value(name) or ""))
  end
  return {
    batch_bytes = integer "max.message.bytes" or 0,
    time = value "message.timestamp.type",
    compacted = (value "cleanup.policy" or ""):find "compact" ~= nil,
    before_ms = integer "message.timestamp.before.max.ms",
    after_ms = integer "message.timestamp.after.max.ms",
    in_sync = integer "min.insync.replicas",
    settings = settings, why = why,
  }
end

--- Settings of a topic; without those that the cluster does not say, and why it
-- said none. With `batch_bytes` 0 nothing is merged.
---@async
---@return mirror.topic_limits
function M.of(engine, side, topic)
  engine.limits = engine.limits or {}
  local key = key_of(side, topic)
  local known = engine.limits[key]
  if known and task.now() < known.until_ms then return known.answer:wait() end
  known = { answer = task.flag(), until_ms = task.now() + KEEP_MS }
  engine.limits[key] = known
  local said = ask(engine, side, topic)
  local passes = said.why and said.why.kind ~= "denied"
  if passes and engine.limits[key] == known then engine.limits[key] = nil end
  known.answer:set(said)
  return said
end

--- Forgets what a topic takes: the target has just said otherwise.
function M.forget(engine, side, topic)
  if engine.limits then engine.limits[key_of(side, topic)] = nil end
end

return M
