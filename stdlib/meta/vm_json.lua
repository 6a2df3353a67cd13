---@meta
--- JSON: integers keep 64 bits, keys are sorted, doubles round-trip.

---@class vm.json
---@field null lightuserdata  JSON's null as a value
local M = {}

--- Raises on what has no JSON form (functions, NaN, mixed keys, cycles).
-- A table is an array if its keys are 1..n; an empty one is an object.
---@param value any
---@param options? { indent?: integer }
---@return string
function M.encode(value, options) end

--- null becomes json.null; arrays are marked, so that an empty one stays one.
---@param text string
---@return any value, tranship.Err? err
function M.decode(text) end

--- Marks a table as an array, and returns it.
---@generic T
---@param t T
---@return T
function M.array(t) end

--- Views are trees of C that are read like tables: fields, #, pairs, ipairs.
-- They cannot be changed. What they hide (a Secret's data) is seen as secrets.
---@param value any
---@return boolean
function M.is_view(value) end

--- Whether it is a view of an array.
---@param value any
---@return boolean
function M.is_array(value) end

--- A table of a view, all the way down; anything else comes back as it is.
---@param value any
---@return any
function M.copy(value) end

--- Whether two views say the same, what they hide included.
---@return boolean
function M.equal(a, b) end

return M
