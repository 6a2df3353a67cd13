--- What an API server answers that is no success, as errors: what was asked,
-- what it said, and of a conflict or a refused object each field by name.

local err = require "base.err"
local json = require "vm.json"

local M = {}

local KINDS = {
  [400] = "invalid", [401] = "auth", [403] = "denied", [404] = "not found",
  [405] = "invalid", [406] = "invalid", [409] = "conflict", [410] = "expired",
  [413] = "limit", [415] = "invalid", [422] = "invalid", [429] = "unavailable",
  [504] = "timeout",
}

-- Server-side apply answers 500 to a field that its schema does not have.
local UNTYPED = "^failed to create typed patch object"

local function kind_of(code, status, causes)
  if status.reason == "AlreadyExists" then return "exists" end
  if causes[1] and causes[1].reason == "NamespaceTerminating" then
    return "conflict"
  end
  if code == 500 and (status.message or ""):find(UNTYPED) then return "invalid" end
  if code >= 300 and code < 400 then return "protocol" end
  return KINDS[code] or code >= 500 and "unavailable" or "invalid"
end

--- Causes as plain data: { { field, message, reason } }.
local function causes_of(details)
  local list = {}
  for _, cause in ipairs(details and details.causes or {}) do
    list[#list + 1] = { field = cause.field, message = cause.message,
      reason = cause.reason }
  end
  return list
end

local function is_ownership(cause) return cause.reason == "FieldManagerConflict" end

--- ".spec.replicas (kubectl, apps/v1)": a field and who else owns it.
local function owned(cause)
  local owner = (cause.message or ""):match 'conflict with (.+)$' or "another"
  return ("%s (%s)"):format((cause.field or "?"), (owner:gsub('"', "")))
end

local function text_of(status, causes)
  local parts = {}
  for _, cause in ipairs(causes) do
    parts[#parts + 1] = is_ownership(cause) and owned(cause)
      or ("%s: %s"):format(cause.field or "?", cause.message or cause.reason)
  end
  if causes[1] and is_ownership(causes[1]) then
    return "these fields belong to others: " .. table.concat(parts, "; ")
      .. "; nothing was changed"
  end
  local message = status.message or status.reason or "no reason given"
  -- The server's own text of a refused object holds its causes already.
  if message:find(UNTYPED) then
    return "the object is refused: " .. message:match "%): (.*)$"
  elseif status.reason == "Invalid" and #parts > 0 then
    return "the object is refused: " .. table.concat(parts, "; ")
  end
  return message
end

local LONGEST_TEXT = 300

--- The err of an answer without success.
---@param answer { status: integer, body: any, retry_after?: string }
---@param doing string  "get Kafka event-bus in kafka on ocp3"
---@return tranship.Err
function M.err(answer, doing)
  local body, code = answer.body, answer.status
  local is_status = json.is_view(body) and body.kind == "Status"
  local status = is_status and body or {}
  local causes = causes_of(status.details)
  local message = is_status and text_of(status, causes)
    or "the server says " .. code .. (type(body) == "string" and body ~= ""
      and ": " .. body:sub(1, LONGEST_TEXT):gsub("%s+", " ") or "")
  if code >= 300 and code < 400 then
    message = "the server sends us elsewhere, and nobody follows"
  end
  return err.new {
    kind = kind_of(code, status, causes), origin = "kube", code = code,
    reason = status.reason, causes = causes,
    retriable = code == 429 or code > 501,
    message = ("%s: %s"):format(doing, message),
  }
end

--- The err of a Status that came as a watch's ERROR event.
function M.of_event(status, doing)
  return M.err({ status = status.code or 500, body = status }, doing)
end

--- How long the server asks to be left alone, in milliseconds, or nil.
function M.retry_after_ms(answer)
  local seconds = tonumber(answer.retry_after)
  local body = answer.body
  if not seconds and json.is_view(body) and body.details then
    seconds = tonumber(body.details.retryAfterSeconds)
  end
  return seconds and math.floor(seconds * 1000)
end

return M
