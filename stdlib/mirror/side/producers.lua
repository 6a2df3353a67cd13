--- Producers of a side: their ids, their transactions, who remembers them.

local task = require "vm.task"
local ask = require "mirror.side.ask"
local gather = require "mirror.side.gather"

local M = {}

local CONCURRENT = 51      -- CONCURRENT_TRANSACTIONS: the last one still ends
local TRANSACTION = 1      -- a coordinator's kind of key
local TRIES, PAUSE_MS = 100, 25

--- A producer id nobody else has.
---@async
function M:init_producer_id()
  local answer, why = ask.any(self, "InitProducerId", {
    TransactionTimeoutMs = 60000,
  })
  if not answer then return nil, why end
  if answer.ErrorCode ~= 0 then
    return nil, ask.refused(self, answer.ErrorCode, "a producer id")
  end
  return answer.ProducerId
end

--- Coordinators of transactional ids: { host, port } by id.
---@async
function M:coordinators(ids)
  if #ids == 0 then return {} end
  for _ = 1, TRIES do
    local answer, why = ask.any(self, "FindCoordinator",
      { KeyType = TRANSACTION, CoordinatorKeys = ids })
    if not answer then return nil, why end
    local places, code = {}, nil
    for _, one in ipairs(answer.Coordinators) do
      places[one.Key] = { host = one.Host, port = one.Port }
      if one.ErrorCode ~= 0 then code = one.ErrorCode end
    end
    if not code then return places end
    if not ask.MOVED[code] then
      return nil, ask.refused(self, code, "coordinator of " .. ids[1])
    end
    task.sleep(PAUSE_MS)
  end
  return nil, ask.refused(self, 15, "coordinator of " .. ids[1])
end

--- Asks the coordinator of `name` until it has an answer to give.
local function call_coordinator(self, name, message, body)
  local code
  for _ = 1, TRIES do
    local places, why = self:coordinators { name }
    if not places then return nil, why end
    local answer
    answer, why = ask.at(self, places[name].host, places[name].port, message,
      body)
    if not answer then return nil, why end
    code = answer.ErrorCode
    if code ~= CONCURRENT and not ask.MOVED[code] then return answer end
    task.sleep(PAUSE_MS)
  end
  return { ErrorCode = code }
end

--- A producer id under a transactional id. What is open under it is aborted,
-- and whoever used it before is shut out.
---@async
---@return { id: integer, epoch: integer }?, tranship.Err?
function M:init_transactional(name, timeout_ms)
  local answer, why = call_coordinator(self, name, "InitProducerId", {
    TransactionalId = name, TransactionTimeoutMs = timeout_ms,
  })
  if not answer then return nil, why end
  if answer.ErrorCode ~= 0 then
    return nil, ask.refused(self, answer.ErrorCode, "transactional id " .. name)
  end
  return { id = answer.ProducerId, epoch = answer.ProducerEpoch }
end

--- States of transactional ids, { state, id, epoch } or { code } by id, and
-- where their coordinators are.
---@async
function M:describe_transactions(ids)
  local places, why = self:coordinators(ids)
  if not places then return nil, why end
  local by_place, said = {}, {}
  for _, id in ipairs(ids) do
    local address = places[id].host .. ":" .. places[id].port
    local group = by_place[address] or { at = places[id], ids = {} }
    by_place[address] = group
    table.insert(group.ids, id)
  end
  for _, group in pairs(by_place) do
    local answer
    answer, why = ask.at(self, group.at.host, group.at.port,
      "DescribeTransactions", { TransactionalIds = group.ids })
    if not answer then return nil, why end
    for _, one in ipairs(answer.TransactionStates) do
      if ask.MOVED[one.ErrorCode] or ask.DENIED[one.ErrorCode] then
        return nil, ask.refused(self, one.ErrorCode,
          "transactional id " .. one.TransactionalId)
      end
      said[one.TransactionalId] = one.ErrorCode == 0 and {
        state = one.TransactionState, id = one.ProducerId,
        epoch = one.ProducerEpoch,
      } or { code = one.ErrorCode }
    end
  end
  return said, places
end

local PRODUCERS = { name = "DescribeProducers", inner = "PartitionIndexes",
  what = "producers of" }

function PRODUCERS.body(topics) return { Topics = topics } end

--- Producers the partition's leader remembers:
-- { id, epoch, sequence, time, coordinator_epoch, transaction? } each.
---@async
function M:producers(topic, partition)
  local part, why = gather.one(self, PRODUCERS, topic, partition,
    function() return partition end)
  if not part then return nil, why end
  local list = {}
  for index, one in ipairs(part.ActiveProducers) do
    list[index] = {
      id = one.ProducerId, epoch = one.ProducerEpoch,
      sequence = one.LastSequence, time = one.LastTimestamp,
      coordinator_epoch = one.CoordinatorEpoch,
      transaction = one.CurrentTxnStartOffset >= 0
        and one.CurrentTxnStartOffset or nil,
    }
  end
  return list
end

--- Transactions of these producers, by producer id: { transactional_id, state,
-- started, timeout_ms }, as far as we may see them. Brokers before 3.0 say none.
---@async
---@param ids integer[]
---@return table<integer, table>
function M:transactions(ids)
  local found = {}
  for _, broker in pairs(self:describe {} and self.brokers or {}) do
    local listed = ask.at(self, broker.host, broker.port, "ListTransactions",
      { StateFilters = {}, ProducerIdFilters = ids })
    for _, one in ipairs(listed and listed.TransactionStates or {}) do
      local known = { transactional_id = one.TransactionalId,
        state = one.TransactionState }
      local described = ask.at(self, broker.host, broker.port,
        "DescribeTransactions", { TransactionalIds = { one.TransactionalId } })
      local state = described and described.TransactionStates[1]
      if state and state.ErrorCode == 0 then
        known.started = state.TransactionStartTimeMs
        known.timeout_ms = state.TransactionTimeoutMs
      end
      found[one.ProducerId] = known
    end
  end
  return found
end

return M
