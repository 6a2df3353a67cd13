--- The outline of a source: which calls with tables and texts stand where, and
-- where each field of those tables begins. It is read only when a problem must
-- be pointed at, and never decides what a runbook means; Lua does that.

local syntax = require "runbook.declare.syntax"

local M = {}

---@class tranship.OutlineTable
---@field line integer
---@field col integer
---@field fields table<string, table>  { line, col, inner? } by name
---@field items table[]                 the same, by position
---@field twice table[]                 fields written twice

---@class tranship.OutlineCall
---@field name string     last part of what is called: "step", "shaped_like"
---@field line integer
---@field col integer
---@field last_line integer  where its last argument begins
---@field title? string   its first argument, when that is a text
---@field titled_by_code? boolean  its first argument is an expression
---@field body? tranship.OutlineTable  its last table
---@field binding? string the local it is assigned to

local DEPTH = { ["function"] = 1, ["if"] = 1, ["do"] = 1, ["repeat"] = 1,
  ["end"] = -1, ["until"] = -1 }
local CLOSER = { ["("] = ")", ["["] = "]" }

--- `words` are the texts of the tokens, but false for what is a text itself: the
-- reader looks at each several times, as every declaration is read by it.
local Reader = {}
Reader.__index = Reader

local function is_text(token) return token and token.kind == "string" end
local function is_name(token) return token and token.kind == "name" end

