--- How many copies of an application to start: what it had when the run began,
-- never what it has now, because the run itself stops it.

local context = require "base.context"

local M = {}

--- What was seen of the workload per cluster when the run began; nil outside.
local function at_first(workload)
  local baseline = context.get().baseline
  local taken = baseline and (baseline.workloads or {})[workload.name]
  return taken and taken.clusters
end

--- The size to start it with on `cluster`: its own when the run began, else that
-- of where it ran then. Nil when nobody knows.
---@async
---@param workload tranship.Workload
---@param cluster tranship.Cluster
---@param candidates tranship.Cluster[]
---@return integer|false|nil size, tranship.Err?
function M.to_start(workload, cluster, candidates)
  local seen, largest = at_first(workload), 0
  for _, each in ipairs(candidates) do
    local status, why
    if seen then
      status = seen[each.name]
    else
      status, why = workload:status(each)
      if not status then return nil, why end
    end
    local size = status and status.size or 0
    if size > 0 and each.name == cluster.name then return size end
    largest = math.max(largest, size)
  end
  return largest > 0 and largest or false
end

return M
