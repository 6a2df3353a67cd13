---@meta
--- Lines for those who look after the program; TRANSHIP_LOG sets the level.

---@class vm.log
local M = {}

---@param text any  shown by tostring, with live secrets blanked
function M.debug(text) end

---@param text any
function M.info(text) end

---@param text any
function M.warn(text) end

---@param text any
function M.error(text) end

--- The lowest level that is shown; sets it when one is given.
---@param name? "debug"|"info"|"warn"|"error"
---@return string
function M.level(name) end

return M
