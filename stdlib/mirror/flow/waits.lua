--- Why a partition waits: what passes by itself, or as soon as somebody helps.
-- It is tried again with growing waits, and shown by every status meanwhile.

local wire = require "vm.wire"
local err = require "base.err"
local limits = require "mirror.flow.limits"

local M = {}

--- One word for what an err is about, for labels: "leader_not_available", ...
local function reason(why)
  if not err.is(why) then return "other" end
  local code = math.tointeger(why.code) or 0
  local name = why.origin == "kafka" and code > 0 and wire.error_name(code)
  return ((name or why.kind):lower():gsub("%W+", "_"))
end

--- What brokers say that have too few replicas in sync: NOT_ENOUGH_REPLICAS, the
-- same once it was appended, and, of a new leader, OFFSET_NOT_AVAILABLE.
local TOO_FEW = { [19] = true, [20] = true, [78] = true }

--- "broker 2", "brokers 2, 3"
local function called(brokers)
  return ("broker%s %s"):format(brokers[2] and "s" or "",
    table.concat(brokers, ", "))
end

local function without(list, others)
  local among, left = {}, {}
  for _, one in ipairs(others) do among[one] = true end
  for _, one in ipairs(list) do
    if not among[one] then left[#left + 1] = one end
  end
  return left
end

--- Why one side of a flow has to wait for replicas, or nil: which are missing, and
-- what to do.
local function replicas_of(flow, side, why)
  local cluster, name = flow:side(side), flow:name_on(side)
  local shape = (cluster:describe { name } or {})[name]
  local part = shape and shape.partitions[flow.partition]
  local needed = limits.of(flow.engine, side, name).in_sync
  if not part or not needed or #part.in_sync >= needed then return nil end
  return err.new { kind = "unavailable", origin = "kafka", code = why.code,
    retriable = true, message = ("%s/%d on %s waits for replicas (%s): %d of %d "
      .. "are in sync, and its min.insync.replicas is %d: bring back %s, or "
      .. "lower that setting; the copy goes on by itself"):format(name,
        flow.partition, cluster.name, wire.error_name(why.code), #part.in_sync,
        #part.replicas, needed, called(without(part.replicas, part.in_sync))) }
end

--- The same err, in words that help where there are some; and one word for it.
---@async
---@return any why, string reason
function M.explained(flow, why)
  local is_short = err.is(why) and why.origin == "kafka" and TOO_FEW[why.code]
  for _, side in ipairs(is_short and { "from", "to" } or {}) do
    local better = replicas_of(flow, side, why)
    if better then return better, "not_enough_replicas" end
  end
  return why, reason(why)
end

return M
