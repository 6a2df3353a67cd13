--- Values as they may be written down: plain data without secrets.
-- Journal, plan and report show what scripts and faces hand them; this makes
-- sure that it is data, that it ends, and that no secret is in it.

local err = require "base.err"
local json = require "vm.json"
local secret = require "vm.secret"

local M = {}

local MAX_DEPTH = 12
local MAX_TEXT = 16 * 1024

local copy

local function copy_table(value, depth)
  if depth > MAX_DEPTH then return "(too deep)" end
  local meta = getmetatable(value)
  if meta == "unknown" then return { unknown = tostring(value) } end
  if type(meta) == "table" and meta.__tostring and next(value) == nil then
    return secret.redact(tostring(value))
  end
  local out = {}
  for key, item in pairs(value) do
    if type(key) ~= "string" and math.type(key) ~= "integer" then
      key = tostring(key)
    end
    out[key] = copy(item, depth + 1)
  end
  -- JSON has either lists or objects: a mixed table becomes an object.
  if #out > 0 and next(out, #out) ~= nil then
    local mixed = {}
    for key, item in pairs(out) do mixed[tostring(key)] = item end
    return mixed
  end
  return out
end

function copy(value, depth)
  local kind = type(value)
  if value == json.null or kind == "nil" or kind == "boolean" then
    return value
  elseif kind == "number" then
    if math.type(value) == "integer" then return value end
    if value ~= value or value == math.huge or value == -math.huge then
      return tostring(value)
    end
    return value
  elseif kind == "string" then
    local text = secret.redact(value)
    if #text > MAX_TEXT then text = text:sub(1, MAX_TEXT) .. "..." end
    return text
  elseif kind == "table" then
    return copy_table(value, depth)
  elseif json.is_view(value) then
    return copy_table(json.copy(value), depth)
  elseif kind == "userdata" then
    return secret.redact(tostring(value))
  end
  return "(" .. kind .. ")"
end

--- A deep copy that can be written as JSON; secrets become their fingerprint.
function M.copy(value) return copy(value, 1) end

--- An error as the journal keeps it: kind, origin, code, message, retriable.
function M.error(why)
  if why == nil then return nil end
  if type(why) ~= "table" then return { message = copy(tostring(why), 1) } end
  return {
    kind = copy(why.kind, 1), origin = copy(why.origin, 1),
    code = copy(why.code, 1), retriable = why.retriable and true or nil,
    message = copy(err.told(why), 1),
    cause = why.cause and secret.redact(tostring(why.cause)) or nil,
  }
end

--- One short line for people.
function M.line(value)
  if type(value) == "string" then return (copy(value, 1):gsub("%s*\n%s*", " ")) end
  if type(value) ~= "table" then return tostring(copy(value, 1)) end
  return json.encode(copy(value, 1)) or "?"
end

return M
