---@meta vm.handover
-- Secrets for a process that works already, through a named pipe: they are bytes
-- of no file, and neither side waits.

---@class vm.inbox
local inbox = {}

--- What was handed over since; false when there is nothing whole.
---@return tranship.Secret|false|nil, tranship.Err?
function inbox:take() end

--- Takes the pipe away.
function inbox:close() end

local M = {}

--- Makes the pipe, for its owner alone; one that was left there is replaced.
---@param path string
---@return vm.inbox? inbox, tranship.Err?
function M.open(path) end

--- Hands over one message: what vm.secret.pack made. An err of kind "not found"
-- when nobody has an inbox there.
---@param path string
---@param packed tranship.Secret
---@return true?, tranship.Err?
function M.give(path, packed) end

return M
