--- The build that writes journals and archives; formats carry their own numbers.

local M = { BUILD = "0.1.0" }

return M
