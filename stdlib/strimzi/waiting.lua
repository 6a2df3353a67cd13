--- Waiting until Strimzi's operators have done what a resource asks for.

local context = require "base.context"
local err = require "base.err"
local state = require "strimzi.state"

local M = {}

local WITHIN_MS = 600000 -- rolling a cluster takes its time
local ANSWER_MS = 120000 -- an operator at work says at least that it has begun

--- Failures that the same resource will have again.
local FINAL = { InvalidResourceException = true, InvalidConfigurationException = true,
  ResourceConflict = true, NotSupported = true }

local function failed(self, kind, name, why, more)
  return err.new { kind = more and "timeout" or "conflict", origin = "strimzi",
    retriable = more ~= nil,
    message = ("%s %s on %s%s: %s"):format(kind, name, self.kube.name, more or "", why) }
end

--- Waits for `test(object or false)`; when time is over, says what the resource
-- was last.
local function until_time(self, found, name, test, within_ms, what)
  local last = false
  local there, why = self.kube:wait_until(found, name, function(seen)
    last = seen
    return test(seen)
  end, { namespace = self.namespace, within_ms = within_ms })
  if there or why.kind ~= "timeout" then return there, why end
  return nil, failed(self, found.kind, name, state.text(last),
    (" was not %s within %g s"):format(what, within_ms / 1000))
end

--- Waits until a resource is ready at its generation: the resource, or nil and
-- an err with the operator's own reason and message. `also(object)` may ask for
-- more than that.
---@async
---@param self tranship.StrimziCluster
---@param kind string  of Strimzi's
---@param name string
---@param options? { within_ms?: integer, answer_ms?: integer, also?: fun(there: any): boolean?, what?: string }
---@return any? object, tranship.Err?
function M.ready(self, kind, name, options)
  options = options or {}
  local found, why = self:kind(kind)
  if not found then return nil, why end
  local within_ms = options.within_ms or WITHIN_MS
  local told
  local function look(there)
    local text = there and state.text(there)
    if text and text ~= told then
      context.progress("%s %s: %s", kind, name, text)
      told = text
    end
    local _, reason = state.failure(there)
    if reason and FINAL[reason] then return nil, failed(self, kind, name, text) end
    return there and state.is_ready(there) and (not options.also or options.also(there))
  end
  -- Nobody at work is told earlier than somebody slow.
  local answered
  answered, why = until_time(self, found, name, function(there)
    return there and state.is_answered(there)
  end, math.min(options.answer_ms or ANSWER_MS, within_ms), "looked at by its operator")
  if not answered then return nil, why end
  return until_time(self, found, name, look, within_ms, options.what or "ready")
end

return M
