--- What the running coroutine may do: its phase, and who records its effects.
-- A context belongs to a coroutine (vm.task hands it on to child tasks), never
-- to a handle: a handle is only a name. Faces ask here before they touch the
-- world, so that no I/O happens while a runbook is being declared.

local task = require "vm.task"
local err = require "base.err"

local M = {}

---@class tranship.Context
---@field phase "declare"|"check"|"plan"|"run"|"undo"|"repl"|"tool"
---@field perform? fun(effect: tranship.Effect): any, tranship.Err?  sends, records or refuses an effect
---@field overlay? table<string, any>  planned values by target, seen by later reads
---@field observed? fun(target: string, value: any)  told of every observation
---@field progress? fun(text: string)  one line about what is going on now
---@field baseline? table  how the world was when the run began
---@field read_only? boolean  clients opened in this context refuse writes in C

--- The context of the running coroutine; a bare tool context if none was set.
---@return tranship.Context
function M.get()
  return task.locals().context or M.tool
end

--- Runs `fn(...)` under `context`; the one before comes back on every way out.
---@param context tranship.Context
function M.with(context, fn, ...)
  local locals = task.locals()
  local before = locals.context
  locals.context = context
  local restore <close> = setmetatable({}, { __close = function()
    locals.context = before
  end })
  return fn(...)
end

--- Raises unless live clusters may be read now; `what` names the call.
function M.live(what)
  if M.get().phase == "declare" then
    err.raise {
      kind = "phase", code = "E0501",
      message = what .. " reads a live cluster, and this is a declaration; "
        .. "move it into check, verify or apply",
    }
  end
end

--- One line about what is going on now, for the live view.
function M.progress(format, ...)
  local progress = M.get().progress
  if progress then progress(format:format(...)) end
end

--- Outside runbooks (tests, `tranship mirror`): effects are simply sent.
M.tool = {
  phase = "tool",
  perform = function(effect) return effect.send() end,
}

return M
