--- Times and spans for people. Wall times are UTC, and say so.

local M = {}

local DAY = 24 * 60 * 60

-- Days since 1970 to year, month, day (the calendar has not changed since).
local function civil(days)
  local z = days + 719468
  local era = z // 146097
  local day_of_era = z - era * 146097
  local year = (day_of_era - day_of_era // 1460 + day_of_era // 36524
                - day_of_era // 146096) // 365
  local day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
  local shifted = (5 * day_of_year + 2) // 153
  local month = shifted < 10 and shifted + 3 or shifted - 9
  return year + era * 400 + (month <= 2 and 1 or 0), month,
         day_of_year - (153 * shifted + 2) // 5 + 1
end

--- "2026-11-23 02:14:07Z" of wall milliseconds.
---@param ms integer
function M.utc(ms)
  local seconds = ms // 1000
  local year, month, day = civil(seconds // DAY)
  return ("%04d-%02d-%02d %sZ"):format(year, month, day, M.of_day(ms))
end

--- "02:14:07" of wall milliseconds, UTC.
function M.of_day(ms)
  local left = ms // 1000 % DAY
  return ("%02d:%02d:%02d"):format(left // 3600, left // 60 % 60, left % 60)
end

--- "850ms", "12s", "3m05", "2h10m", "4d": as short as a glance needs.
---@param ms integer
function M.span(ms)
  if ms < 1000 then return ms .. "ms" end
  local s = ms // 1000
  if s < 60 then return s .. "s" end
  if s < 3600 then return ("%dm%02d"):format(s // 60, s % 60) end
  if s < DAY then return ("%dh%02dm"):format(s // 3600, s // 60 % 60) end
  return s // DAY .. "d"
end

return M
