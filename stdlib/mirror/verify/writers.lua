--- The fence: have the writers of topics stopped? Over a stated time no log end
-- moves, no producer's state changes, and no transaction is open (the last
-- stable offset is the end). Whoever still writes is named as far as a cluster
-- knows him: partition, producer id, transactional id.

local sys = require "vm.sys"
local task = require "vm.task"
local err = require "base.err"
local time = require "base.time"
local units = require "base.units"
local proof = require "mirror.offsets.proof"

local M = {}

local STILL_MS = 1000         -- what is watched must stand still for so long

--- Log ends of whole topics, { topic, partition, end, stable } each.
---@async
function M.ends(client, topics)
  local shapes, why = client:describe_topics(topics)
  if not shapes then return nil, why end
  local wants = {}
  for _, name in ipairs(topics) do
    for _, part in ipairs(shapes[name] and shapes[name].partitions or {}) do
      wants[#wants + 1] = { topic = name, partition = part.partition }
    end
  end
  if #wants == 0 then return wants end
  local ok
  ok, why = proof.bounds(client, wants, "end")
  if not ok then return nil, why end
  ok, why = proof.bounds(client, wants, "stable")
  if not ok then return nil, why end
  return wants
end

--- The ends, and with them the producers that each partition's leader knows.
local function look(bridge, at, topics)
  local ends, why = M.ends(bridge:cluster(at):client "read", topics)
  if not ends then return nil, why end
  for _, one in ipairs(ends) do
    local list
    list, why = bridge:wire(at):producers(one.topic, one.partition)
    if not list then return nil, why end
    one.producers = {}
    for _, producer in ipairs(list) do one.producers[producer.id] = producer end
  end
  return ends
end

local function id_of(one) return one.topic .. "/" .. one.partition end

local function has_moved(before, now)
  return not before or before.epoch ~= now.epoch
    or before.sequence ~= now.sequence or before.time ~= now.time
    or before.transaction ~= now.transaction
end

--- Producers of a partition that did something between two looks, by id.
local function active(before, now)
  local list = {}
  for id, producer in pairs(now.producers) do
    if has_moved(before and before.producers[id], producer)
      or producer.transaction then
      list[#list + 1] = producer
    end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

--- One producer in words; `known` holds transactions by producer id.
local function describe(producer, known)
  local text = ("producer id %d (epoch %d, last record dated %s)"):format(
    producer.id, producer.epoch, time.date(producer.time))
  local transaction = known[producer.id]
  if transaction then
    local age = transaction.started and transaction.started > 0
      and ", begun " .. units.show_duration(sys.time() - transaction.started)
      .. " ago, ends by itself after "
      .. units.show_duration(transaction.timeout_ms) or ""
    text = ("%s of transactional id %s (%s%s)"):format(text,
      transaction.transactional_id, transaction.state, age)
  elseif producer.transaction then
    text = text .. ", whose transaction no coordinator shows: it hangs"
  end
  return text
end

--- What is wrong with one partition, or nil; `list` is who was active there.
local function problem_of(before, now, list, known)
  local who = {}
  for index, producer in ipairs(list) do who[index] = describe(producer, known) end
  local by = #who > 0 and "by " .. table.concat(who, " and ")
    or "by a producer without an id, whom no cluster can name"
  if not before or before["end"] ~= now["end"] then
    return ("%s grew from %s to %d, %s"):format(id_of(now),
      tostring(before and before["end"]), now["end"], by)
  elseif now.stable ~= now["end"] then
    return ("%s has an open transaction at offset %d, %s"):format(id_of(now),
      now.stable, by)
  elseif #list > 0 then
    return ("%s is written to %s"):format(id_of(now), by)
  end
end

--- Transactions of the producers in the lists, by producer id.
local function transactions_of(bridge, at, lists)
  local ids = {}
  for _, list in pairs(lists) do
    for _, producer in ipairs(list) do ids[#ids + 1] = producer.id end
  end
  if #ids == 0 then return {} end
  return bridge:wire(at):transactions(ids)
end

--- Two looks, `still_ms` apart: the ends, and what speaks against the writers
-- having stopped, one line per partition.
---@async
---@param at "from"|"to"  the side that writes
---@return table[]? ends, string[]|tranship.Err problems
function M.watch(bridge, at, topics, still_ms)
  local before, why = look(bridge, at, topics)
  if not before then return nil, why end
  task.sleep(still_ms or STILL_MS)
  local after
  after, why = look(bridge, at, topics)
  if not after then return nil, why end
  local known_before, lists = {}, {}
  for _, one in ipairs(before) do known_before[id_of(one)] = one end
  for _, one in ipairs(after) do
    lists[id_of(one)] = active(known_before[id_of(one)], one)
  end
  local known = transactions_of(bridge, at, lists)
  local problems = {}
  for _, one in ipairs(after) do
    local id = id_of(one)
    problems[#problems + 1] = problem_of(known_before[id], one, lists[id], known)
  end
  return after, problems
end

--- Proves that the writers of `topics` have stopped; gives the ends.
---@async
---@return table[]? ends { topic, partition, end, stable }, tranship.Err?
function M.stopped(bridge, at, topics, still_ms)
  local ends, problems = M.watch(bridge, at, topics, still_ms)
  if not ends then return nil, problems end
  if #problems == 0 then return ends end
  return nil, err.new {
    kind = "conflict", origin = "bridge",
    message = "somebody still writes: " .. table.concat(problems, "; "),
  }
end

--- The same as an answer: `road:fence("apps.orders", { still = "10s" })`.
---@async
function M.fence(bridge, at, topics, still_ms)
  local ends, problems = M.watch(bridge, at, topics, still_ms)
  if not ends then return nil, problems end
  local cluster = bridge:cluster(at).name
  local seen = {}
  for index, one in ipairs(ends) do
    local producers = 0
    for _ in pairs(one.producers) do producers = producers + 1 end
    seen[index] = { topic = one.topic, partition = one.partition,
      ["end"] = one["end"], stable = one.stable, producers = producers }
  end
  return {
    ok = #problems == 0, want = "nobody writes",
    seen = { partitions = seen, problems = problems,
      still_ms = still_ms or STILL_MS, at = sys.time() },
    text = #problems > 0 and table.concat(problems, "; ")
      or ("nobody writes %d partitions on %s: ends stood still for %s, no "
      .. "transaction is open, no producer id moved"):format(#ends, cluster,
      units.show_duration(still_ms or STILL_MS)),
  }
end

return M
