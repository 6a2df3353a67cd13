--- The pods of a Deployment or StatefulSet: which there are, what is wrong with
-- them, and who else sizes their owner. Reads only.

local texts = require "base.text"
local object = require "kube.object"

local M = {}

local LOG_LINES = 5
local RESTARTS = 2        -- so often, and it will not come up by itself

-- Reasons to wait that somebody must do something about.
local STUCK = { CreateContainerConfigError = true, CreateContainerError = true,
  ErrImagePull = true, ImagePullBackOff = true, InvalidImageName = true,
  RunContainerError = true }

local function expression(one)
  local values = {}
  for _, value in ipairs(one.values or {}) do values[#values + 1] = value end
  local list = "(" .. table.concat(values, ",") .. ")"
  return ({ In = one.key .. " in " .. list, NotIn = one.key .. " notin " .. list,
    Exists = one.key, DoesNotExist = "!" .. one.key })[one.operator]
end

--- A label selector as requests write it.
---@param selector any
---@return string
function M.selector(selector)
  local parts = {}
  for key, value in pairs(selector.matchLabels or {}) do
    parts[#parts + 1] = key .. "=" .. value
  end
  for _, one in ipairs(selector.matchExpressions or {}) do
    parts[#parts + 1] = expression(one)
  end
  table.sort(parts)
  return table.concat(parts, ",")
end

--- Its pods, also those that are ending; ended ones are none.
---@async
---@return any[]?, tranship.Err?
function M.of(kube, owner)
  local namespace = owner.metadata.namespace
  local found, why = kube:kind "v1/Pod"
  if not found then return nil, why end
  local answer
  answer, why = kube:_send("read", { path = object.path(found, namespace),
    query = { labelSelector = M.selector(owner.spec.selector) },
    doing = ("list the pods of %s on %s"):format(object.called(
      { kind = owner.kind, namespaced = true }, namespace, owner.metadata.name),
      kube.name) })
  if not answer then return nil, why end
  local list = {}
  for _, pod in ipairs(answer.body.items) do
    local phase = pod.status and pod.status.phase
    if phase ~= "Succeeded" and phase ~= "Failed" then list[#list + 1] = pod end
  end
  return list
end

--- "web-1 (ending), web-2": for messages.
---@return string
function M.names(list)
  local names = {}
  for i, pod in ipairs(list) do
    names[i] = pod.metadata.name
      .. (pod.metadata.deletionTimestamp and " (ending)" or "")
  end
  return table.concat(names, ", ")
end

--- The end of a pod's log, indented; why it cannot be read, if so.
---@async
---@return string
function M.last_words(kube, pod, container, previous)
  local text, why = kube:logs(pod.metadata.name, { tail = LOG_LINES,
    namespace = pod.metadata.namespace, container = container,
    previous = previous })
  if not text and previous then return M.last_words(kube, pod, container) end
  return text and texts.last_lines(text, LOG_LINES)
    or "\n    (its log cannot be read: " .. why.message .. ")"
end

-- What is wrong with a container; nil when nothing is, or not yet for sure.
local function container_trouble(kube, pod, one)
  local waiting = one.state and one.state.waiting
  if waiting and STUCK[waiting.reason] then
    return ("%s%s"):format(waiting.reason,
      waiting.message and ": " .. waiting.message or "")
  end
  local ended = one.lastState and one.lastState.terminated
    or one.state and one.state.terminated
  if (one.restartCount or 0) >= RESTARTS and not one.ready then
    return ("%s, started %d times%s"):format(ended
      and ("%s (exit code %d)"):format(ended.reason or "ended", ended.exitCode)
      or "it keeps ending", one.restartCount + 1,
      M.last_words(kube, pod, one.name, true))
  end
end

--- How many pods are of this generation and ready; -1: not looked at yet.
---@return integer
function M.ready(owner)
  local status = owner.status or {}
  if (status.observedGeneration or 0) < owner.metadata.generation then
    return -1
  end
  local updated = status.updatedReplicas or 0
  if (status.replicas or 0) > updated then return 0 end  -- old ones are there
  return math.min(status.readyReplicas or 0, updated)
end

--- What keeps it from getting ready, if something does that waiting will not
-- cure: of its own conditions, and of its pods.
---@async
---@return string?
function M.trouble(kube, owner, list)
  for _, kind in ipairs { "ReplicaFailure", "Progressing" } do
    local seen = object.condition(owner, kind)
    if seen and seen.status == (kind == "Progressing" and "False" or "True") then
      return ("%s: %s"):format(seen.reason, seen.message)
    end
  end
  for _, pod in ipairs(list) do
    for _, one in ipairs(pod.status and pod.status.containerStatuses or {}) do
      local text = container_trouble(kube, pod, one)
      if text then
        return ("pod %s, container %s: %s"):format(pod.metadata.name, one.name,
          text)
      end
    end
  end
end

--- Which containers work and are not ready, and what they said last: what is to
-- be told when nothing more is known to be wrong.
---@async
---@return string?
function M.not_ready(kube, list)
  for _, pod in ipairs(list) do
    for _, one in ipairs(pod.status and pod.status.containerStatuses or {}) do
      if not one.ready and one.state and one.state.running then
        return ("pod %s, container %s: it runs and is not ready (its readiness "
          .. "probe)%s"):format(pod.metadata.name, one.name,
          M.last_words(kube, pod, one.name))
      end
    end
    if not pod.spec.nodeName then
      local seen = object.condition(pod, "PodScheduled")
      return ("pod %s: it has no node yet%s"):format(pod.metadata.name,
        seen and seen.message and ": " .. seen.message or "")
    end
  end
end

-- Who else sets its size. ------------------------------------------------------

local GITOPS = {
  { "labels", "argocd.argoproj.io/instance", "Argo CD" },
  { "annotations", "argocd.argoproj.io/tracking-id", "Argo CD" },
  { "labels", "kustomize.toolkit.fluxcd.io/name", "Flux" },
  { "labels", "helm.toolkit.fluxcd.io/name", "Flux" },
}

local SCALERS = {
  { "autoscaling/v2/HorizontalPodAutoscaler", "minReplicas", "maxReplicas" },
  { "keda.sh/v1alpha1/ScaledObject", "minReplicaCount", "maxReplicaCount" },
}

local function scalers(kube, owner, add)
  for _, one in ipairs(SCALERS) do
    local found = kube:kind(one[1])
    local answer, why
    if found then
      answer, why = kube:_send("read", { doing = "list " .. found.plural,
        path = object.path(found, owner.metadata.namespace) })
      if not answer then add(found.kind .. "s, if any: " .. why.message) end
    end
    for _, item in ipairs(answer and answer.body.items or {}) do
      local target = item.spec.scaleTargetRef
      if target.name == owner.metadata.name
        and (target.kind or "Deployment") == owner.kind then
        add(("%s %s (%s to %s)"):format(found.kind, item.metadata.name,
          item.spec[one[2]] or 1, item.spec[one[3]] or "?"))
      end
    end
  end
end

--- Autoscalers, GitOps and managers of the field, as texts.
---@async
---@return string[]
function M.who_else(kube, owner)
  local list, seen = {}, {}
  local function add(text)
    if not seen[text] then list[#list + 1] = text end
    seen[text] = true
  end
  scalers(kube, owner, add)
  for _, mark in ipairs(GITOPS) do
    local marks = owner.metadata[mark[1]]
    if marks and marks[mark[2]] then add(mark[3]) end
  end
  for _, other in ipairs(object.owners(owner)) do
    local spec = other.fields and other.fields["f:spec"]
    if spec and spec["f:replicas"] and not other.manager:find "^tranship"
      and not other.manager:find "^kubectl" then
      add("field manager " .. other.manager)
    end
  end
  return list
end

return M
