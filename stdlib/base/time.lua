--- Wall-clock milliseconds as people read them, in the machine's time zone.

-- luacheck: read_globals os
local date = os.date

local M = {}

--- "2026-11-23 06:14:02"
---@param ms integer  wall ms
function M.date(ms) return date("%Y-%m-%d %H:%M:%S", ms // 1000) end

--- "06:14:02"
function M.clock(ms) return date("%H:%M:%S", ms // 1000) end

--- "Mon 06:14:02"
function M.day_clock(ms) return date("%a %H:%M:%S", ms // 1000) end

return M
