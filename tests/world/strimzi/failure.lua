--- How a reconciliation fails: with a reason and a message for the conditions.
local M = { __name = "failure" }
M.__tostring = function(self) return self.reason .. ": " .. self.message end

function M.raise(reason, format, ...)
  error(setmetatable({ reason = reason, message = format:format(...) }, M), 0)
end

--- The failure in what was raised; what is no failure is an InternalError.
function M.of(value)
  if getmetatable(value) == M then return value end
  return { reason = "InternalError", message = tostring(value) }
end

return M
