--- What an object will be after one more patch, as far as a plan can tell: the
-- server cannot be asked about an object that steps above are to make or change.

local effect = require "base.effect"
local json = require "vm.json"

local M = {}

local function is_list(value)
  return value[1] ~= nil or getmetatable(value) ~= nil -- marked as one
end

local function copy(object)
  local out = {}
  for name, value in pairs(object) do out[name] = value end
  return out
end

--- A merge patch (RFC 7396): null takes a field away.
local function merge(object, patch)
  if type(patch) ~= "table" or is_list(patch) then return patch end
  local out = copy(type(object) == "table" and object or {})
  for name, value in pairs(patch) do
    if value == json.null then
      out[name] = nil
    else
      out[name] = merge(out[name], value)
    end
  end
  return out
end

--- The object with another value at a path of fields; nil where there is none.
local function with(object, path, value)
  local name, rest = path:match "^/([^/]+)(.*)$"
  if type(object) ~= "table" or not name or is_list(object) then return nil end
  local out = copy(object)
  name = name:gsub("~1", "/"):gsub("~0", "~")
  if rest ~= "" then
    value = with(out[name], rest, value)
    if value == nil then return nil end
  end
  out[name] = value
  return out
end

--- A JSON patch (RFC 6902) of fields; whether a test of it holds is the server's
-- to tell.
local function operate(object, patch)
  for _, one in ipairs(patch) do
    if one.op == "add" or one.op == "replace" or one.op == "remove" then
      object = with(object, one.path, one.value)
    elseif one.op ~= "test" then
      return nil
    end
  end
  return object
end

--- The object after the patch; an unknown where that cannot be told here.
---@param object table|false  what the plan says of it
---@param patch table
---@param kind "merge"|"json"|"strategic"
function M.patched(object, patch, kind)
  local after
  if object and not effect.is_unknown(object) then
    after = kind == "merge" and merge(object, patch)
      or kind == "json" and operate(object, patch)
  end
  return after or effect.unknown "what steps above make of it"
end

return M
