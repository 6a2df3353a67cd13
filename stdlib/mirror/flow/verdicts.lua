--- Did the target's transactions end as the source's did? A coordinator aborts
-- what stays open for too long, at an offset that may well be right: only the
-- committed records on both sides tell.

local err = require "base.err"
local halt = require "mirror.flow.halt"
local ledger = require "mirror.topic.ledger"

local M = {}

local function committed(flow, side, from, to)
  local found, why = flow:side(side):digests {
    topic = flow:name_on(side), partition = flow.partition, from = from,
    to = to,
  }
  if not found then return nil, why end
  return found[1] or { records = 0 }
end

local function lost(flow, from, to)
  local _, writes = ledger.sides(flow.leg)
  return nil, halt.new("transaction", { side = writes, from = from, to = to },
    "%s: a transaction that began at or after offset %d did not end on %s as "
    .. "it did on the source: its coordinator aborts what stays open for more "
    .. "than transaction.max.timeout.ms. Its records are on %s, but nobody "
    .. "will be shown them: mirror the topic anew", flow.id, from,
    flow:side(writes).name, flow:side(writes).name)
end

--- True, or nil and why not. `from` is a pair of positions below which all is
-- known to hold, but for transactions that were open there (from.stable); below
-- `at` both sides hold the same records.
---@async
function M.check(flow, from, at, source)
  local reads, writes = ledger.sides(flow.leg)
  local target, why = flow:side(writes):bounds(flow:name_on(writes),
    flow.partition)
  if not target then return nil, why end
  local low = math.max(from.stable or from.target, source.start, target.start)
  if source.stable < math.min(at, target.stable) then
    local now
    now, why = flow:side(reads):bounds(flow:name_on(reads), flow.partition)
    if not now then return nil, why end
    if now.stable == source.stable then
      return lost(flow, source.stable, at)
    end
    return nil, err.new {
      kind = "unavailable", origin = "bridge", retriable = true,
      message = flow.id .. ": a transaction ended just now",
    }
  end
  local high = math.min(at, source.stable, target.stable)
  if low >= high then return true end
  local here, there
  here, why = committed(flow, reads, low, high)
  if not here then return nil, why end
  there, why = committed(flow, writes, low, high)
  if not there then return nil, why end
  if here.hash == there.hash and here.records == there.records then
    return true
  end
  return lost(flow, low, high)
end

return M
