--- What the copier's reasons for a stop mean: by name, a function of the flow,
-- the event and the leg. It gives a verdict ("again"), or nil and either an err
-- (tried again later) or a halt (which stays).

local halt = require "mirror.flow.halt"
local ledger = require "mirror.topic.ledger"
local limits = require "mirror.flow.limits"
local loan_topic = require "mirror.flow.loan_topic"
local transactions = require "mirror.flow.transactions"

local M = {}

--- Reasons that are the target's no to what was produced.
M.is_refusal = {
  sequence = true, fenced = true, foreign = true, too_large = true,
  timestamp = true, denied = true,
}

local SAME_TROUBLE = 5 -- refusals of the same kind at the same offset

--- What to do about a source that is not the one any more that was copied.
local function anew(flow, writes)
  local name, side = flow:name_on(writes), flow:side(writes).name
  return ("to copy what is there now: leave %s out by `except`, close the bridge, "
    .. "make %s on %s again, empty, and open the bridge with it")
    :format(flow.topic, name, side)
end

function M.failed(_, event) return nil, event.err end

function M.leader(flow, event)
  flow:forget()
  return nil, event.err or "a leader moved"
end
M.denied = M.leader

--- The target refuses our sequence: something we do not know of was appended.
-- Late requests of a predecessor show up once; a stranger every time.
local function refused(flow, event)
  flow:forget()
  local at = event.target_offset
  local tries = flow.tries or {}
  flow.tries = tries
  tries.count = tries.at == at and tries.count + 1 or 1
  tries.at = at
  if tries.count < SAME_TROUBLE then return nil, event.err or event.reason end
  return nil, halt.new(event.reason == "fenced" and "fenced" or "foreign",
    { side = select(2, ledger.sides(flow.leg)), from = at, to = at },
    "%s: the target refuses to go on at offset %d (%s)", flow.id, at,
    tostring(event.err or event.reason))
end
M.sequence, M.fenced = refused, refused

--- A producer whose transactions were not met before: it gets an id on the
-- target. Where that cannot be, offsets are not kept from here on.
function M.transactional(flow, event, leg)
  local why = leg.no_transactions
  if leg.transactions then
    local kept
    kept, why = transactions.register(flow, leg, event.producer)
    if kept then return "again" end
    if type(why) ~= "string" then return nil, why end
  end
  local ok
  ok, why = flow:go_on_mapped(leg, event.source_offset, event.target_offset,
    event.sequence, ("transactions from source offset %d%s")
      :format(event.source_offset, why and ": " .. why or ""))
  if not ok then return nil, why end
  return "again"
end

--- A batch of several records is divided, also one that was not too large as
-- it was sent: a broker that compresses anew counts what it makes of it. What is
-- left is one record that does not fit, until the topic takes it.
function M.too_large(flow, event, leg)
  local reads, writes = ledger.sides(leg)
  local engine, name, batch = flow.engine, flow:name_on(writes), event.refused
  limits.forget(engine, writes, name)
  if batch.records > 1 then
    flow.most_bytes = math.min(flow.most_bytes or batch.bytes,
      batch.bytes) // 2
    return "again"
  end
  local stop = halt.new("too_large", { side = reads, from = batch.offset,
    to = batch.offset + 1 }, "%s: the record at source offset %d makes a "
    .. "batch of %d bytes, more than %s on %s takes (%s): raise its "
    .. "max.message.bytes to at least %d, and the copy goes on by itself",
    flow.id, batch.offset, batch.bytes, name, flow:side(writes).name,
    tostring(event.err), batch.bytes)
  function stop.is_cured()
    limits.forget(engine, writes, name)
    return limits.of(engine, writes, name).batch_bytes >= batch.bytes
  end
  return nil, stop
end

