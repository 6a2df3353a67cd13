--- Text: values as people read them, lists, padding, likeness of words.

local M = {}

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
      return a < b
    end
    return type(a) < type(b)
  end)
  return keys
end

local function is_name(k)
  return type(k) == "string" and k:match "^[%a_][%w_]*$" ~= nil
end

--- A value on one line, tables opened to `depth` (default 4), keys sorted.
---@param value any
---@param depth? integer
---@return string
function M.show(value, depth)
  depth = depth or 4
  if type(value) == "string" then
    return (("%q"):format(value):gsub("\\\n", "\\n"))
  elseif type(value) ~= "table" or (getmetatable(value) or {}).__tostring
    or type(getmetatable(value)) == "string" then
    return tostring(value)
  elseif depth == 0 then
    return "{...}"
  end
  local parts, length = {}, #value
  for i = 1, length do parts[i] = M.show(value[i], depth - 1) end
  for _, k in ipairs(sorted_keys(value)) do
    if not (math.type(k) == "integer" and k >= 1 and k <= length) then
      local name = is_name(k) and k or "[" .. M.show(k, depth - 1) .. "]"
      parts[#parts + 1] = name .. " = " .. M.show(value[k], depth - 1)
    end
  end
  return "{" .. table.concat(parts, ", ") .. "}"
end

--- "a, b and c".
---@param words string[]
---@param last? string  the word before the last one, default "and"
function M.list(words, last)
  if #words < 2 then return words[1] or "" end
  return table.concat(words, ", ", 1, #words - 1) .. " " .. (last or "and")
    .. " " .. words[#words]
end

--- "1 topic", "3 topics".
function M.count(n, one, many)
  return ("%d %s"):format(n, n == 1 and one or many or one .. "s")
end

--- Columns a text takes on a terminal (code points, none of them wide).
function M.width(text) return utf8.len(text) or #text end

--- Pads to `width` columns; a negative width pads on the left.
function M.pad(text, width)
  local missing = math.abs(width) - M.width(text)
  if missing <= 0 then return text end
  local blanks = (" "):rep(missing)
  return width < 0 and blanks .. text or text .. blanks
end

--- How many letters must change to make `b` of `a` (Levenshtein).
function M.distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

--- The word of `words` most like `word`, if one is like enough.
---@return string|nil
function M.nearest(word, words)
  local best, best_distance
  for _, candidate in ipairs(words) do
    local distance = M.distance(word, candidate)
    if not best or distance < best_distance then
      best, best_distance = candidate, distance
    end
  end
  local most = #word < 4 and 1 or math.max(2, #word // 3)
  if best and best_distance <= most then return best end
end

--- The last lines of a text, indented, for an error message.
---@param text string?
---@return string
function M.last_lines(text, count)
  local lines = {}
  for line in (text or ""):gmatch "[^\n]+" do lines[#lines + 1] = line end
  local from = math.max(1, #lines - (count or 5) + 1)
  if #lines == 0 then return "" end
  return "\n    " .. table.concat(lines, "\n    ", from)
end

return M
