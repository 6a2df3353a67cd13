--- The turn of one partition: the old leg ends, the next one begins.
-- Order is everything. The copy is drained and out of the copier; the turn is
-- announced; the old leg is fenced on the side it wrote to (a control marker
-- with a higher epoch: whatever still comes under the old one is refused for
-- good); the log ends are read; on partitions with the same offsets the
-- shorter side gets markers until both are level; then the new leg is
-- recorded. A crash anywhere begins again with yet higher epochs, so a late
-- marker of the first try is refused too, and the levelling absorbs it.

local log = require "vm.log"
local halt = require "mirror.flow.halt"
local ledger = require "mirror.topic.ledger"
local record = require "mirror.topic.record"
local reopen = require "mirror.flow.reopen"
local transactions = require "mirror.flow.transactions"

local M = {}

local LEVEL_TRIES = 5
local MARKER_BATCH = 500

--- "turn" when the turn is called off, or when everything that writers appended
-- has been copied and no transaction is left open.
---@async
function M.when_drained(flow)
  if flow:is_turning(flow.leg).writer == flow.leg.writer then return "turn" end
  local reads = ledger.sides(flow.leg)
  local bounds, why = flow:side(reads):bounds(flow:name_on(reads),
    flow.partition)
  if not bounds then return nil, why end
  if flow.at.source and flow.at.source >= bounds.stop
    and bounds.stable == bounds.stop then
    return "turn"
  end
end

--- Was the next leg announced by a predecessor that did not come to record it?
function M.is_under_way(flow)
  return flow:is_turning(flow.leg) and reopen.is_fenced(flow, flow.leg)
end

--- Between what was copied and where the next leg begins there may be our own
-- markers, but no record: one there was written after the writers had been proved
-- stopped. One that comes later still lies where the next leg writes.
local function nothing_left(flow, reads, log_end)
  local cluster, name = flow:side(reads), flow:name_on(reads)
  local copied = reopen.copied(flow, flow.leg)
  if log_end <= copied then return true end
  local found, why = cluster:digests {
    topic = name, partition = flow.partition, from = copied, to = log_end,
    isolation = "uncommitted",
  }
  if not found then return nil, why end
  if #found == 0 then return true end
  return nil, halt.new("not_drained", { side = reads, from = copied,
    to = log_end }, "%s: records were appended on %s at offsets %d to %d "
    .. "after its writers had been proved stopped. Stop who wrote them; then "
    .. "turning again (resume) copies them first, and turning back (undo) "
    .. "leaves the writer where it was", flow.id,
    cluster.name, found[1].from, log_end - 1)
end

--- Announces who fences whom: fresh ids and epochs that nobody used.
local function announce(flow, leg, wanted)
  local key = record.key.turn(flow.topic, flow.partition, wanted.leg,
    flow.generation)
  local part = flow.engine.ledger:partition(flow.topic, flow.partition)
  local before = part.turns[wanted.leg]
  local _, target = ledger.sides { writer = wanted.writer }
  local pid, why = before and before.pid
  if not pid then
    pid, why = flow:side(target):init_producer_id()
    if not pid then return nil, why end
  end
  local said = {
    pid = pid, epoch = before and before.epoch + 1 or 0,
    old_epoch = (reopen.fenced_with(flow, leg) or leg.epoch) + 1,
    repeated = before ~= nil or nil,
  }
  local ok
  ok, why = flow:announce { { key, said } }
  if not ok then return nil, why end
  return said
end

local function markers(flow, side, producer, count)
  local cluster, name = flow:side(side), flow:name_on(side)
  while count > 0 do
    local some = math.min(count, MARKER_BATCH)
    local ok, why = cluster:markers(name, flow.partition, producer, some)
    if not ok then return nil, why end
    count = count - some
  end
  return true
end

local function log_ends(flow)
  local found = {}
  for _, side in ipairs { "from", "to" } do
    local log_end, why = flow:side(side):log_end(flow:name_on(side),
      flow.partition)
    if not log_end then return nil, why end
    found[side] = log_end
  end
  return found
end

--- Makes both logs end at the same offset with markers on the shorter side.
local function level(flow, producers)
  for _ = 1, LEVEL_TRIES do
    local found, why = log_ends(flow)
    if not found then return nil, why end
    if found.from == found.to then return found end
    local short = found.from < found.to and "from" or "to"
    local ok
    ok, why = markers(flow, short, producers[short],
      math.abs(found.from - found.to))
    if not ok then return nil, why end
  end
  return log_ends(flow)
end

local function next_leg(flow, leg, wanted, said, found)
  local level_now = found.from == found.to and ledger.is_same(leg)
  local ids, why = flow:topic_ids()
  if not ids then return nil, why end
  local _, writes = ledger.sides(wanted)
  local keeps, why_not
  if level_now then
    keeps, why_not = transactions.possible(flow, writes)
    if keeps == nil then return nil, why_not end
  end
  return {
    leg = wanted.leg, writer = wanted.writer, pid = said.pid,
    epoch = said.epoch, ids = ids, start = found,
    kind = level_now and "same" or "mapped",
    why = not level_now and (leg.mapped_why or leg.why
      or "the logs could not be levelled") or nil,
    transactions = keeps or nil, no_transactions = why_not,
    since = { from = found.from, to = found.to, sequence = 0 },
  }
end

--- Does it. The flow is out of the copier; verdict "again" starts the new leg.
---@async
function M.begin(flow)
  local leg = flow.leg
  local wanted = flow:is_turning(leg)
  flow:say("turning", ("leg %d begins"):format(wanted.leg))
  if wanted.writer == leg.writer then
    local free, open = transactions.none_open(flow, leg, "a turn is called off")
    if not free then return nil, open end
    if not reopen.is_fenced(flow, leg) then
      -- The next leg's transactions have ids of their own: nobody else shuts these.
      local shut, failed = transactions.fence(flow, leg)
      if not shut then return nil, failed end
      return reopen.renumber(flow, leg, wanted)
    end
  end
  local said, why = announce(flow, leg, wanted)
  if not said then return nil, why end
  local reads, writes = ledger.sides(leg)
  local producers = {
    [writes] = { id = leg.pid, epoch = said.old_epoch },
    [reads] = { id = said.pid, epoch = said.epoch },
  }
  local ok
  ok, why = markers(flow, writes, producers[writes], 1)
  if not ok then return nil, why end
  ok, why = transactions.fence(flow, leg)
  if not ok then return nil, why end
  if reopen.wish(flow, leg, wanted) then
    return reopen.begin(flow, leg, wanted, said)
  end
  local same = ledger.is_same(leg)
  if same and said.repeated then
    ok, why = markers(flow, reads, producers[reads], 1)
    if not ok then return nil, why end
  end
  local found
  if same then
    found, why = level(flow, producers)
  else
    found, why = log_ends(flow)
  end
  if not found then return nil, why end
  ok, why = nothing_left(flow, reads, found[reads])
  if not ok then return nil, why end
  local new
  new, why = next_leg(flow, leg, wanted, said, found)
  if not new then return nil, why end
  ok, why = flow:begin_leg(new)
  if not ok then return nil, why end
  flow.owned_epoch = said.epoch
  log.info(("%s: leg %d (%s) from offsets %d and %d"):format(flow.id, new.leg,
    new.kind, found.from, found.to))
  return "again"
end

return M
