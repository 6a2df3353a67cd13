--- One request, until it is answered or its time is over: what may be sent
-- again is sent again, what the server warns about is said once.

local context = require "base.context"
local err = require "base.err"
local log = require "vm.log"
local task = require "vm.task"
local status = require "kube.status"

local M = {}

local WITHIN_MS = 60000        -- all tries together
local FIRST_WAIT_MS, LONGEST_WAIT_MS = 250, 8000

--- Trouble after which nobody knows whether the request was done.
local IN_DOUBT = { closed = true, timeout = true }

--- `299 - "text"`: the text.
local function warning_text(header)
  local text = header:match '^%d+ %S+ "(.*)"' or header
  return (text:gsub("\\(.)", "%1"))
end

local function say_warnings(kube, answer)
  for _, header in ipairs(answer.warnings) do
    local text = warning_text(header)
    if not kube._warned[text] then
      kube._warned[text] = true
      kube._warnings[#kube._warnings + 1] = text
      context.progress("%s warns: %s", kube.name, text)
      log.info(("%s warns: %s"):format(kube.name, text))
    end
  end
end

--- Whether, and after how long, to send again. As kubectl: 429, and 5xx with
-- Retry-After, were not done; gateways' 5xx and cut connections may have been.
local function pause(answer, why, repeats, wait_ms)
  if answer then
    local code = answer.status
    local asked = status.retry_after_ms(answer)
    if code == 429 or code >= 500 and asked or code > 501 and repeats then
      return asked or wait_ms
    end
  elseif why.retriable or repeats and IN_DOUBT[why.kind] then
    return wait_ms
  end
end

local function over(doing, tries, why)
  return err.new {
    kind = why.kind, origin = "kube", code = why.code, cause = why,
    retriable = true, reason = why.reason,
    message = ("%s: gave up after %d tries: %s"):format(doing, tries,
      why.message),
  }
end

---@class tranship.KubeRequest
---@field method? string
---@field path string
---@field query? table
---@field body? any
---@field type? string        of the body
---@field accept? string
---@field doing string        what it is for: begins the errors' text
---@field repeats? boolean    sending it twice does no harm; default: of reads
---@field within_ms? integer  all tries together

local function options_of(request, timeout_ms)
  return {
    method = request.method, path = request.path, query = request.query,
    body = request.body, type = request.type, accept = request.accept,
    limit = request.limit, timeout_ms = timeout_ms,
  }
end

--- Sends it: the answer with a status of success, or nil, err.
---@async
---@param kube tranship.Kubernetes
---@param session table  of vm.kube
---@param request tranship.KubeRequest
function M.send(kube, session, request)
  local deadline = task.now() + (request.within_ms or WITHIN_MS)
  local repeats = request.repeats
  if repeats == nil then repeats = (request.method or "GET") == "GET" end
  local wait_ms, tries = FIRST_WAIT_MS, 0
  while true do
    tries = tries + 1
    local left = math.max(1, deadline - task.now())
    local answer, why = session:request(options_of(request,
      math.min(left, kube._timeout_ms)))
    if answer then
      say_warnings(kube, answer)
      if answer.status >= 200 and answer.status < 300 then return answer end
    else
      why = err.wrap(why, request.doing)
    end
    local again = pause(answer, not answer and why.cause, repeats, wait_ms)
    why = why or status.err(answer, request.doing)
    if not again then return nil, why end
    if task.now() + again >= deadline then
      return nil, tries == 1 and why or over(request.doing, tries, why)
    end
    context.progress("%s: %s; again in %d ms", kube.name, why.message, again)
    task.sleep(again)
    wait_ms = math.min(2 * wait_ms, LONGEST_WAIT_MS)
  end
end

return M
