--- A tokenizer for Lua 5.4 source that keeps positions. It never fails: what it
-- does not understand becomes a token of kind "unknown", so that a half-typed
-- line can be completed and a broken file can still be pointed into.

local M = {}

---@class tranship.Token
---@field kind "name"|"keyword"|"string"|"number"|"operator"|"comment"|"unknown"
---@field text string   as written
---@field value? string what a text stands for, escapes left as written
---@field at integer    byte where it begins
---@field line integer
---@field col integer   counted in bytes, from 1

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local
  nil not or repeat return then true until while]]):gmatch("%a+") do
  KEYWORDS[word] = true
end

local OPERATORS = {
  "...", "..", "<<", ">>", "//", "==", "~=", "<=", ">=", "::",
}

--- The end of `[==[ ... ]==]` that begins at `at`; nil if none begins there.
local function long_bracket(text, at)
  local level, inside = text:match("^%[(=*)%[()", at)
  if not level then return nil end
  local _, stop = text:find("]" .. level .. "]", inside, true)
  return stop or #text, inside, stop and stop - #level - 2 or #text
end

local function quoted(text, at)
  local quote = text:sub(at, at)
  local i = at + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == "\\" then
      i = i + 2
    elseif c == quote then
      return i, "string"
    elseif c == "\n" then
      return i - 1, "unknown"
    else
      i = text:find("[\\\n\"']", i + 1) or #text + 1
    end
  end
  return #text, "unknown"
end

--- Kind, last byte and value of the token at `at`, which is not white space.
local function next_token(text, at)
  local c = text:sub(at, at)
  if c:find("[%a_]") then
    local _, stop = text:find("^[%w_]+", at)
    local word = text:sub(at, stop)
    return KEYWORDS[word] and "keyword" or "name", stop
  elseif text:find("^%.?%d", at) then
    local _, stop = text:find("^0[xX][%x%.]*[pP]?[+-]?%x*", at)
    if not stop then _, stop = text:find("^[%d%.]+[eE][+-]?%d+", at) end
    if not stop then _, stop = text:find("^[%d%.]+", at) end
    return "number", stop
  elseif text:find("^%-%-", at) then
    local stop = long_bracket(text, at + 2)
    return "comment", stop or (text:find("\n", at, true) or #text + 1) - 1
  elseif c == '"' or c == "'" then
    local stop, kind = quoted(text, at)
    return kind, stop, text:sub(at + 1, kind == "string" and stop - 1 or stop)
  elseif c == "[" then
    local stop, first, last = long_bracket(text, at)
    if stop then return "string", stop, text:sub(first, last) end
    return "operator", at
  end
  if c:find("[%(%){},;%]%+%-%*%%%^#&|]") then -- no longer one begins so
    return "operator", at
  end
  for _, operator in ipairs(OPERATORS) do
    if text:sub(at, at + #operator - 1) == operator then
      return "operator", at + #operator - 1
    end
  end
  if c:find("[%+%-%*/%%%^#&~|<>=%(%){}%];:,%.]") then return "operator", at end
  return "unknown", at
end

--- All tokens of `text`, comments left out unless asked for.
---@param text string
---@param with_comments? boolean
---@return tranship.Token[]
function M.tokens(text, with_comments)
  local tokens = {}
  local at, line, line_start = 1, 1, 1
  local function count_lines(from, to)
    local found = text:find("\n", from, true)
    while found and found <= to do
      line, line_start = line + 1, found + 1
      found = text:find("\n", found + 1, true)
    end
  end
  if text:sub(1, 1) == "#" then at = text:find("\n", 1, true) or #text + 1 end
  while true do
    local start = text:find("%S", at)
    if not start then break end
    count_lines(at, start - 1)
    local kind, stop, value = next_token(text, start)
    if kind ~= "comment" or with_comments then
      tokens[#tokens + 1] = {
        kind = kind, text = text:sub(start, stop), value = value, at = start,
        line = line, col = start - line_start + 1,
      }
    end
    count_lines(start, stop)
    at = stop + 1
  end
  return tokens
end

return M
