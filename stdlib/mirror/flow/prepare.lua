--- The first leg of a partition, and what makes offsets the same on both sides.
-- An empty target partition is filled up to the source's log start with empty
-- records, which DeleteRecords then removes; holes that the cleaner left are
-- filled with control markers. What cannot be made the same is mapped, and
-- the leg says why.

local log = require "vm.log"
local mirror = require "vm.mirror"
local sys = require "vm.sys"
local task = require "vm.task"
local beginning = require "mirror.offsets.beginning"
local halt = require "mirror.flow.halt"
local kinds = require "mirror.offsets.kind"
local ledger = require "mirror.topic.ledger"
local transactions = require "mirror.flow.transactions"

local M = {}

local MAX_HOLE = 1000000     -- markers for one hole: 13 s, 78 MB
local FILLER_BATCH = 500000  -- records; 390 KB compressed
local MARKER_BATCH = 500     -- markers in one request
local CUT_WATCH_MS = 300000  -- brokers write down log starts every minute
local SEQUENCES = 1 << 31
local TOO_LARGE, OUT_OF_ORDER, DUPLICATE = 10, 45, 46

--- Same or mapped, and why not same.
---@return "same"|"mapped"|nil kind, string|tranship.Halt? why
local function kind_of(flow, source, target)
  local asked = flow.engine.policy.offsets
  local is, why = kinds.of(asked, source.start, target)
  if is == "mapped" and asked == "same" then
    return nil, halt.new("not_empty", { side = "to", from = target.start,
      to = target.stop }, "%s cannot keep its offsets: %s", flow.id, why)
  end
  return is, why
end

--- Does the leg belong to a topic that was there on the target before this one,
-- which the run has found empty and asked to begin anew?
---@async
function M.is_anew(flow, leg)
  local wanted = flow.engine.ledger.wanted
  local id = wanted and wanted.again and wanted.again[flow.topic]
  if not id or leg.writer ~= "from" or leg.ids.to == id then return false end
  local ids, why = flow:topic_ids()
  if not ids then return nil, why end
  return ids.to == id
end

--- Makes leg `number`, 1 on a fresh bridge, with a producer id of its own.
---@param anew? boolean  whatever was said of the partition is over
---@async
function M.first_leg(flow, number, writer, anew)
  local reads, writes = "from", "to"
  if writer == "to" then reads, writes = writes, reads end
  local source, why = beginning.bounds(flow, reads, anew)
  if not source then return nil, why end
  local target
  target, why = flow:side(writes):bounds(flow:name_on(writes), flow.partition)
  if not target then return nil, why end
  local kind, reason = kind_of(flow, source, target)
  if not kind then return nil, reason end
  local ids, pid
  ids, why = flow:topic_ids()
  if not ids then return nil, why end
  pid, why = flow:side(writes):init_producer_id()
  if not pid then return nil, why end
  local keeps, why_not
  if kind == "same" then
    keeps, why_not = transactions.possible(flow, writes)
    if keeps == nil then return nil, why_not end
  end
  local filler = kind == "same" and source.start - target.stop or 0
  local starts = {
    [reads] = source.start, [writes] = target.stop + filler,
  }
  flow.owned_epoch = 0
  return flow:announce_leg {
    leg = number, writer = writer, pid = pid, epoch = 0, ids = ids,
    anew = anew or nil, start = starts, kind = kind,
    why = kind == "mapped" and reason or nil,
    filled_from = filler > 0 and target.stop or nil, left_out = source.left_out,
    transactions = keeps or nil, no_transactions = why_not,
    since = {
      from = starts.from, to = starts.to, sequence = filler % SEQUENCES,
    },
  }
end

local function is_compacted(flow, side)
  local configs = flow.engine.clients[side]:configs("topic",
    { flow:name_on(side) })
  local found = configs and configs[flow:name_on(side)]
  local policy = found and found["cleanup.policy"]
  return policy and tostring(policy.value):find "compact" ~= nil
end

