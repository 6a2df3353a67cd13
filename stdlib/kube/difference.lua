--- What an object lacks of what it should say. Numbers and texts that read the
-- same are the same; fields nobody asks for are anybody's; a list is one value.

local json = require "vm.json"
local secret = require "vm.secret"

local M = {}

local FINGERPRINT_KEY = "kube.difference"

---@class tranship.Difference
---@field path string[]  keys from the top
---@field had any        what is there; nil: nothing
---@field want any

local ARRAY = getmetatable(json.array {})

local function is_list(value)
  return type(value) == "table" and (#value > 0 or getmetatable(value) == ARRAY)
end

--- Values as texts: 3, 3.0 and "3" are one.
local function text_of(value)
  return tostring(type(value) == "number" and math.tointeger(value) or value)
end

local function same_scalar(want, has)
  if secret.is(want) or secret.is(has) then
    return secret.is(want) and secret.is(has)
      and want:fingerprint(FINGERPRINT_KEY) == has:fingerprint(FINGERPRINT_KEY)
  end
  return has ~= nil and type(has) ~= "table" and text_of(want) == text_of(has)
end

local function keys_of(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- Whether all that `want` says is so in `has`.
local function covers(want, has)
  if type(want) ~= "table" then return same_scalar(want, has) end
  if type(has) ~= "table" or is_list(want) and #want ~= #has then return false end
  for key, value in pairs(want) do
    if not covers(value, has[key]) then return false end
  end
  return true
end

local function look(want, has, path, out)
  if type(want) ~= "table" or is_list(want) or type(has) ~= "table" then
    if not covers(want, has) then
      out[#out + 1] = { path = table.move(path, 1, #path, 1, {}), had = has, want = want }
    end
    return
  end
  for _, key in ipairs(keys_of(want)) do
    path[#path + 1] = key
    look(want[key], has[key], path, out)
    path[#path] = nil
  end
end

--- The differences, in the order of their paths.
---@param want table
---@param has table  a copy, no view
---@return tranship.Difference[]
function M.list(want, has)
  local out = {}
  look(want, has, {}, out)
  return out
end

--- `want`, in the words of `has` wherever they say the same: what may be applied
-- without changing how somebody else has written it.
function M.in_words_of(want, has)
  if type(want) ~= "table" then return same_scalar(want, has) and has or want end
  if is_list(want) and covers(want, has) then return has end
  if is_list(want) or type(has) ~= "table" then return want end
  local out = {}
  for key, value in pairs(want) do out[key] = M.in_words_of(value, has[key]) end
  return out
end

--- What is at a path.
function M.at(value, path)
  for _, key in ipairs(path) do
    if type(value) ~= "table" then return nil end
    value = value[key]
  end
  return value
end

local function put(patch, path, value)
  for i = 1, #path - 1 do
    patch[path[i]] = patch[path[i]] or {}
    patch = patch[path[i]]
  end
  patch[path[#path]] = value
end

--- Whether a map that was not there has no key by now that was not wanted.
local function is_ours(want, seen)
  if type(want) ~= "table" or is_list(want) then return true end
  for key, value in pairs(seen) do
    if want[key] == nil or not is_ours(want[key], value) then return false end
  end
  return true
end

--- Takes away what was not there before: all of it, or leaf by leaf where others
-- have added to it.
local function take_away(want, seen, path, patch)
  if is_ours(want, seen) then return put(patch, path, json.null) end
  for key, value in pairs(want) do
    path[#path + 1] = key
    if seen[key] ~= nil then take_away(value, seen[key], path, patch) end
    path[#path] = nil
  end
end

--- The merge patch that puts back what was there, where it still is what was
-- wanted; nil when nothing is to be put back.
---@param differences tranship.Difference[]
---@param now table
function M.back(differences, now)
  local patch = {}
  for _, one in ipairs(differences) do
    local seen = M.at(now, one.path)
    if seen ~= nil and covers(one.want, seen) then
      if one.had == nil then
        take_away(one.want, seen, table.move(one.path, 1, #one.path, 1, {}), patch)
      elseif not (covers(one.had, seen) and covers(seen, one.had)) then
        put(patch, one.path, one.had)
      end
    end
  end
  return next(patch) and patch or nil
end

local function shown(value)
  if value == nil then return "not set" end
  if type(value) == "table" then return json.encode(value) end
  return text_of(value)
end

--- "spec.partitions is 3, wanted 6".
---@param one tranship.Difference
function M.text(one)
  return ("%s is %s, wanted %s"):format(table.concat(one.path, "."), shown(one.had),
    shown(one.want))
end

return M
