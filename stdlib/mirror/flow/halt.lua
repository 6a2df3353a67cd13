--- Why a partition stopped for good: a value that says reason, words, range.
-- The engine never goes on past one by itself; it is written to the bridge's
-- topic and shown by every status.

local M = {}
M.__index = M
M.__name = "halt"
M.__tostring = function(self) return self.text end

---@class tranship.Halt
---@field reason string  "foreign", "out_of_range", "topic_id", "diverged", ...
---@field text string  one line for people, with the exact offsets
---@field range? { side: string, from: integer, to: integer }  [from, to)
---@field is_cured? fun(): boolean  waits: has somebody acted meanwhile?

--- A halt; `range` names offsets on one side.
---@return tranship.Halt
function M.new(reason, range, format, ...)
  return setmetatable({
    reason = reason, range = range, text = format:format(...),
  }, M)
end

function M.is(value) return getmetatable(value) == M end

return M
