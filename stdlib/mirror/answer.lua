--- Small things that all readings of a bridge share.

local context = require "base.context"
local units = require "base.units"

local M = {}

--- Milliseconds of "5m", or of what a schema has made a number already.
function M.ms(value, fallback)
  if math.type(value) == "integer" then return value end
  return units.ms(value, fallback)
end

--- Are effects only recorded now?
function M.is_planning() return context.get().phase == "plan" end

--- May anything be written now?
function M.may_write()
  local now = context.get()
  return now.perform ~= nil and not now.read_only and now.phase ~= "plan"
end

--- "apps.x/0, apps.x/1 and 3 more".
function M.some(list, most)
  most = most or 4
  local shown = table.concat(list, ", ", 1, math.min(#list, most))
  if #list <= most then return shown end
  return ("%s and %d more"):format(shown, #list - most)
end

return M