--- A name and what follows it: a.b:c "text" { ... } (...).
function Reader:chain(binding)
  local tokens, words = self.tokens, self.words
  local first = tokens[self.i]
  local name, call = first.text, nil
  self.i = self.i + 1
  while true do
    local token, word = tokens[self.i], words[self.i]
    if (word == "." or word == ":") and is_name(tokens[self.i + 1]) then
      name, call = tokens[self.i + 1].text, nil
      self.i = self.i + 2
    elseif word == false or word == "{" or word == "(" then
      if not call then
        call = { name = name, line = first.line, col = first.col,
          binding = binding }
        self.calls[#self.calls + 1] = call
      end
      call.last_line = token.line
      self:argument(call, token)
    elseif word == "[" then
      self.i = self.i + 1
      self:skip_to("]")
    else
      break
    end
  end
end

function Reader:argument(call, token)
  if is_text(token) then
    call.title = call.title or token.value
    self.i = self.i + 1
  elseif token.text == "{" then
    call.body = self:table()
  else
    local inside = self.tokens[self.i + 1]
    if is_text(inside) and self.words[self.i + 2] == ")" then
      call.title = call.title or inside.value
    elseif not call.title then
      call.titled_by_code = true
    end
    self.i = self.i + 1
    if self.words[self.i] == "{" then call.body = self:table() end
    self:skip_to(")")
  end
end

--- Past the closing bracket, reading the calls on the way.
function Reader:skip_to(closer)
  local words = self.words
  while words[self.i] ~= nil do
    if words[self.i] == closer then
      self.i = self.i + 1
      return
    end
    self:step()
  end
end

--- One token, bracket or chain.
function Reader:step()
  local i, words = self.i, self.words
  local word = words[i]
  if is_name(self.tokens[i]) then
    local is_bound = words[i - 1] == "=" and words[i - 3] == "local"
    self:chain(is_bound and self.tokens[i - 2].text or nil)
  elseif CLOSER[word] then
    self.i = i + 1
    self:skip_to(CLOSER[word])
  elseif word == "{" then
    self:table()
  else
    self.i = i + 1
  end
end

--- The value of a field or item: up to the comma or brace that ends it.
function Reader:value()
  local words, start, depth = self.words, self.tokens[self.i], 0
  local inner
  if words[self.i] == "{" then inner = self:table() end
  while words[self.i] ~= nil do
    local word = words[self.i]
    if depth == 0 and (word == "," or word == ";" or word == "}") then break end
    depth = math.max(0, depth + (DEPTH[word] or 0))
    self:step()
  end
  return start and { line = start.line, col = start.col, inner = inner }
end

function Reader:table()
  local tokens, words = self.tokens, self.words
  local open = tokens[self.i]
  local out = { line = open.line, col = open.col, fields = {}, items = {},
    twice = {} }
  self.i = self.i + 1
  while words[self.i] ~= nil and words[self.i] ~= "}" do
    local before = self.i
    local token = tokens[before]
    if is_name(token) and words[before + 1] == "=" then
      self.i = before + 2
      local value = self:value() or {}
      local field = { line = token.line, col = token.col, name = token.text,
        inner = value.inner }
      if out.fields[token.text] then out.twice[#out.twice + 1] = field end
      out.fields[token.text] = field
    elseif words[before] == "[" then
      self.i = before + 1
      self:skip_to("]")
      self:value()
    else
      out.items[#out.items + 1] = self:value()
    end
    if words[self.i] == "," or words[self.i] == ";" then self.i = self.i + 1 end
    if self.i == before then self.i = before + 1 end
  end
  self.i = self.i + 1
  return out
end

local Outline = {}
Outline.__index = Outline

--- Names that `local`, `function` and `for` bind anywhere in the source. Where
-- one is bound is not asked: a misspelt name is bound nowhere.
---@return table<string, true>
function Outline:bound_names()
  local tokens, bound, binding = self.tokens, {}, false
  for i, token in ipairs(tokens) do
    local before = tokens[i - 1]
    if token.kind == "keyword" then
      binding = token.text == "local" or token.text == "for"
        or token.text == "function"
    elseif token.kind == "name" then
      if binding or before and (before.text == "::" or before.text == "goto") then
        bound[token.text] = true
      end
    elseif token.text == "=" or token.text == ")" then
      binding = false
    end
  end
  return bound
end

--- Names that are used without being bound, fields and keys left out.
---@return tranship.Token[]
function Outline:free_names()
  local tokens, free = self.tokens, {}
  local bound = self:bound_names()
  for i, token in ipairs(tokens) do
    local before, after = tokens[i - 1], tokens[i + 1]
    local is_field = before and (before.text == "." or before.text == ":")
    local is_key = after and after.text == "=" and before
      and before.text:find "^[{,;]$"
    local is_attribute = before and before.text == "<" and after
      and after.text == ">"
    if token.kind == "name" and not bound[token.text] and not is_field
      and not is_key and not is_attribute then
      free[#free + 1] = token
    end
  end
  return free
end

--- The call at a place: by line and name, then by title.
---@param place tranship.Place
---@return tranship.OutlineCall?
function Outline:call(place)
  local best, rank = nil, 0
  for _, call in ipairs(self.calls) do
    if call.line <= place.line and place.line <= call.last_line then
      local points = call.line == place.line and 2 or 1
      if call.name == place.word then points = points + 4 end
      if place.title and call.title == place.title then points = points + 8 end
      if place.title and call.title and call.title ~= place.title then
        points = points - 3
      end
      if points > rank then best, rank = call, points end
    end
  end
  return best
end

--- The n-th token of that text in a line, or the first one after it.
function Outline:find_token(line, text, nth)
  local last
  for _, token in ipairs(self.tokens) do
    if token.line > line and last then break end
    if token.line >= line and token.text == text then
      last, nth = token, nth - 1
      if nth == 0 or token.line > line then break end
    end
  end
  if last then return last.line, last.col end
  return line
end

local function follow(found, at)
  while at and found do
    local part = at.field and found.fields[at.field] or at.item
      and found.items[at.item]
    if not part then return nil end
    if not at.inner or not part.inner then return part end
    found, at = part.inner, at.inner
  end
end

--- Line and column of a place, narrowed to a field or item of its table.
---@param place tranship.Place
---@param at? table
---@return integer line, integer? col
function Outline:locate(place, at)
  if at and at.token then
    return self:find_token(place.line, at.token, at.nth or 1)
  end
  local call = self:call(place)
  if not call then return place.line, place.col end
  local part = at and call.body and follow(call.body, at)
  if part then return part.line, part.col end
  return call.line, call.col
end

local kept, kept_tokens = {}, {}

--- The tokens of a source text, kept too: whoever asks for no more than these
-- does not pay for the outline.
---@param text string
---@return tranship.Token[]
function M.tokens(text)
  kept_tokens[text] = kept_tokens[text] or syntax.tokens(text)
  return kept_tokens[text]
end

--- The outline of a source text (kept for the next question).
---@param text string
---@return table outline  with `calls` in order of appearance
function M.of(text)
  local outline = kept[text]
  if outline then return outline end
  local tokens, words = M.tokens(text), {}
  for i, token in ipairs(tokens) do
    words[i] = token.kind ~= "string" and token.text
  end
  local reader = setmetatable({ tokens = tokens, words = words, i = 1,
    calls = {} }, Reader)
  while words[reader.i] ~= nil do reader:step() end
  outline = setmetatable({ calls = reader.calls, tokens = reader.tokens },
    Outline)
  kept[text] = outline
  return outline
end

return M
