--- `?x`: what a value is, and what can be asked of it. Sentences come from the
-- schema of the words and from the comments above the methods.

local face = require "runbook.declare.face"
local kinds = require "runbook.declare.kinds"
local offers = require "runbook.declare.offers"
local schema = require "base.schema"
local show = require "repl.show"
local words = require "runbook.declare.schema".words

local M = {}

local function sentence(f) return offers.sentence(offers.comment(f)) end

local function describe_function(name, f)
  local info = debug.getinfo(f, "S")
  local text = sentence(f)
  local where = info.what == "C" and "of Lua itself"
    or ("%s:%d"):format(info.short_src, info.linedefined)
  return ("%s  a function (%s)%s"):format(name, where,
    text and "\n  " .. text or "")
end

local function field_text(word, name)
  local field = word and schema.field(word.fields, name)
  return field and field.desc or ""
end

local function describe_object(name, value)
  local kind = kinds.of(value) or "table"
  local word = words[kind]
  local lines = { ("%s  %s%s"):format(name, kind,
    word and ": " .. word.desc or "") }
  local methods = {}
  for _, field in ipairs(face.names(value)) do
    local item = value[field]
    if type(item) == "function" then
      methods[#methods + 1] = field
    else
      lines[#lines + 1] = ("  .%-14s %s  %s"):format(field,
        show.text(item):gsub("\n.*", " ..."), field_text(word, field))
    end
  end
  for _, method in ipairs(methods) do
    local line = ("  :%-14s %s"):format(method, sentence(value[method]) or "")
    lines[#lines + 1] = (line:gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

--- The page about an expression's value.
---@param name string
---@param value any
---@return string
function M.page(name, value)
  if type(value) == "function" then return describe_function(name, value) end
  if type(value) == "table" and getmetatable(value) ~= nil then
    return describe_object(name, value)
  elseif value == nil then
    local page, hint = require "cmd.explain".page(name)
    return page and (page:gsub("\n$", ""))
      or ("nothing is called %s; %s"):format(name, hint)
  end
  return ("%s  a %s\n%s"):format(name, type(value), show.text(value))
end

return M
