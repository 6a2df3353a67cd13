--- cluster "x" { strimzi = "name", on = kube, ... }: a Kafka cluster whose
-- addresses and credentials come from its Kafka resource,
-- and which has the goals of strimzi.ensure.

local M = {}

--- Contacts nothing.
---@param spec table  fields of the declaration
---@return tranship.Cluster
function M.new(spec)
  local fields = {}
  for name, value in pairs(spec) do fields[name] = value end
  fields.strimzi = require "strimzi.cluster".new(spec)
  local made = require "kafka.cluster".new(fields)
  for name, method in pairs(require "strimzi.ensure") do made[name] = method end
  return made
end

return M