--- Fills the target from its log end up to the leg's start; starts anywhere.
-- Filler carries the leg's sequences, so what a dead predecessor still has in
-- flight is refused like any late batch.
---@async
function M.fill(flow, leg, side, log_end)
  local goal, first = leg.start[side], leg.filled_from
  local name, cluster = flow:name_on(side), flow:side(side)
  local keyed, count = is_compacted(flow, side), FILLER_BATCH
  flow:say("preparing", ("filling up to offset %d"):format(goal))
  while log_end < goal do
    local size = math.min(count, goal - log_end)
    local bytes, why = mirror.filler {
      count = size, keyed = keyed, producer_id = leg.pid,
      producer_epoch = leg.epoch, sequence = (log_end - first) % SEQUENCES,
      timestamp = sys.time(),
    }
    if not bytes then return nil, why end
    local base
    base, why = cluster:append(name, flow.partition, bytes)
    if base then
      if base ~= log_end then
        return nil, halt.new("foreign", { side = side, from = log_end,
          to = base }, "%s: somebody else writes to the target: offset %d "
          .. "was expected, %d was given", flow.id, log_end, base)
      end
      log_end = base + size
    elseif why.code == TOO_LARGE and count > 1000 then
      count = count // 2
    elseif why.code == OUT_OF_ORDER or why.code == DUPLICATE then
      local seen
      seen, why = cluster:log_end(name, flow.partition)
      if not seen then return nil, why end
      if seen == log_end then
        return nil, halt.new("foreign", { side = side, from = log_end,
          to = log_end }, "%s: filler is refused at offset %d: the target's "
          .. "log was changed by somebody else", flow.id, log_end)
      end
      log_end = seen
    else
      return nil, why
    end
  end
  return log_end
end

--- Removes the filler. Repeating it changes nothing.
---@async
function M.cut(flow, leg, side)
  flow.cut_ms = task.now()
  return flow:side(side):delete_records(flow:name_on(side), flow.partition,
    leg.start[side])
end

--- Legs whose filler may come back: a broker writes down where its logs start once
-- a minute, and one that is killed before then begins with the older start. Looked
-- at when copying begins and for a while after that and every removal.
function M.filled(flow)
  local list = {}
  if not flow.cut_ms then return list end
  local part = flow.engine.ledger:partition(flow.topic, flow.partition)
  for _, leg in pairs(part and part.legs or {}) do
    local _, writes = ledger.sides(leg)
    if leg.filled_from and leg.ids[writes] == flow.leg.ids[writes] then
      list[#list + 1] = leg
    end
  end
  if not list[1] or task.now() - flow.cut_ms > CUT_WATCH_MS then
    flow.cut_ms = nil
  end
  return list
end

--- Removes filler that has come back.
---@async
---@param begins? boolean
---@return true|nil, tranship.Err?
function M.clean(flow, begins)
  if begins then flow.cut_ms = task.now() end
  for _, leg in ipairs(M.filled(flow)) do
    local _, writes = ledger.sides(leg)
    local ok = true
    local start, why = flow:side(writes):log_start(flow:name_on(writes),
      flow.partition)
    if start and start < leg.start[writes] then
      log.warn(("%s: its log on %s begins at offset %d again: the filler below "
        .. "%d is removed once more"):format(flow.id, flow:side(writes).name,
        start, leg.start[writes]))
      ok, why = M.cut(flow, leg, writes)
    end
    if not start or not ok then return nil, why end
  end
  return true
end

--- Fills the hole [from, to) of a same leg with markers. The first one under a
-- predecessor's epoch raises it: what that predecessor still has in flight is
-- refused from there on. Returns the leg and the next sequence; or nil and
-- the reason why this leg must go on mapped, with the target's log end, and as
-- what it goes on then: the leg as it is by now, and the next sequence.
---@async
function M.markers(flow, leg, hole, sequence)
  local _, writes = ledger.sides(leg)
  local cluster, name = flow:side(writes), flow:name_on(writes)
  local size, at = hole.to - hole.from, hole.from
  if size > MAX_HOLE then
    return nil, ("a hole of %d offsets at %d"):format(size, at), at, leg, sequence
  end
  local why
  if flow.owned_epoch ~= leg.epoch then
    leg, why = flow:announce_leg(flow:raised(leg, at))
    if not leg then return nil, why end
    sequence = 0 -- of the new epoch
    local ok
    ok, why = cluster:markers(name, flow.partition,
      { id = leg.pid, epoch = leg.epoch }, 1)
    if not ok then return nil, M.no_marker(why, at), at, leg, sequence end
    flow.owned_epoch = leg.epoch
    at, why = cluster:log_end(name, flow.partition)
    if not at then return nil, why end
    if at > hole.to then
      return nil, ("late markers passed the hole at %d to %d")
        :format(hole.from, hole.to), at, leg, sequence
    end
  end
  while at < hole.to do
    local count = math.min(MARKER_BATCH, hole.to - at)
    local ok
    ok, why = cluster:markers(name, flow.partition,
      { id = leg.pid, epoch = leg.epoch }, count)
    if not ok then
      flow.owned_epoch = nil -- they may still come: the next try fences them
      return nil, M.no_marker(why, at), at, leg, sequence
    end
    at = at + count
  end
  return leg, sequence
end

--- The reason as text when markers are not allowed, else the error itself.
function M.no_marker(why, at)
  if why.kind ~= "denied" then return why end
  return ("no right to write control markers (ALTER on the cluster) for the "
    .. "hole at offset %d"):format(at)
end

return M
