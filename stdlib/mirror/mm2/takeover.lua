--- Takes a flow over from MirrorMaker 2: the first leg of a partition begins
-- where MirrorMaker's copy ends, not where its bookkeeping says. What it copied
-- becomes a leg of its own, with the runs that content proves, so that older
-- positions have an exact place too.
--
-- A MirrorMaker that was killed has copied more than it has stored; beginning
-- at its stored offset would copy those records twice, as it would itself.

local log = require "vm.log"
local task = require "vm.task"
local copied = require "mirror.mm2.copied"
local halt = require "mirror.flow.halt"
local names = require "mirror.mm2.names"
local reading = require "mirror.mm2.reading"
local record = require "mirror.topic.record"

local M = {}

local WHY = "taken over from MirrorMaker 2"

--- What the stopped MirrorMaker wrote down; read once for all partitions.
local function known(engine)
  if not engine.mirrormaker2 then
    local said = task.flag()
    engine.mirrormaker2 = said
    local flow_names, why = names.new(engine.policy.mirrormaker2)
    local flow
    if flow_names then
      flow, why = reading.flow(flow_names, engine.clients.from,
        engine.clients.to)
    end
    if not flow then engine.mirrormaker2 = nil end
    said:set { flow = flow, why = why }
    return flow, why
  end
  local said = engine.mirrormaker2:wait()
  return said.flow, said.why
end

local function log_of(flow, at)
  local side, topic = flow:side(at), flow:name_on(at)
  local bounds, why = side:bounds(topic, flow.partition)
  if not bounds then return nil, why end
  return { side = side, topic = topic, partition = flow.partition,
    start = bounds.start, stop = bounds.stop, stable = bounds.stable }
end

local function refuse(flow, to, format, ...)
  return nil, halt.new("mirrormaker2", { side = "to", from = to.start,
    to = to.stop }, "%s cannot be taken over: " .. format, flow.id, ...)
end

--- Where MirrorMaker's copy ends on the source, or nil and a halt.
local function position(flow, from, to, said)
  local at = said.offsets[flow.id]
  local stored = at and at.offset and at.offset + 1
  local found, why = copied.up_to(from, to, said.syncs[flow.id], stored)
  if why then return nil, why end
  if not found then
    return refuse(flow, to, "what the target holds up to offset %d is not what "
      .. "the source holds up to %s", to.stop - 1, stored
      and ("position %d, which MirrorMaker stored"):format(stored)
      or "any position that MirrorMaker tells of")
  elseif stored and found < stored then
    return refuse(flow, to, "MirrorMaker stored position %d, but the target "
      .. "ends with the record before %d: it was cut back", stored,
      found)
  end
  if stored ~= found then
    log.warn(("%s: MirrorMaker stored position %s and had copied up to %d")
      :format(flow.id, tostring(stored), found))
  end
  return found
end

--- The leg of what MirrorMaker copied, and its segments as records.
local function past_leg(flow, number, ids, from, to, at)
  local stretch, why = copied.stretch(from, to, at)
  if stretch == nil then return nil, why end
  local runs = false
  if stretch then
    runs, why = copied.runs(from, to, at, stretch)
    if runs == nil then return nil, why end
  end
  local start = runs and { from = stretch.from, to = stretch.to }
    or { from = at, to = to.stop }
  local list = {}
  for _, run in ipairs(runs or {}) do
    list[#list + 1] = { record.key.segment(flow.topic, flow.partition, number,
      run.source, flow.generation), run }
  end
  return {
    leg = number, writer = "from", ids = ids, epoch = -1, start = start,
    kind = "mapped", why = "copied by MirrorMaker 2",
    copied_by = "mirrormaker2", isolation = stretch and stretch.isolation or nil,
    unproven = not (runs and stretch.whole) or nil,
    since = { from = start.from, to = start.to, sequence = 0 },
  }, list
end

--- Writes both legs down: MirrorMaker's, and ours from where it ended.
local function begin(flow, number, from, to, at)
  local ids, why = flow:topic_ids()
  if not ids then return nil, why end
  local past, list = past_leg(flow, number, ids, from, to, at)
  if not past then return nil, list end
  local pid
  pid, why = flow:side("to"):init_producer_id()
  if not pid then return nil, why end
  local start = { from = at, to = to.stop }
  local leg = {
    leg = number + 1, writer = "from", pid = pid, epoch = 0, ids = ids,
    start = start, kind = "mapped", why = WHY,
    since = { from = start.from, to = start.to, sequence = 0 },
  }
  for _, one in ipairs { past, leg } do
    list[#list + 1] = { record.key.leg(flow.topic, flow.partition, one.leg,
      flow.generation), one }
  end
  local ok
  ok, why = flow:announce(list)
  if not ok then return nil, why end
  flow.owned_epoch = 0
  log.info(("%s: %s at source position %d, target offset %d; proved from %d "
    .. "on"):format(flow.id, WHY, start.from, start.to, past.start.from))
  return leg
end

--- Our leg behind what MirrorMaker has copied; false if it copied nothing.
---@async
---@return table|false|nil leg, tranship.Err|tranship.Halt?
function M.leg(flow, number)
  local to, why = log_of(flow, "to")
  if not to then return nil, why end
  if to.start == to.stop then return false end
  local from
  from, why = log_of(flow, "from")
  if not from then return nil, why end
  local said
  said, why = known(flow.engine)
  if not said then return nil, why end
  local at
  at, why = position(flow, from, to, said)
  if not at then return nil, why end
  return begin(flow, number, from, to, at)
end

return M
