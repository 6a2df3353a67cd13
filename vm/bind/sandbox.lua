--- The Lua half of vm.sandbox: the safe library's tables, and calls in a box.

local M = ...

local methods = M.methods
M.methods = nil

local safe = {
  pairs = M.pairs, next = M.next, tostring = M.tostring,
  pcall = M.pcall, xpcall = M.xpcall,
  ipairs = ipairs, type = type, tonumber = tonumber, select = select,
  error = error, assert = assert,
}
local spawn = M.spawn
for _, name in ipairs { "pairs", "next", "tostring", "pcall", "xpcall",
  "spawn" } do M[name] = nil end

local function refuse(_, key)
  error(("this table is frozen: '%s' cannot be set"):format(safe.tostring(key)),
    2)
end

local function freeze(t, seen)
  if type(t) ~= "table" or getmetatable(t) ~= nil then return t end
  if seen[t] then return seen[t] end
  local behind = {}
  local proxy = setmetatable({}, {
    __index = behind, __newindex = refuse, __frozen = true,
    __metatable = "frozen", __name = "table",
    __len = function() return #behind end,
    __pairs = function() return next, behind, nil end,
  })
  seen[t] = proxy
  for key, value in next, t do behind[freeze(key, seen)] = freeze(value, seen) end
  return proxy
end

--- A deep, read-only copy: tables with a metatable (objects) stay themselves.
---@generic T
---@param t T
---@return T
function M.freeze(t) return freeze(t, {}) end

local function library(from, without)
  local copy = {}
  for name, value in next, from do
    if not without[name] then copy[name] = value end
  end
  return M.freeze(copy)
end

-- Chance is journalled, so it is the run's to give; the rest of these libraries
-- depends on its arguments alone.
local libraries = {
  string = library(string, { dump = true }),
  table = library(table, {}),
  math = library(math, { random = true, randomseed = true }),
  utf8 = library(utf8, {}),
}

--- A fresh table of everything untrusted code finds; add words to it.
---@return table
function methods:environment()
  local environment = {}
  for name, value in next, safe do environment[name] = value end
  for name, value in next, libraries do environment[name] = value end
  environment._VERSION = nil
  return environment
end

local function after_join(is_ok, ...)
  if is_ok then return ... end
  return nil, (...)
end

--- Runs `fn(...)` as a task of this box. Cancelling the caller cancels it.
---@async
---@return any ... its results, or nil and an err (kind "limit" over a limit)
function methods:call(fn, ...)
  local child <close> = spawn(self, fn, ...)
  return after_join(child:join())
end

return M
