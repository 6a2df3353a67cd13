--- What a resource of Strimzi's says about itself. Ready counts only for the
-- generation that is asked for. Failures come in two shapes: NotReady=True (Kafka,
-- KafkaUser, Connect, MirrorMaker 2) and Ready=False (KafkaTopic).

local context = require "base.context"
local object = require "kube.object"

local M = {}

local PAUSED = "strimzi.io/pause-reconciliation"
local CLUSTER = "strimzi.io/cluster"
local CREATING = "Creating"

local function observed(there)
  local status = there.status
  return status and status.observedGeneration or 0
end

--- Whether the operator has seen the resource as it is now.
function M.is_seen(there)
  return observed(there) >= (there.metadata.generation or 0)
end

--- Ready, and for this generation.
---@return boolean
function M.is_ready(there)
  local ready = object.condition(there, "Ready")
  return ready ~= nil and ready.status == "True" and M.is_seen(there)
end

local function told(condition)
  local parts = {}
  for _, field in ipairs { "reason", "message" } do
    local text = condition[field]
    if text and text ~= "" then parts[#parts + 1] = text end
  end
  return #parts > 0 and table.concat(parts, ": ") or "without a reason"
end

--- Why it failed, as of this generation: "Reason: message" and the reason alone,
-- or nil. A Kafka that is being made is not ready either, and has not failed.
---@return string? text, string? reason
function M.failure(there)
  if not there or not M.is_seen(there) then return nil end
  for kind, status in pairs { NotReady = "True", Ready = "False" } do
    local one = object.condition(there, kind)
    if one and one.status == status and one.reason ~= CREATING then
      return told(one), one.reason
    end
  end
end

--- Whether an operator has ever written a status.
function M.is_answered(there)
  local status = there.status
  return status ~= nil and (status.conditions or status.observedGeneration) ~= nil
end

--- Nobody has written a status: who might be to blame.
local function unanswered(there)
  local labels, kind = there.metadata.labels or {}, there.kind
  if kind == "Kafka" then
    return "no operator has answered: is Strimzi's Cluster Operator running, and "
      .. "does it watch the namespace " .. tostring(there.metadata.namespace) .. "?"
  elseif not labels[CLUSTER] then
    return ("no operator has answered: it has no label %s, so it belongs to no Kafka")
      :format(CLUSTER)
  end
  return ("no operator has answered: its label says %s=%s; is that the Kafka, does it "
    .. "have an entity operator, and is its namespace %s watched?"):format(CLUSTER,
    labels[CLUSTER], tostring(there.metadata.namespace))
end

--- Is this what a plan's steps are to make of it? It has no status then.
local function is_planned(there)
  for _, planned in next, context.get().overlay or {} do
    if rawequal(planned, there) then return true end
  end
  return false
end

--- Is nobody to act on it for now?
function M.is_paused(there)
  return (there.metadata.annotations or {})[PAUSED] == "true"
end

--- What its status says, in one line for people.
---@return string
function M.text(there)
  if not there then return "it is not there" end
  if is_planned(there) then return "a step above is to make or change it" end
  if M.is_paused(there) then
    return ("its reconciliation is paused (annotation %s)"):format(PAUSED)
  end
  if not M.is_answered(there) then return unanswered(there) end
  local why = M.failure(there)
  if why then return "it failed: " .. why end
  if not M.is_seen(there) then
    return ("its operator has not come to the last change (generation %d of %d)"):format(
      observed(there), there.metadata.generation)
  end
  return M.is_ready(there) and "it is ready" or "it is not ready yet"
end

return M
