---@meta
--- Error values, as C makes them; base.err is what Lua code uses.

---@class vm.err
local M = {}

--- Turns a table with the fields of an err into one.
---@param fields table
---@return tranship.Err
function M.new(fields) end

--- Whether a value is an err.
---@param value any
---@return boolean
function M.is(value) end

return M
