--- Applications that are Deployments or StatefulSets of the Kubernetes a cluster
-- is on: deployment = "name", or { "name", kind = "StatefulSet", size = 3 }.
-- Started and stopped through the scale subresource, with the version that was
-- read as precondition. The size is what it had when the run began.

local err = require "base.err"
local pods = require "base.lazy" "app.pods"
local task = require "vm.task"
local units = require "base.units"

local M = { name = "deployment" }

local KINDS = { Deployment = "deployments", StatefulSet = "statefulsets" }
local LOOK_AGAIN_MS = 300
local START_MS = 300000
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

local function spec_of(w)
  return w.deployment or { object = w.name, kind = "Deployment" }
end

local function kube_of(w, cluster)
  if cluster.on then return cluster.on end
  refuse("E0211", "%s is a %s, and %s is on no Kubernetes: give the cluster "
    .. "on = kubernetes \"...\", or the workload a process or hook", w.name,
    spec_of(w).kind, cluster.name)
end

local function read(w, cluster)
  local spec = spec_of(w)
  return kube_of(w, cluster):get(spec.kind, spec.object)
end

local function describe(w, cluster)
  local spec = spec_of(w)
  return ("%s %s of %s"):format(spec.kind, spec.object, cluster.name)
end

---@async
---@return tranship.Running?, tranship.Err?
function M.status(w, cluster)
  local object, why = read(w, cluster)
  if not object then return nil, why end
  local wanted = math.tointeger(object.spec.replicas or 1)
  local left
  left, why = pods.of(kube_of(w, cluster), object)
  if not left then return nil, why end
  return {
    running = wanted > 0 or #left > 0, size = wanted,
    others = pods.who_else(kube_of(w, cluster), object),
  }
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

--- Sets the size; a change that got between is read again, unless it is one of
-- the size itself: then somebody else scales, and that is said.
local function scale(w, cluster, from, to)
  local spec, kube = spec_of(w), kube_of(w, cluster)
  for _ = 1, TRIES do
    local seen, why = kube:read_scale(spec.kind, spec.object)
    if not seen then return nil, why end
    if seen.size == to then return true end
    if from and seen.size ~= from then
      return nil, err.new {
        kind = "conflict", origin = "workload",
        message = ("somebody else has set the size of %s to %d"):format(
          describe(w, cluster), seen.size),
      }
    end
    local done
    done, why = kube:write_scale(spec.kind, spec.object, to, seen.version)
    if done then return true end
    if why.kind ~= "conflict" then return nil, why end
    task.sleep(LOOK_AGAIN_MS)
  end
  return nil, err.new { kind = "conflict", origin = "workload",
    message = ("the size of %s cannot be set: it is changed all the time")
      :format(describe(w, cluster)) }
end

--- Whether every pod is one of this generation, and ready.
local function is_ready(object, size)
  local status = object.status or {}
  local function count(name) return math.tointeger(status[name] or 0) end
  local is_set = object.kind == "StatefulSet"
  return count "observedGeneration" >= math.tointeger(object.metadata.generation)
    and count "replicas" == size and count "readyReplicas" == size
    and count "updatedReplicas" == size
    and (is_set or count "availableReplicas" == size)
end

--- Waits until all pods are ready; one that cannot start ends the wait.
local function wait_ready(w, cluster, size)
  local until_ms = task.now() + START_MS
  local kube = kube_of(w, cluster)
  while true do
    local object, why = read(w, cluster)
    if not object then return nil, why end
    if is_ready(object, size) then return true end
    local left
    left, why = pods.of(kube, object)
    if not left then return nil, why end
    local trouble = pods.trouble(kube, object, left)
    local late = task.now() >= until_ms
    if trouble or late then
      return nil, err.new {
        kind = late and "timeout" or "unavailable", origin = "workload",
        message = ("%s does not start on %s: %s"):format(w.name, cluster.name,
          trouble or ("not ready within %s"):format(
            units.show_duration(START_MS))),
      }
    end
    task.sleep(LOOK_AGAIN_MS)
  end
end

---@async
function M.start(w, cluster, size)
  local done, why = scale(w, cluster, nil, size)
  if not done then return nil, why end
  return wait_ready(w, cluster, size)
end

--- Scales to nothing and waits until no pod is left, ending ones included.
---@async
function M.stop(w, cluster, within_ms)
  local until_ms = task.now() + within_ms
  local done, why = scale(w, cluster, nil, 0)
  if not done then return nil, why end
  while true do
    local object
    object, why = read(w, cluster)
    if not object then return nil, why end
    local left
    left, why = pods.of(kube_of(w, cluster), object)
    if not left then return nil, why end
    local size = math.tointeger(object.spec.replicas or 1)
    if size > 0 then
      return nil, err.new { kind = "conflict", origin = "workload",
        message = ("%s was stopped, and somebody else has set its size to %d")
          :format(describe(w, cluster), size) }
    end
    if #left == 0 then return true end
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
