--- Modules that are loaded when something in them is first asked for. Checking a
-- runbook needs the faces' names but hardly any of what they can do, and must
-- not pay for compiling it.
--
--     local carry = require "base.lazy" "mirror.offsets.carry"

--- A stand-in for `require(name)`; its functions are the module's own.
---@param name string
---@return table
return function(name)
  return setmetatable({}, { __index = function(self, key)
    local value = require(name)[key]
    rawset(self, key, value)
    return value
  end })
end
