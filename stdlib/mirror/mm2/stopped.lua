--- Proves that a MirrorMaker 2 has stopped: nobody is in its Connect group, and
-- neither its offsets nor what it writes have moved for a while.

local err = require "base.err"
local answer = require "mirror.answer"
local mirror_names = require "mirror.names"
local names = require "mirror.mm2.names"
local writers = require "mirror.verify.writers"

local M = {}

-- Connect group states in which no worker can be at work.
local IDLE = { Empty = true, Dead = true }

local function refuse(kind, format, ...)
  return nil, err.new { kind = kind, origin = "mm2",
    message = format:format(...) }
end

--- Nobody may be in the group of the flow's Connect workers.
local function group_is_idle(bridge, flow)
  local group, why = bridge:wire("to"):group(flow.group)
  if not group then return nil, why end
  if IDLE[group.state] then return true end
  local workers = {}
  for index, one in ipairs(group.members) do
    workers[index] = one.client_id .. " at " .. one.host
  end
  return refuse("conflict", "MirrorMaker 2 is not stopped: group %s is %s, "
    .. "workers: %s", flow.group, group.state, answer.some(workers))
end

--- Topics on the target that the flow has written or may write.
local function copies(bridge, client)
  local all, why = client:topics()
  if not all then return nil, why end
  local list = {}
  for _, one in ipairs(all) do
    local source = bridge:source_name(one.name, "to")
    if source and mirror_names.carries(bridge, source)
      and not names.is_internal(one.name) then
      list[#list + 1] = one.name
    end
  end
  return list
end

--- True, or nil and an err that names who is still there.
---@async
---@param bridge tranship.Bridge  one with `mirrormaker2`
function M.must_be_stopped(bridge)
  local flow, why = names.new(bridge.mirrormaker2)
  if not flow then return nil, why end
  local client = bridge.to:client "read"
  local shapes
  shapes, why = client:describe_topics { flow.offsets }
  if not shapes then return nil, why end
  if not shapes[flow.offsets] then
    return refuse("not found", "%s has no topic %s: no MirrorMaker 2 has copied "
      .. "there from a cluster it calls %s; check the aliases in "
      .. "mirrormaker2 = { source = ..., target = ... }", bridge.to.name,
      flow.offsets, flow.source)
  end
  local ok
  ok, why = group_is_idle(bridge, flow)
  if not ok then return nil, why end
  local written
  written, why = copies(bridge, client)
  if not written then return nil, why end
  written[#written + 1] = flow.offsets
  ok, why = writers.stopped(bridge, "to", written)
  if not ok then
    return nil, why.kind == "conflict" and err.wrap(why,
      "MirrorMaker 2 is not stopped") or why
  end
  return group_is_idle(bridge, flow)
end

return M
