--- How scripts see faces (clusters, workloads, bridges). A sealed face stays
-- the same object, with the same class, for the standard library; a script that
-- reaches into it cannot change it or see private fields, hears of a misspelt
-- name, and gets failures raised and answers weighed:
--   declaring: a reading becomes a question; what cannot be is a problem;
--   running: `nil, err` is raised, an answer that is not ok becomes false.

local context = require "base.context"
local declaration = require "runbook.declare.declaration"
local err = require "base.err"
local kinds = require "runbook.declare.kinds"
local place = require "runbook.declare.place"
local schema = require "base.schema"

local M = {}

--- Chunk names ("@scripts/event-bus.lua") of what runs as script.
local scripts = {}
local sealed = setmetatable({}, { __mode = "k" })

function M.note_script(chunkname) scripts[chunkname] = true end

--- Whether the function `level` frames up (1 = the caller) is a script's.
function M.from_script(level)
  local info = debug.getinfo(level + 1, "f")
  return info ~= nil and scripts[place.source_of(info.func)] == true
end

--- Names that lead to raw handles: not for scripts. A class may have more of its
-- own, in `_hidden`.
local HIDDEN = { client = true, close = true, known_clusters = true, new = true,
  strimzi = true }

local function is_hidden(inner, name)
  local own = inner._hidden
  return HIDDEN[name] or type(own) == "table" and own[name] or false
end

local function copy(value)
  if type(value) ~= "table" or getmetatable(value) then return value end
  local out = {}
  for name, item in next, value do out[name] = copy(item) end
  return out
end

--- { ok=, seen=, want=, text= }: what readings answer.
local function is_answer(value)
  return type(value) == "table" and getmetatable(value) == nil
    and type(value.ok) == "boolean"
end

--- What a script gets of a method's results while running.
local function weigh(value, why, ...)
  if value == nil and why ~= nil then
    if type(why) == "string" then why = err.new { kind = "io", message = why } end
    err.raise(why)
  elseif is_answer(value) then
    local evidence = context.get().evidence
    if evidence then evidence(value) end
    if not value.ok or value.unsure then return false end
    return value
  elseif type(value) == "table" and type(getmetatable(value)) == "table"
    and getmetatable(value).__index
    and kinds.of(value) ~= "question" and kinds.of(value) ~= "goal" then
    return M.seal(value), why, ...
  end
  return value, why, ...
end

--- Does a call hold something that was complained about already?
local function holds_nothing(...)
  for _, value in ipairs(table.pack(...)) do
    local items = type(value) == "table" and getmetatable(value) == nil and value
      or { value }
    for _, item in next, items do
      if item == kinds.nothing then return true end
    end
  end
  return false
end

--- A string error of a method that was given what it cannot use.
local function note_misuse(where, name, text)
  local inner = text:match "^%S+%.lua:%d+: ([^\n]*)"
  declaration.problem("E0210", where, inner
    and ("%s cannot be asked like this (%s)"):format(name, inner)
    or text:match "^[^\n]*", inner
    and ("`tranship explain %s` shows how"):format(name) or nil)
end

--- Calls a method in a declaration: whatever is wrong with it is noted there.
local function declare(name, method, ...)
  local where = declaration.here()
  local results = table.pack(pcall(method, ...))
  if results[1] then
    if results[2] == nil and results[3] ~= nil then
      declaration.problem("E0210", where, tostring(results[3]))
      return kinds.nothing
    end
    return table.unpack(results, 2, results.n)
  end
  local why = results[2]
  if holds_nothing(...) then return kinds.nothing end
  if err.is(why) then
    declaration.problem(type(why.code) == "string" and why.code or "E0210",
      where, why.message)
  else
    note_misuse(where, name, tostring(why))
  end
  return kinds.nothing
end

local function guard(object, name, method)
  return function(self, ...)
    if self ~= object then
      local text = ("%s is called with a colon: %s:%s(...)"):format(name,
        kinds.of(object) or "it", name)
      declaration.problem("E0105", nil, text, nil, { token = name })
      return kinds.nothing
    elseif context.get().phase == "declare" then
      return declare(name, method, object, ...)
    end
    return weigh(method(object, ...))
  end
end

--- Public names of a face: for did-you-mean and completion.
---@return string[]
function M.names(object)
  local inner = sealed[object] or object
  local seen, names = {}, {}
  local function add(from)
    for name in next, from do
      if type(name) == "string" and name:sub(1, 1) ~= "_" and not seen[name]
        and not is_hidden(inner, name) then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  add(inner)
  local meta = getmetatable(inner)
  local class = type(meta) == "table" and meta.__index
  while type(class) == "table" do
    add(class)
    local parent = getmetatable(class)
    class = type(parent) == "table" and parent.__index
  end
  table.sort(names)
  return names
end

local function unknown(object, name)
  local kind = kinds.of(object) or "it"
  local message = ("a %s has no '%s'"):format(kind, tostring(name))
  declaration.problem("E0104", nil, message,
    schema.suggest(tostring(name), M.names(object)), { token = name })
  return kinds.nothing
end

local function script_index(object, inner, guarded, name)
  if type(name) == "string" and name:sub(1, 1) == "_"
    or is_hidden(inner, name) then
    return unknown(object, name)
  end
  local value = inner[name]
  if type(value) == "function" then
    guarded[name] = guarded[name] or guard(object, name, value)
    return guarded[name]
  elseif value == nil and not M.optional(object, name) then
    return unknown(object, name)
  end
  return copy(value)
end

--- Fields that may be nil without being misspelt: those of the word's schema.
function M.optional(object, name)
  local word = require "runbook.declare.schema".words[kinds.of(object) or ""]
  return word and word.fields and schema.field(word.fields, name) ~= nil
end

--- Seals `object` in place and returns it.
function M.seal(object)
  if sealed[object] then return object end
  local class = getmetatable(object)
  local inner = setmetatable({}, class)
  for name, value in next, object do inner[name] = value end
  for name in next, inner do rawset(object, name, nil) end
  sealed[object] = inner
  local guarded = {}
  local meta = {
    __index = function(self, name)
      if M.from_script(2) then
        return script_index(self, inner, guarded, name)
      end
      return inner[name]
    end,
    __newindex = function(self, name, value)
      if M.from_script(2) then
        declaration.problem("E0112", nil, ("a declared %s cannot be changed")
          :format(kinds.of(self) or "thing"), "declare it with what it needs",
          { token = name })
        return
      end
      inner[name] = value
    end,
    __metatable = class,
    __pairs = function() return next, inner, nil end,
  }
  for _, event in ipairs { "__tostring", "__name", "__close", "__gc", "__len",
    "__call" } do
    meta[event] = class and class[event]
  end
  return setmetatable(object, meta)
end

return M
