--- Transactions that are kept as such: who may write them on the target.
-- Each producer of the source that writes transactions gets a transactional id
-- of its own per partition and leg. The id is recorded before it is first used,
-- so that a turn can shut all of them. What is open is learned from the target
-- alone, and gone on with: InitProducerId would abort it.

local task = require "vm.task"
local err = require "base.err"
local halt = require "mirror.flow.halt"
local ledger = require "mirror.topic.ledger"
local record = require "mirror.topic.record"

local M = {}

local END_TXN = 26
local NEEDED = 5           -- its first version that gives each transaction an
local NOT_FOUND = 105      -- epoch of its own
local TIMEOUT_MS = 900000  -- transaction.max.timeout.ms where it is not told
local SMALL_MS = 60000
local BAD_TIMEOUT = 50
local TRIES, PAUSE_MS = 200, 25
local SETTLED = {
  Ongoing = true, Empty = true, CompleteCommit = true, CompleteAbort = true,
}

--- Can the writing side of a leg keep transactions? Else nil and why not.
---@async
function M.possible(flow, side)
  local versions, why = flow:side(side):versions()
  if not versions then return nil, why end
  if (versions[END_TXN] or 0) >= NEEDED then return true end
  return false, ("the brokers of %s cannot keep transactions (EndTxn 5, Kafka "
    .. "4.0)"):format(flow:side(side).name)
end

--- The start of every transactional id of a bridge: for an ACL.
function M.prefix(bridge_name) return ("tranship.%s."):format(bridge_name) end

local function name_of(flow, leg, source_id)
  return ("%s%s.%s.%d.%d.%d"):format(M.prefix(flow.engine.name),
    flow.engine.policy.id, flow.topic, flow.partition, leg.leg, source_id)
end

--- Source producers of this leg that have a transactional id.
local function registered(flow, leg)
  local part = flow.engine.ledger:partition(flow.topic, flow.partition)
  return part and part.producers[leg.leg] or {}
end

--- Does anybody but the leg's own producer write for it?
function M.any(flow, leg) return next(registered(flow, leg)) ~= nil end

--- Producers of transactions that the source's leader remembers.
local function active(flow, side)
  local list, why = flow:side(side):producers(flow:name_on(side),
    flow.partition)
  if not list then return nil, why end
  local ids = {}
  for _, one in ipairs(list) do
    if one.transaction or one.coordinator_epoch >= 0 then ids[one.id] = true end
  end
  return ids
end

local function transaction_timeout(flow, side)
  local found = flow.engine:max_transaction_timeout(side)
  return found or TIMEOUT_MS
end

local function init(flow, side, name)
  local cluster, ms = flow:side(side), transaction_timeout(flow, side)
  local made, why = cluster:init_transactional(name, ms)
  if made or why.code ~= BAD_TIMEOUT or ms <= SMALL_MS then return made, why end
  return cluster:init_transactional(name, SMALL_MS)
end

--- Gives producer `source_id`, and all that write transactions now, ids of
-- their own. Nil and a text when that is not allowed.
---@async
---@return true|nil, string|tranship.Err?
function M.register(flow, leg, source_id)
  local reads, writes = ledger.sides(leg)
  local wanted, why = active(flow, reads)
  if not wanted then return nil, why end
  wanted[source_id] = true
  local known, list = registered(flow, leg), {}
  for id in pairs(wanted) do
    if not known[id] then
      list[#list + 1] = {
        record.key.txn(flow.topic, flow.partition, leg.leg, id,
          flow.generation),
        { name = name_of(flow, leg, id) },
      }
    end
  end
  flow.asked = flow.asked or {}
  flow.asked[source_id] = true
  if #list == 0 then return true end
  local ok
  ok, why = init(flow, writes, name_of(flow, leg, source_id))
  if not ok and why.kind == "denied" then
    return nil, ("no right to keep transactions (WRITE on transactional ids "
      .. "that begin with %s on %s)"):format(M.prefix(flow.engine.name),
      flow:side(writes).name)
  elseif not ok then
    return nil, why
  end
  return flow:announce(list)
end

--- Transactions open on the partition that the leg writes.
local function open_on(list)
  local open = {}
  for _, one in ipairs(list) do
    if one.transaction then open[one.id] = one end
  end
  return open
