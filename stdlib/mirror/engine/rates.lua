--- How fast a bridge may read: "20MiB/s" where people write it, whole bytes per
-- second for the copier.

local units = require "base.units"

local M = {}

--- Slower, one batch of usual size would take longer than its requests may.
local LEAST = 65536

--- Bytes per second; nil for no limit, or nil and what is wrong.
---@param text? string
---@return integer? bytes, string? why
function M.bytes(text)
  if text == nil then return nil end
  local rate, why = units.rate(text)
  if not rate then return nil, "is wrong: " .. why end
  if rate >= LEAST then return math.floor(rate) end
  return nil, ('is bytes per time, such as "20MiB/s", and at least 64KiB/s: '
    .. '"%s" is %g bytes per second'):format(text, rate)
end

--- For a line about the bridge: what the limit is, or nothing.
function M.told(text) return text and (", at most %s"):format(text) or "" end

return M
