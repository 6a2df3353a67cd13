---@meta
--- YAML as kubectl reads it: 1.1 scalars (0644 is octal, yes is true), anchors
--- and merge keys; duplicate keys and texts that unfold to too much are refused.

---@class vm.yaml
local M = {}

--- The value of its one document; null is json.null, arrays are marked.
---@param text string
---@return any value, tranship.Err? err
function M.decode(text) end

--- The values of all documents that are not empty.
---@param text string
---@return any[]? values, tranship.Err? err
function M.documents(text) end

return M
