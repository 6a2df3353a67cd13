---@meta
--- What this program is made of, and what its state holds open.

---@class vm.host
---@field version string
---@field stdlib? string  the folder given with --stdlib
local M = {}

--- Live tasks besides this one, operations under way, handles by class.
---@return { tasks: integer, pending: integer, open: table<string, integer>, leaked: table<string, integer> }
function M.census() end

--- Paths of the embedded library, sorted.
---@return string[]
function M.library() end

--- The text of an embedded file; `source` is the one to use.
---@param path string
---@return string|nil
function M.embedded(path) end

--- The text of a library file, from --stdlib if that is given.
---@param path string  "kafka/topic.lua"
---@return string|nil
function M.source(path) end

return M
