--- The only bridge from `nil, err` to raising: `local x = try(open(path))`.

local err = require "base.err"

--- Returns its arguments, or raises the second one if the first is nil (or
-- false, and the second an err).
---@generic T
---@param value T|nil
---@param why? any
---@return T
local function try(value, why, ...)
  if value ~= nil and (value ~= false or not err.is(why)) then
    return value, why, ...
  end
  if why == nil then error("failed without saying why", 2) end
  error(why, 0)
end

return try
