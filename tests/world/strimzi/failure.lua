--- How a reconciliation fails: with a reason and a message for the conditions.
local M = {}

function M.raise(reason, format, ...)
  error({ is_failure = true, reason = reason, message = format:format(...) }, 0)
end

--- The failure in what was raised; what is no failure is an InternalError.
function M.of(value)
  if type(value) == "table" and value.is_failure then return value end
  return { reason = "InternalError", message = tostring(value) }
end

return M
