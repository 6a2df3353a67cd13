---@meta
--- Untrusted code: what it may reach, and within which limits it runs.

---@class vm.sandbox
local M = {}

---@class tranship.Box
local Box = {}

---@class tranship.BoxLimits
---@field memory? integer        bytes the state may grow by (64 MiB)
---@field instructions? integer  in all (1,000,000,000)
---@field slice_ms? integer      processor time without waiting (250)
---@field output? integer        bytes (1 MiB)

--- A box: all that runs in it shares its limits.
---@param limits? tranship.BoxLimits
---@return tranship.Box
function M.new(limits) end

--- Compiles text (never bytecode) with `environment` as its globals.
---@param text string
---@param chunk_name string  "@file.lua"
---@param environment table
---@return function|nil, tranship.Err? err  kind "syntax" or "limit"
function Box:load(text, chunk_name, environment) end

--- Runs `fn(...)` as a task of the box.
---@async
---@return any ... its results, or nil and an err; kind "limit" over a limit
function Box:call(fn, ...) end

--- A fresh table of everything untrusted code finds.
---@return table
function Box:environment() end

--- Counts output; over the limit the running task of the box ends.
---@param text string
---@return true
function Box:output(text) end

---@return { instructions: integer, output: integer, memory: integer }
function Box:usage() end

--- A deep read-only copy; tables with a metatable stay themselves.
---@generic T
---@param t T
---@return T
function M.freeze(t) end

--- Runs text with string arguments in a Lua state of its own, on a thread of
--- its own.
---@async
---@param text string
---@param ... string
---@return string|nil, tranship.Err? err
function M.fresh(text, ...) end

--- The stripped bytecode of a Lua function, to compare it by.
---@param fn function
---@return string
function M.bytecode(fn) end

-- For the Lua half alone; scripts find the next five under their usual names.

---@param box tranship.Box
---@param fn function
---@return tranship.Task
function M.spawn(box, fn, ...) end

--- Text without addresses.
---@param value any
---@return string
function M.tostring(value) end

--- The least key above `key`: numbers, strings, booleans, then by their text.
function M.next(t, key) end

--- pcall that does not hold code up which has to end.
function M.pcall(f, ...) end

--- The same for xpcall; the handler runs when the error has unwound.
function M.xpcall(f, handler, ...) end

return M
