--- What was replaced and is still in use: kept until nobody can be waiting for it.

local task = require "vm.task"

local M = {}
M.__index = M

function M.new() return setmetatable({}, M) end

function M:add(thing) self[#self + 1] = { thing = thing, since = task.now() } end

--- Gives up what was replaced so long ago, one after the other:
-- `for client in outgoing:old(30000) do client:close() end`.
---@param after_ms integer
---@return fun(): any?
function M:old(after_ms)
  return function()
    if self[1] and task.now() - self[1].since >= after_ms then
      return table.remove(self, 1).thing
    end
  end
end

return M
