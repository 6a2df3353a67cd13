--- The state folder: runs, journals, locks of workloads.
-- Where: the context's, else --state (which main.lua puts into the
-- environment of this module), else TRANSHIP_STATE, else .tranship here.

local context = require "base.context"
local sys = require "vm.sys"

local M = {}

local chosen

--- Sets the folder for this process (the option --state).
---@param path string
function M.set(path) chosen = path end

--- The folder's path; it may not exist yet.
---@return string
function M.dir()
  return context.get().state or chosen or sys.env "TRANSHIP_STATE"
    or ".tranship"
end

--- The path of something in the folder; its parent folder is made.
---@return string|nil path, tranship.Err? err
function M.path(...)
  local path = table.concat({ M.dir(), ... }, "/")
  local folder = path:match "^(.*)/[^/]*$"
  local ok, why = sys.mkdir(folder, { parents = true })
  if not ok then return nil, why end
  return path
end

return M
