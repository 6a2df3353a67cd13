--- Applications that are Deployments or StatefulSets of the Kubernetes a cluster
-- is on: deployment = "name", or { "name", kind = "StatefulSet", size = 3 }.
-- Started and stopped through the scale subresource, with the version that was
-- read as precondition. The size is what it had when the run began.

local context = require "base.context"
local err = require "base.err"
local object_of = require "base.lazy" "kube.object"
local pods = require "base.lazy" "kube.pods"
local task = require "vm.task"
local units = require "base.units"

local M = { name = "deployment" }

local KINDS = { Deployment = "deployments", StatefulSet = "statefulsets" }
local LOOK_AGAIN_MS = 300
local START_MS = 300000
local TELL_MS = 3000
local STUCK_MS = 5000     -- what keeps a pod from starting may pass in that time
local TRIES = 8           -- of a change that meets another one

local function refuse(code, format, ...)
  err.raise { kind = "invalid", origin = "workload", code = code,
    message = format:format(...) }
end

--- Reads the field `deployment`; raises what is wrong with it.
function M.takes(value, workload)
  local what = ("workload %s: deployment"):format(workload)
  if value == true then value = workload end
  if type(value) == "string" then value = { value } end
  if type(value) ~= "table" or type(value[1] or workload) ~= "string" then
    refuse("E0201", "%s needs a name, or { \"name\", size = 3 }", what)
  end
  for name in pairs(value) do
    if name ~= 1 and name ~= "kind" and name ~= "size" then
      refuse("E0107", "%s has no field '%s'; there are: kind, size", what,
        tostring(name))
    end
  end
  local kind, size = value.kind or "Deployment", value.size
  if not KINDS[kind] then
    refuse("E0201", "%s: kind is \"Deployment\" or \"StatefulSet\", not %s",
      what, tostring(kind))
  elseif size ~= nil and (math.type(size) ~= "integer" or size < 1) then
    refuse("E0201", "%s: size is a number of pods, 1 or more", what)
  end
  return { object = value[1] or workload, kind = kind, size = size }
end

local function spec_of(w) return w.deployment end

local function kube_of(w, cluster)
  if cluster.on then return cluster.on end
  refuse("E0211", "%s is a %s, and %s is on no Kubernetes: give the cluster "
    .. "on = kubernetes \"...\", or the workload a process or hook", w.name,
    spec_of(w).kind, cluster.name)
end

-- Not through kube:get: a plan rests on the size, not on all of the object.
local function send(w, cluster, mode, sub, more)
  local spec, kube = spec_of(w), kube_of(w, cluster)
  local found, namespace, called = kube:_place("apps/v1/" .. spec.kind,
    spec.object)
  if not found then return nil, namespace end
  local request = {
    path = object_of.path(found, namespace, spec.object, sub),
    doing = (mode == "write" and "scale " or "get ") .. called,
  }
  for name, value in pairs(more or {}) do request[name] = value end
  local answer, why = kube:_send(mode, request)
  return answer and answer.body, why
end

local function read(w, cluster) return send(w, cluster, "read") end

local function describe(w, cluster)
  local spec = spec_of(w)
  return ("%s %s of %s"):format(spec.kind, spec.object, cluster.name)
end

