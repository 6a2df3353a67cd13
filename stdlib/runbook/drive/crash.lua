--- Planned deaths, for the tests that prove a run survives them.
-- `TRANSHIP_CRASH_AT=journal:after:12` kills this process with signal 9 right
-- after the twelfth record it writes. The points are `journal:before`,
-- `journal:after`, `effect:before` (intent on disk, nothing sent) and
-- `effect:after` (sent, outcome not on disk). Counted from process start.

local sys = require "vm.sys"

local M = {}

local wanted = sys.env "TRANSHIP_CRASH_AT"
local counts = {}

--- Passes a point, or dies there.
---@param point "journal:before"|"journal:after"|"effect:before"|"effect:after"
function M.at(point)
  if not wanted then return end
  counts[point] = (counts[point] or 0) + 1
  if wanted == ("%s:%d"):format(point, counts[point]) then
    sys.kill(sys.pid(), "KILL")
  end
end

return M