--- The target's limits of timestamps are lifted; where they may not be, the
-- record is named that does not pass them.
function M.timestamp(flow, event, leg)
  local reads, writes = ledger.sides(leg)
  local engine, name, batch = flow.engine, flow:name_on(writes), event.refused
  local lifted, why = loan_topic.lift(flow, writes)
  if lifted then return "again" end
  if lifted == false then return refused(flow, event, leg) end
  if why.retriable then return nil, why end
  local now = limits.of(engine, writes, name)
  local stop = halt.new("timestamp", { side = reads, from = batch.offset,
    to = batch.offset + batch.records }, "%s: the time of %s is not within "
    .. "what %s on %s takes (%s), and its limits cannot be lifted (%s): raise "
    .. "its message.timestamp.after.max.ms (%s now) or "
    .. "message.timestamp.before.max.ms (%s now), and the copy goes on by "
    .. "itself", flow.id, batch.records == 1
    and ("the record at source offset %d"):format(batch.offset)
    or ("a record at source offsets %d to %d"):format(batch.offset,
      batch.offset + batch.records - 1), name, flow:side(writes).name,
    tostring(event.err), tostring(why), tostring(now.after_ms),
    tostring(now.before_ms))
  function stop.is_cured()
    limits.forget(engine, writes, name)
    local later = limits.of(engine, writes, name)
    return later.after_ms ~= now.after_ms or later.before_ms ~= now.before_ms
  end
  return nil, stop
end

function M.out_of_range(flow, event, leg)
  local reads, writes = ledger.sides(leg)
  if event.log_end and event.log_end < event.source_offset then
    event.diverged_at = event.log_end
    return M.diverged(flow, event, leg)
  end
  return nil, halt.new("out_of_range", { side = reads,
    from = event.source_offset, to = event.log_start }, "%s: the source no "
    .. "longer holds offsets %d to %d (its log is %s to %s): they were "
    .. "removed before they were copied; %s", flow.id, event.source_offset,
    (event.log_start or event.source_offset + 1) - 1,
    tostring(event.log_start), tostring(event.log_end), anew(flow, writes))
end

--- The target gave another offset than expected. What lies there is looked at
-- once by resume, which knows late markers of our own from somebody else, and a
-- log that a new leader had cut back before this batch landed in it.
function M.foreign(flow, event, leg)
  local _, writes = ledger.sides(leg)
  if event.got and event.got < event.expected then
    flow.cut_at = event.got
  end
  if flow.doubted ~= event.expected then
    flow.doubted = event.expected
    return "again"
  end
  return nil, halt.new("foreign", { side = writes, from = event.expected,
    to = event.got }, "%s: somebody else writes to the target: offset %d was "
    .. "expected, %d was given", flow.id, event.expected, event.got)
end

function M.diverged(flow, event, leg)
  local reads, writes = ledger.sides(leg)
  local cut = event.diverged_at or event.log_end
  return nil, halt.new("diverged", { side = reads,
    from = cut or event.source_offset, to = event.source_offset },
    "%s: the source's log was cut back to offset %s, after everything below "
    .. "%d had been copied; %s", flow.id, tostring(cut or "?"),
    event.source_offset, anew(flow, writes))
end

--- The topic is not the one that was copied: it was made again, or is gone.
function M.topic_id(flow, event, leg)
  flow:forget()
  local reads, writes = ledger.sides(leg)
  local side, name = flow:side(reads), flow:name_on(reads)
  local there, why = side:leader(name, flow.partition)
  if not there and why.kind == "denied" then return nil, why end
  local what = not there and why.kind == "not found" and "deleted"
    or "made again"
  return nil, halt.new("topic_id", { side = reads, from = event.source_offset,
    to = event.source_offset }, "%s: the topic was %s on %s after source "
    .. "offset %d; what was copied stays; %s", flow.id, what, side.name,
    event.source_offset, what == "deleted"
      and ("leave %s out by `except` to close the bridge"):format(flow.topic)
      or anew(flow, writes))
end

return M
