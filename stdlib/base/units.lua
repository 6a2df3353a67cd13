--- Durations, sizes, rates and shares: on the surface always text with a unit
-- ("5m", "20MiB/s", "1%"), inside always one number in one unit. A bare number
-- is refused, because nobody can tell seconds from milliseconds by looking.

local M = {}

local DURATION = {
  ms = 1, s = 1000, m = 60 * 1000, h = 3600 * 1000,
  d = 24 * 3600 * 1000, w = 7 * 24 * 3600 * 1000,
}
local SIZE = {
  B = 1,
  kB = 10 ^ 3, KB = 10 ^ 3, MB = 10 ^ 6, GB = 10 ^ 9, TB = 10 ^ 12,
  KiB = 2 ^ 10, MiB = 2 ^ 20, GiB = 2 ^ 30, TiB = 2 ^ 40,
}
local PER_SECOND = { s = 1, m = 60, min = 60, h = 3600 }

local function plain(number)
  return math.tointeger(number) and ("%d"):format(number) or tostring(number)
end

local function needs_unit(number, ...)
  local shown = {}
  for i, unit in ipairs { ... } do
    shown[i] = ('"%s%s"'):format(plain(number), unit)
  end
  local last = table.remove(shown)
  return ("%s needs a unit: %s or %s"):format(plain(number),
    table.concat(shown, ", "), last)
end

--- Sums "1h30m" by the table of units; nil when a part is not understood.
local function add_up(text, units)
  local sum, at = 0, 1
  if text == "" then return nil end
  while at <= #text do
    local number, unit, after = text:match("^(%d+%.?%d*)(%a+)()", at)
    local factor = unit and units[unit]
    if not factor then return nil end
    sum = sum + tonumber(number) * factor
    at = after
  end
  return math.floor(sum + 0.5)
end

--- "250ms", "5m", "1h30m", "2d" as milliseconds.
---@param value any
---@return integer? ms, string? why  why it cannot be meant
---@return boolean? unitless  true when only the unit is missing
function M.duration(value)
  if type(value) == "number" then
    return nil, needs_unit(value, "s", "m", "h"), true
  elseif type(value) ~= "string" then
    return nil, "a duration is text with a unit, such as \"5m\""
  end
  local ms = add_up(value, DURATION)
  if ms then return ms end
  local bare = tonumber(value)
  if bare then return nil, needs_unit(bare, "s", "m", "h"), true end
  return nil, ('"%s" is no duration; write it like "250ms", "30s", "5m", '
    .. '"1h30m" or "2d"'):format(value)
end

--- "20MiB", "1.5GB" as bytes.
---@return integer? bytes, string? why, boolean? unitless
function M.size(value)
  if type(value) == "number" then
    return nil, needs_unit(value, "B", "KiB", "MiB"), true
  elseif type(value) ~= "string" then
    return nil, "a size is text with a unit, such as \"20MiB\""
  end
  local bytes = add_up(value, SIZE)
  if bytes then return bytes end
  local bare = tonumber(value)
  if bare then return nil, needs_unit(bare, "B", "KiB", "MiB"), true end
  return nil, ('"%s" is no size; write it like "512B", "20MiB" or "1.5GB"')
    :format(value)
end

--- "1/s", "100/min", "20MiB/s" per second: records, or bytes with a size.
---@return number? per_second, string? why, boolean? unitless
function M.rate(value)
  if type(value) == "number" then
    return nil, needs_unit(value, "/s", "/min"), true
  end
  local amount, unit = tostring(value):match("^(.-)/(%a+)$")
  local divisor = unit and PER_SECOND[unit]
  local number = divisor and (tonumber(amount) or M.size(amount))
  if type(value) == "string" and number then return number / divisor end
  return nil, ('"%s" is no rate; write it like "1/s", "100/min" or "20MiB/s"')
    :format(tostring(value))
end

--- "1%" as 0.01.
---@return number? share, string? why, boolean? unitless
function M.share(value)
  if type(value) == "number" then
    return nil, ('%s needs a unit: "%s%%"'):format(plain(value), plain(value)),
      true
  end
  local number = type(value) == "string" and value:match("^(%d+%.?%d*)%%$")
  if number and tonumber(number) <= 100 then return tonumber(number) / 100 end
  return nil, ('"%s" is no share; write it like "1%%" or "0.5%%"')
    :format(tostring(value))
end

--- Raises what `duration` would return as second value: for faces, whose
-- options carry durations as text.
---@return integer ms
function M.ms(value, fallback)
  if value == nil then value = fallback end
  local ms, why = M.duration(value)
  if not ms then
    require("base.err").raise { kind = "invalid", code = "E0203", message = why }
  end
  return ms
end

local SHOWN = { { "d", DURATION.d }, { "h", DURATION.h }, { "m", DURATION.m },
  { "s", DURATION.s } }

--- 90000 as "1m30s", 1800 as "1.8s": what counts, and no more.
---@param ms number
---@return string
function M.show_duration(ms)
  ms = math.floor(ms + 0.5)
  if ms < 0 then return "-" .. M.show_duration(-ms) end
  if ms < 1000 then return ms .. "ms" end
  if ms < 60000 and ms % 1000 >= 100 then return ("%.1fs"):format(ms // 100 / 10) end
  for i, unit in ipairs(SHOWN) do
    if ms >= unit[2] then
      local text = ("%d%s"):format(ms // unit[2], unit[1])
      local smaller = SHOWN[i + 1]
      local rest = smaller and ms % unit[2] // smaller[2] or 0
      return rest > 0 and ("%s%d%s"):format(text, rest, smaller[1]) or text
    end
  end
end

--- 20971520 as "20MiB", 1536 as "1.5KiB".
---@param bytes number
---@return string
function M.show_size(bytes)
  local size, name = 1, "B"
  for _, unit in ipairs { "KiB", "MiB", "GiB", "TiB" } do
    if bytes >= SIZE[unit] then size, name = SIZE[unit], unit end
  end
  local text = ("%.1f"):format(bytes / size):gsub("%.0$", "")
  return text .. name
end

return M
