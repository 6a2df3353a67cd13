--- The consumer groups that MirrorMaker 2 takes unless it is told otherwise.

local names = require "mirror.names"

local M = {}

local EXCLUDED = { "console-consumer-*", "connect-*", "__*" }
local KINDS = { [""] = true, consumer = true }

--- Their names, sorted.
---@async
---@param client userdata  of vm.kafka
---@return string[]? groups, tranship.Err?
function M.of(client)
  local all, why = client:groups()
  if not all then return nil, why end
  local list = {}
  for _, one in ipairs(all) do
    if KINDS[one.protocol_type or ""] and not names.any(EXCLUDED, one.group) then
      list[#list + 1] = one.group
    end
  end
  table.sort(list)
  return list
end

return M