end

--- One producer as the copier takes it, or nil while its last transaction is
-- still being ended.
local function as_producer(source_id, name, said, place, open)
  local here = open[said.id]
  if not SETTLED[said.state] or here and (said.state ~= "Ongoing"
    or here.epoch ~= said.epoch) then
    return nil
  end
  open[said.id] = nil
  return {
    source_id = source_id, transactional_id = name, host = place.host,
    port = place.port, id = said.id, epoch = said.epoch,
    sequence = here and here.sequence + 1 or 0,
    since = here and here.transaction or -1,
  }
end

--- What the coordinators say of all ids of the leg, and of those that the
-- copier needs: { name -> { state, id, epoch } }, places.
local function described(flow, side, known, needed)
  local cluster, names = flow:side(side), {}
  for _, one in pairs(known) do names[#names + 1] = one.name end
  local said, places = cluster:describe_transactions(names)
  if not said then return nil, places end
  for id, one in pairs(known) do
    if said[one.name].code == NOT_FOUND and needed[id] then
      local made, why = init(flow, side, one.name)
      if not made then return nil, why end
      said[one.name] = { state = "Empty", id = made.id, epoch = made.epoch }
    end
  end
  return said, places
end

--- Producers for the copier, `list` being those of the target partition now.
-- Nil without an err: something is still in motion, look again.
local function producers_now(flow, leg, list)
  local reads, writes = ledger.sides(leg)
  local known, open = registered(flow, leg), open_on(list)
  if not next(known) and not next(open) then return {} end
  local needed, why = active(flow, reads)
  if not needed then return nil, why end
  for id in pairs(flow.asked or {}) do needed[id] = true end
  local said, places = described(flow, writes, known, needed)
  if not said then return nil, places end
  local found = {}
  for id, one in pairs(known) do
    local state = said[one.name]
    if state.id and (needed[id] or open[state.id]) then
      local made = as_producer(id, one.name, state, places[one.name], open)
      if not made then return nil end
      found[#found + 1] = made
    end
  end
  local stranger = next(open)
  if not stranger then return found end
  return nil, halt.new("foreign", { side = writes,
    from = open[stranger].transaction, to = open[stranger].transaction },
    "%s: producer %d, which is not ours, has an open transaction on the "
    .. "target at offset %d", flow.id, stranger, open[stranger].transaction)
end

--- What the copier needs to keep the transactions of a leg: `look` gives the
-- target's log end, the leg's next sequence and the partition's producers.
---@async
---@return table? producers, integer|tranship.Err log_end, integer? sequence
function M.position(flow, leg, look)
  for _ = 1, TRIES do
    local log_end, sequence, list = look()
    if not log_end then return nil, sequence end
    local found, why = producers_now(flow, leg, list)
    if found then return found, log_end, sequence end
    if why then return nil, why end
    task.sleep(PAUSE_MS)
  end
  return nil, err.new {
    kind = "unavailable", origin = "kafka", retriable = true,
    message = flow.id .. ": a transaction on the target does not end",
  }
end

--- Shuts all transactional ids of a leg for whoever still holds them.
---@async
function M.fence(flow, leg)
  local _, writes = ledger.sides(leg)
  for _, one in pairs(registered(flow, leg)) do
    local ok, why = init(flow, writes, one.name)
    if not ok then return nil, why end
  end
  return true
end

--- Halts unless no transaction is open on the target: one that was begun at
-- the same offsets cannot go on anywhere else.
---@async
function M.none_open(flow, leg, why)
  if not leg.transactions then return true end
  local _, writes = ledger.sides(leg)
  local list, problem = flow:side(writes):producers(flow:name_on(writes),
    flow.partition)
  if not list then return nil, problem end
  for _, one in ipairs(list) do
    if one.transaction then
      return nil, halt.new("transaction", { side = writes,
        from = one.transaction, to = one.transaction }, "%s cannot keep its "
        .. "offsets (%s), nor give them up while a transaction is open on %s "
        .. "since offset %d: mirror the topic anew, with offsets = \"mapped\" "
        .. "or with that put right", flow.id, why, flow:side(writes).name,
        one.transaction)
    end
  end
  return true
end

return M
