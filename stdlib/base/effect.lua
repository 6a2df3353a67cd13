--- The primitive layer: every change to the world goes through `perform`,
-- every reading a plan or report rests on through `observe`. Dry-run,
-- journalling and read-only mode are decided here, below any script.

local context = require "base.context"
local err = require "base.err"

local M = {}

---@class tranship.Effect
---@field primitive string  what is done, e.g. "kafka.create_topics"
---@field target string     the subject, e.g. "cluster/new/topic/apps.greetings"
---@field resume "set"|"create"|"delete"|"append"|"fire"  how a crash between intent and outcome is settled
---@field summary string    one line for people: "create topic x, 3 partitions"
---@field args? table       plain data, no secrets: goes into journal and plan
---@field before? any       what is there now (the preimage; plain data)
---@field after? any        what will be there (plain data); seen by later reads of a plan
---@field undo? string      one line: how it is taken back
---@field send fun(): any, tranship.Err?  does it; `nil, err` on failure
---@field simulate? fun(): any, tranship.Err?  asks the server without changing anything (validateOnly)

--- Does, records or refuses an effect, as the context says.
---@async
---@param effect tranship.Effect
---@return any value, tranship.Err? err
function M.perform(effect)
  local now = context.get()
  if now.phase == "declare" then
    err.raise {
      kind = "phase", code = "E0502",
      message = ("%s changes %s, and this is a declaration; move it into apply")
        :format(effect.primitive, effect.target),
    }
  elseif not now.perform then
    err.raise {
      kind = "phase", code = "E0503",
      message = ("%s changes %s, and %s only reads; move it into apply")
        :format(effect.primitive, effect.target, now.phase),
    }
  end
  return now.perform(effect)
end

--- Reads through the plan's overlay: the planned value if an earlier effect of
-- this plan set `target`, else the world's.
---@async
---@param target string
---@param read fun(): any, tranship.Err?
function M.observe(target, read)
  context.live(target)
  local now = context.get()
  local overlay = now.overlay
  if overlay and overlay[target] ~= nil then return overlay[target] end
  local value, why = read()
  if value ~= nil and now.observed then now.observed(target, value) end
  return value, why
end

--- A value nobody can know while planning. Storing it is fine; looking into it
-- raises an err of kind "unknown", which ends that step's plan.
function M.unknown(reason)
  local function refuse()
    err.raise { kind = "unknown", message = "depends on " .. reason }
  end
  return setmetatable({}, {
    __index = refuse, __newindex = refuse, __call = refuse, __concat = refuse,
    __eq = refuse, __lt = refuse, __le = refuse, __len = refuse,
    __add = refuse, __sub = refuse, __name = "unknown",
    __tostring = function() return "(unknown: " .. reason .. ")" end,
    __metatable = "unknown",
  })
end

function M.is_unknown(value) return getmetatable(value) == "unknown" end

return M
