--- Waiting for an object to become what it should be, or to be gone. An error
-- says what it was instead: conditions, generation, finalizers.

local context = require "base.context"
local err = require "base.err"
local object = require "kube.object"
local task = require "vm.task"

---@class tranship.Kubernetes
local M = {}

local WITHIN_MS = 300000
local POLL_MS = 1000

--- "Ready=False (NotThere: no such listener)".
local function condition_text(one)
  local why = one.reason or ""
  if one.message and one.message ~= "" then
    why = (why ~= "" and why .. ": " or "") .. one.message
  end
  return ("%s=%s%s"):format(one.type, one.status,
    why ~= "" and " (" .. why .. ")" or "")
end

--- What an object's status says, in one line.
---@param there any|false
---@return string
function M.state_text(there)
  if not there then return "it is not there" end
  local seen = there.status
  if not seen then return "it has no status: nobody has looked at it yet" end
  local parts = {}
  for _, one in ipairs(seen.conditions or {}) do
    parts[#parts + 1] = condition_text(one)
  end
  local observed, wanted = seen.observedGeneration, there.metadata.generation
  if observed and wanted and observed < wanted then
    parts[#parts + 1] = ("generation %d is seen, %d is wanted"):format(observed,
      wanted)
  end
  return #parts > 0 and table.concat(parts, ", ") or "its status has no conditions"
end

--- Whether an object's condition has a status, and for this generation.
---@param there any
---@param type_name string  "Ready"
---@param wanted? string    default: "True"
---@return boolean
function M.has_condition(there, type_name, wanted)
  local one = object.condition(there, type_name)
  if not one or one.status ~= (wanted or "True") then return false end
  local generation = there.metadata.generation
  local observed = one.observedGeneration
    or there.status and there.status.observedGeneration
  return not observed or not generation or observed >= generation
end

local function replaced(called, uid, seen)
  return err.new { kind = "conflict", origin = "kube",
    message = ("%s was deleted and made again meanwhile (uid %s, was %s)")
      :format(called, seen, uid) }
end

--- Readers of one object's states: a watch, or looking again and again where
-- watching is not allowed.

local function by_watch(self, kind, name, options)
  local watch, why = self:watch(kind, { namespace = options.namespace,
    name = name })
  if not watch then return nil, why end
  local there, is_synced = false, false
  return function()
    while true do
      local event, failed = watch:next()
      if not event then return nil, failed end
      is_synced = is_synced or event.type == "SYNCED"
      if event.type == "DELETED" then there = false end
      if event.object and event.type ~= "DELETED" then there = event.object end
      if is_synced then return there end
    end
  end, watch
end

local function by_looking(self, kind, name, options)
  local is_first = true
  return function()
    if not is_first then task.sleep(POLL_MS) end
    is_first = false
    return self:find(kind, name, options)
  end
end

--- Reads states until `test` is content with one.
local function follow(self, kind, name, options, test)
  local look, watch = by_watch(self, kind, name, options)
  if not look then return nil, watch end
  local _ <close> = watch
  while true do
    local there, why = look()
    local done, failed
    if there == nil and why.kind == "denied" and watch then
      look, watch = by_looking(self, kind, name, options), nil
    elseif there == nil then
      return nil, why
    else
      done, failed = test(there)
      if not done and not failed and options.uid and there
        and there.metadata.uid ~= options.uid then
        failed = replaced(name, options.uid, there.metadata.uid)
      end
    end
    if failed then return nil, failed end
    if done then return there or true end
  end
end

--- Waits until `test(object or false)` says true; `nil, err` from it ends the
-- wait. What it was last is in the error when time is over.
---@async
---@param kind string
---@param name string
---@param test fun(there: any|false): boolean?, tranship.Err?
---@param options? { namespace?: string, within_ms?: integer, uid?: string, what?: string }
---@return any? object, tranship.Err?
function M:wait_until(kind, name, test, options)
  options = options or {}
  local found, namespace, called = self:_place(kind, name, options)
  if not found then return nil, namespace end
  context.live(called)
  local last, within_ms = false, options.within_ms or WITHIN_MS
  local there, why = task.deadline(within_ms, follow, self, found, name,
    options, function(seen)
      last = seen
      return test(seen)
    end)
  if there ~= nil or why.kind ~= "timeout" then return there, why end
  return nil, err.new {
    kind = "timeout", origin = "kube", retriable = true, cause = why,
    message = ("waited %g s for %s to be %s: %s"):format(within_ms / 1000,
      called, options.what or "as wanted", M.state_text(last)),
  }
end

--- Waits for a condition, at the generation that was asked for.
---@async
---@param kind string
---@param name string
---@param options? table  namespace, condition, status, within_ms, uid, and
-- `failed(object)`, which says why it will never come, or nil
---@return any? object, tranship.Err?
function M:wait_for(kind, name, options)
  options = options or {}
  local condition, wanted = options.condition or "Ready", options.status
  return self:wait_until(kind, name, function(there)
    if not there then return false end
    if M.has_condition(there, condition, wanted) then return true end
    local why = options.failed and options.failed(there)
    if not why then return false end
    return nil, err.new { kind = "conflict", origin = "kube",
      message = ("%s %s on %s: %s"):format(kind, name, self.name, why) }
  end, { namespace = options.namespace, within_ms = options.within_ms,
    uid = options.uid, what = condition .. "=" .. (wanted or "True") })
end

--- Waits until an object is gone: by its uid if given, so that another one of
-- the same name does not count.
---@async
---@param kind string
---@param name string
---@param options? { namespace?: string, within_ms?: integer, uid?: string }
---@return true?, tranship.Err?
function M:wait_gone(kind, name, options)
  options = options or {}
  local holders
  local done, why = self:wait_until(kind, name, function(there)
    if not there or options.uid and there.metadata.uid ~= options.uid then
      return true
    end
    local list = {}
    for _, one in ipairs(there.metadata.finalizers or {}) do list[#list + 1] = one end
    holders = there.metadata.deletionTimestamp
      and (#list > 0 and "finalizers hold it: " .. table.concat(list, ", ")
        or "it is being deleted") or "nobody has deleted it"
    return false
  end, { namespace = options.namespace, within_ms = options.within_ms,
    what = "gone" })
  if done then return true end
  if why.kind == "timeout" and holders then
    why = err.new { kind = "timeout", origin = "kube", retriable = true,
      message = why.message:gsub(" to be gone: .*$", " to be gone: ") .. holders }
  end
  return nil, why
end

return M
