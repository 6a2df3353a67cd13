--- What a MirrorMaker 2 flow calls its topics and its group: derived here, and
-- nowhere else. A flow leads from the cluster with alias `source` to the one
-- with alias `target`; a bridge's sides are "from" and "to" in that order.

local err = require "base.err"

local M = {}
M.__index = M
M.__name = "mm2.names"

local CONNECTOR = "MirrorSourceConnector"
local HEARTBEATS = "heartbeats"

local function invalid(format, ...)
  return nil, err.new {
    kind = "invalid", origin = "mm2", message = format:format(...),
  }
end

---@class mm2.flow
---@field source string   MirrorMaker's alias of the cluster it copies from
---@field target string   ... and of the one it copies to
---@field policy? "default"|"identity"  replication.policy.class
---@field separator? string             replication.policy.separator
---@field internal_separator? boolean   replication.policy.internal.topic...
---@field offset_syncs? "source"|"target"  offset-syncs.topic.location
---@field connector? string  in a shared Connect cluster: the connector's name
---@field offsets_topic? string  ... and its offset.storage.topic
---@field group? string          ... and its group.id

--- The names of a flow, or nil and what is wrong with its description.
---@param spec mm2.flow
function M.new(spec)
  local policy = spec.policy or "default"
  if not spec.source or not spec.target then
    return invalid("a MirrorMaker 2 flow has a source alias and a target alias")
  elseif spec.source == spec.target then
    return invalid("a flow from %s to itself", spec.source)
  elseif policy ~= "default" and policy ~= "identity" then
    return invalid("replication policy %q: MirrorMaker 2 has 'default' and "
      .. "'identity'", tostring(policy))
  end
  local separator = spec.separator or "."
  local inner = spec.internal_separator == false and "." or separator
  local at_target = spec.offset_syncs == "target"
  -- A sync topic is named after the cluster at the other end of the flow.
  local other = at_target and spec.source or spec.target
  return setmetatable({
    source = spec.source, target = spec.target, policy = policy,
    separator = separator,
    syncs = "mm2-offset-syncs" .. inner .. other .. inner .. "internal",
    syncs_side = at_target and "to" or "from",
    checkpoints = spec.source .. inner .. "checkpoints" .. inner .. "internal",
    heartbeats = HEARTBEATS,
    remote_heartbeats = spec.source .. separator .. HEARTBEATS,
    -- Connect's own names are made of dots, whatever the separator.
    offsets = spec.offsets_topic or ("mm2-offsets.%s.internal"):format(
      spec.source),
    group = spec.group or spec.source .. "-mm2",
    connector = spec.connector or CONNECTOR,
  }, M)
end

local function ends_with(text, ending)
  return text:sub(-#ending) == ending
end

--- The alias that a topic's name begins with, and the rest.
local function split(self, name)
  local at = name:find(self.separator, 1, true)
  if at then return name:sub(1, at - 1), name:sub(at + #self.separator) end
end

--- Does a topic keep its name? Heartbeats never do.
local function keeps_name(self, name)
  return self.policy == "identity" and not ends_with(name, HEARTBEATS)
end

--- What the source's topic is called on the target. One that came from the
-- target has its first name there.
---@param name string
function M:on_target(name)
  if keeps_name(self, name) then return name end
  local alias, rest = split(self, name)
  if alias == self.target then return rest end
  return self.source .. self.separator .. name
end

--- What the target's topic is called on the source; nil for one that did not
-- come from there.
---@param name string
function M:on_source(name)
  if keeps_name(self, name) then return name end
  local alias, rest = split(self, name)
  return alias == self.source and rest or nil
end

--- The same as a bridge's `names`.
function M:for_bridge()
  if self.policy == "identity" then return "same" end
  return { prefix = self.source .. self.separator }
end

--- Is it a topic of MirrorMaker's or Kafka's own?
function M.is_internal(name)
  return name:sub(1, 2) == "__" or name:sub(1, 1) == "."
    or name:sub(1, 3) == "mm2" and ends_with(name, ".internal")
    or ends_with(name, ".checkpoints.internal")
end

return M
