--- A bridge's `mirrormaker2 = { ... }`, read once when it is declared.

local err = require "base.err"
local names = require "mirror.mm2.names"

local M = {}

local function invalid(bridge, format, ...)
  err.raise {
    kind = "invalid", origin = "bridge", code = "E0201",
    message = ("bridge %s: "):format(bridge) .. format:format(...),
  }
end

local function same_names(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  return a.prefix ~= nil and a.prefix == b.prefix
end

--- The flow with everything filled in, as plain data; raises what is wrong.
---@param spec table  of the bridge
---@return mm2.flow
function M.flow(spec)
  local flow = {}
  for name, value in pairs(spec.mirrormaker2) do flow[name] = value end
  flow.source = flow.source or spec.from.name
  flow.target = flow.target or spec.to.name
  flow.policy = flow.policy or "default"
  local made, why = names.new(flow)
  if not made then invalid(spec.name, "%s", tostring(why)) end
  local theirs = made:for_bridge()
  if spec.names and not same_names(spec.names, theirs) then
    invalid(spec.name, "with the %s policy MirrorMaker 2 calls topic t %q on "
      .. "%s; leave `names` out", flow.policy, made:on_target "t",
      spec.to.name)
  elseif flow.take_over and spec.offsets == "same" then
    invalid(spec.name, "what MirrorMaker 2 has copied is mapped; it cannot "
      .. "keep its offsets: leave `offsets` out")
  end
  return flow
end

--- What a bridge calls topics on the target, as MirrorMaker does.
function M.names(flow) return names.new(flow):for_bridge() end

return M
