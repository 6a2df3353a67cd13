--- Error values: what went wrong, for people and for programs.
-- `vm.*` and the library return `nil, err`; runbooks raise the err itself. An
-- err is news and prints one line; a string error is a mistake of ours.

local vm_err = require "vm.err"

local M = {}

---@class tranship.Err
---@field kind string        "timeout", "not found", "conflict", "phase", ...
---@field message string     one line, no trailing period, no secrets
---@field origin? string     "kafka", "sys", "wire", ...
---@field code? integer|string  the native number, or ours ("E0501")
---@field retriable? boolean the same call may succeed later
---@field fatal? boolean     the handle is of no more use
---@field cause? any         what led to it
---@field traceback? string  only for kind "bug": a string error that was caught

--- Turns a table of these fields into an err value.
---@param fields table
---@return tranship.Err
function M.new(fields)
  assert(type(fields.message) == "string", "an err needs a message")
  fields.kind = fields.kind or "invalid"
  return vm_err.new(fields)
end

--- Raises an err value.
---@param fields table
function M.raise(fields) error(M.new(fields), 0) end

--- Whether a value is an err.
---@param value any
---@return boolean
function M.is(value) return vm_err.is(value) end

--- The same trouble, seen from one floor up: "text: cause".
---@param cause any
---@param text string
---@return tranship.Err
function M.wrap(cause, text)
  local is_err = M.is(cause)
  return vm_err.new {
    kind = is_err and cause.kind or "bug",
    code = is_err and cause.code or nil,
    retriable = is_err and cause.retriable or false,
    fatal = is_err and cause.fatal or false,
    message = text, cause = cause,
  }
end

--- What an err says to people: its message, and what led to it if that is not in
-- there yet.
---@param why any
---@return string
function M.told(why)
  if type(why) ~= "table" or type(why.message) ~= "string" then return tostring(why) end
  local cause = why.cause
  local inner = type(cause) == "table" and cause.message or cause
  if cause == nil or why.message:find(tostring(inner), 1, true) then return why.message end
  return ("%s: %s"):format(why.message, tostring(cause))
end

return M