---@async
---@return tranship.Running?, tranship.Err?
function M.status(w, cluster)
  local object, why = read(w, cluster)
  if not object then return nil, why end
  local size, left = object.spec.replicas or 1
  left, why = pods.of(kube_of(w, cluster), object)
  if not left then return nil, why end
  return { running = size > 0 or #left > 0, size = size }
end

--- Who else may change its size, for the plan.
---@async
---@return string[]
function M.others(w, cluster)
  local object = read(w, cluster)
  return object and pods.who_else(kube_of(w, cluster), object) or {}
end

--- How many to start: what the declaration says, else what is known.
---@return integer?, tranship.Err?
function M.size(w, known, cluster)
  local size = spec_of(w).size or known
  if size then return size end
  return nil, err.new {
    kind = "invalid", origin = "workload", code = "E0109",
    message = ("%s has size 0 everywhere, so nobody knows how many to start; "
      .. "say deployment = { \"%s\", size = 1 }"):format(describe(w, cluster),
      spec_of(w).object),
  }
end

--- Sets the size, from the version that was read; a change that got between is
-- read again.
local function scale(w, cluster, to)
  for _ = 1, TRIES do
    local seen, why = send(w, cluster, "read", "scale")
    if not seen then return nil, why end
    if (seen.spec.replicas or 0) == to then return true end
    local done
    done, why = send(w, cluster, "write", "scale", {
      method = "PATCH", type = "application/merge-patch+json",
      repeats = true, -- it is done once: a second one meets the version of the first
      query = { fieldManager = kube_of(w, cluster).manager() },
      body = { metadata = { resourceVersion = seen.metadata.resourceVersion },
        spec = { replicas = to } },
    })
    if done then return true end
    if why.kind ~= "conflict" then return nil, why end
    task.sleep(LOOK_AGAIN_MS)
  end
  return nil, err.new { kind = "conflict", origin = "workload",
    message = ("the size of %s cannot be set: somebody changes it all the time")
      :format(describe(w, cluster)) }
end

--- Why it is not ready, as a text; nil when it is. With `final`, waiting helps
-- no more; with `brief`, nobody's log is read for it.
---@async
---@param brief? boolean
---@return string?|nil, boolean|tranship.Err? final
function M.unready(w, cluster, brief)
  local object, why = read(w, cluster)
  if not object then return nil, why end
  local size = object.spec.replicas or 1
  local count = pods.ready(object)
  if count >= size then return nil end
  local list
  list, why = pods.of(kube_of(w, cluster), object)
  if not list then return nil, why end
  local kube = kube_of(w, cluster)
  local trouble = pods.trouble(kube, object, list)
  local text = trouble or not brief and pods.not_ready(kube, list)
  return ("%d of %d pods are ready%s"):format(math.max(count, 0), size,
    text and ": " .. text or ""), trouble ~= nil
end

--- Waits until all pods are ready; what lasts for a while ends the wait.
local function wait_ready(w, cluster)
  local until_ms, tell_ms = task.now() + START_MS, task.now() + TELL_MS
  local stuck_ms
  while true do
    local late = task.now() >= until_ms
    local text, final = M.unready(w, cluster, not late and task.now() < tell_ms)
    if not text then
      if final then return nil, final end
      return true
    end
    stuck_ms = final and (stuck_ms or task.now()) or nil
    if late or stuck_ms and task.now() - stuck_ms > STUCK_MS then
      return nil, err.new {
        kind = late and "timeout" or "unavailable", origin = "workload",
        message = ("%s does not start on %s: %s"):format(w.name, cluster.name,
          text),
      }
    end
    if task.now() >= tell_ms then
      context.progress("%s on %s: %s", w.name, cluster.name, text)
      tell_ms = task.now() + TELL_MS
    end
    task.sleep(LOOK_AGAIN_MS)
  end
end

---@async
function M.start(w, cluster, size)
  local done, why = scale(w, cluster, size)
  if not done then return nil, why end
  return wait_ready(w, cluster)
end

--- Scales to nothing and waits until no pod is left, ending ones included.
---@async
function M.stop(w, cluster, within_ms)
  local until_ms = task.now() + within_ms
  local done, why = scale(w, cluster, 0)
  if not done then return nil, why end
  while true do
    local object
    object, why = read(w, cluster)
    if not object then return nil, why end
    local left
    left, why = pods.of(kube_of(w, cluster), object)
    if not left then return nil, why end
    local size = object.spec.replicas or 1
    if size > 0 then
      return nil, err.new { kind = "conflict", origin = "workload",
        message = ("%s was stopped, and somebody else has set its size to %d")
          :format(describe(w, cluster), size) }
    end
    if #left == 0 then return true end
    context.progress("%s on %s is ending: %s", w.name, cluster.name, pods.names(left))
    if task.now() >= until_ms then
      return nil, err.new { kind = "timeout", origin = "workload",
        message = ("%s did not stop on %s within %s; still there: %s"):format(
          w.name, cluster.name, units.show_duration(within_ms),
          pods.names(left)) }
    end
    task.sleep(LOOK_AGAIN_MS)
  end
end

--- What the pod that ended last has said.
function M.last_words(w, cluster)
  local object = read(w, cluster)
  if not object then return "" end
  local kube = kube_of(w, cluster)
  local list = pods.of(kube, object) or {}
  return list[1] and pods.last_words(kube, list[1]) or ""
end

return M
