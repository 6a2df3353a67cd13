--- The Lua half of vm.host: the library's text, wherever it comes from.

local M = ...

local embedded = M.embedded
M.embedded = nil

--- The text of a library file ("kafka/topic.lua"): of the folder given with
-- --stdlib, else the embedded one.
---@param path string
---@return string|nil
function M.source(path)
  if M.stdlib and not path:find "^vm/" then
    return (require "vm.sys".read_file(M.stdlib .. "/" .. path))
  end
  return embedded(path)
end

return M
