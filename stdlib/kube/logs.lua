--- Pods' logs: what there is, or line by line as it is written.

local context = require "base.context"
local err = require "base.err"
local json = require "vm.json"
local object = require "kube.object"
local status = require "kube.status"
local task = require "vm.task"

---@class tranship.Kubernetes
local M = {}

---@class tranship.KubeLogOptions
---@field namespace? string
---@field container? string
---@field previous? boolean  of the container before this one
---@field tail? integer      lines from the end
---@field since_s? integer
---@field limit_bytes? integer

local function query_of(options, follow)
  return { container = options.container, previous = options.previous,
    tailLines = options.tail, sinceSeconds = options.since_s,
    limitBytes = options.limit_bytes, follow = follow }
end

--- Where a pod's log is, and what reading it is called.
local function place_of(kube, pod, options)
  local found, namespace, called = kube:_place("v1/Pod", pod, options)
  if not found then return nil, namespace end
  return object.path(found, namespace, pod, "log"), "read the log of " .. called
end

--- A pod's log as text.
---@async
---@param pod string
---@param options? tranship.KubeLogOptions
---@return string?, tranship.Err?
function M:logs(pod, options)
  options = options or {}
  local path, doing = place_of(self, pod, options)
  if not path then return nil, doing end
  local answer, why = self:_send("read", { path = path, accept = "*/*",
    doing = doing, query = query_of(options) })
  if not answer then return nil, why end
  return json.is_view(answer.body) and tostring(answer.body) or answer.body
end

---@class tranship.KubeLog
local Log = { __name = "kube.log" }
Log.__index = Log

--- The next line; false when the container has ended; nil and an err of kind
-- "timeout" when none came in time.
---@async
---@param within_ms? integer  default: as long as it takes
---@return string|false|nil, tranship.Err?
function Log:next(within_ms)
  local function read() return self._stream:line() end
  local line, why
  if within_ms then line, why = task.deadline(within_ms, read)
  else line, why = read() end
  if line == nil and why.kind ~= "timeout" then
    return nil, err.wrap(why, self._doing)
  end
  return line, why
end

function Log:close() self._stream:close() end
Log.__close = Log.close

--- A pod's log line by line, and what is written from now on; close it.
---@async
---@param pod string
---@param options? tranship.KubeLogOptions
---@return tranship.KubeLog?, tranship.Err?
function M:follow_logs(pod, options)
  options = options or {}
  local path, doing = place_of(self, pod, options)
  if not path then return nil, doing end
  context.live(doing)
  local session, why = self:_session "read"
  if not session then return nil, why end
  local stream
  stream, why = session:stream { path = path, accept = "*/*", idle_ms = 0,
    query = query_of(options, true) }
  if not stream then return nil, err.wrap(why, doing) end
  if stream:status() == 200 then
    return setmetatable({ _stream = stream, _doing = doing }, Log)
  end
  local answer
  answer, why = stream:answer()
  stream:close()
  if not answer then return nil, err.wrap(why, doing) end
  return nil, status.err(answer, doing)
end

return M
