--- A tokenizer for Lua 5.4 source that keeps positions. It never fails: what it
-- does not understand becomes a token of kind "unknown", so that a half-typed
-- line can be completed and a broken file can still be pointed into.

local byte, find, sub = string.byte, string.find, string.sub

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

local OPERATORS = {} -- of two bytes
for text in ("<< >> // == ~= <= >= ::"):gmatch("%S+") do
  OPERATORS[text] = true
end

local DASH = ("-"):byte()

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

-- One reader for each first byte: kind, last byte and value of the token at
-- `at`. Every declaration reads its sources, so this is kept quick.
local readers = {}

local function on(first, reader)
  for c in first:gmatch "." do readers[byte(c)] = reader end
end

on("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", function(text, at)
  local _, stop = find(text, "^[%w_]*", at + 1)
  return "name", stop
end)

local function number(text, at)
  local _, stop = find(text, "^0[xX][%x%.]*[pP]?[+-]?%x*", at)
  if not stop then _, stop = find(text, "^[%d%.]+[eE][+-]?%d+", at) end
  if not stop then _, stop = find(text, "^[%d%.]+", at) end
  return "number", stop
end

on("0123456789", number)

on([["']], function(text, at)
  local stop, kind = quoted(text, at)
  return kind, stop, sub(text, at + 1, kind == "string" and stop - 1 or stop)
end)

on("(){},;]+*%^#&|", function(_, at) return "operator", at end)

on("=~<>/:", function(text, at)
  local is_long = OPERATORS[sub(text, at, at + 1)]
  return "operator", is_long and at + 1 or at
end)

on(".", function(text, at)
  if find(text, "^%d", at + 1) then return number(text, at) end
  local _, stop = find(text, "^%.?%.?", at + 1)
  return "operator", stop
end)

on("-", function(text, at)
  if byte(text, at + 1) ~= DASH then return "operator", at end
  local stop = long_bracket(text, at + 2)
  return "comment", stop or (find(text, "\n", at, true) or #text + 1) - 1
end)

on("[", function(text, at)
  local stop, first, last = long_bracket(text, at)
  if stop then return "string", stop, sub(text, first, last) end
  return "operator", at
end)

--- All tokens of `text`, comments left out unless asked for.
---@param text string
---@param with_comments? boolean
---@return tranship.Token[]
function M.tokens(text, with_comments)
  local tokens, line, line_start = {}, 1, 1
  local newline = find(text, "\n", 1, true)
  local first = sub(text, 1, 1) == "#" and (newline or #text + 1) or 1
  local start = find(text, "%S", first)
  while start do
    while newline and newline < start do
      line, line_start = line + 1, newline + 1
      newline = find(text, "\n", line_start, true)
    end
    local read = readers[byte(text, start)]
    local kind, stop, value = "unknown", start, nil
    if read then kind, stop, value = read(text, start) end
    local written = sub(text, start, stop)
    if kind == "name" and KEYWORDS[written] then kind = "keyword" end
    if kind ~= "comment" or with_comments then
      tokens[#tokens + 1] = {
        kind = kind, text = written, value = value, at = start,
        line = line, col = start - line_start + 1,
      }
    end
    start = find(text, "%S", stop + 1)
  end
  return tokens
end

return M
