--- Offset certificates: why a position on one cluster is the same place as one
-- on the other, in a form that can be checked again later. A certificate names
-- the records around both positions by hash, or says that the log ended there.
-- Checked again, it holds, is broken, or says what retention has removed.

local err = require "base.err"
local proof = require "mirror.offsets.proof"

local M = { FORMAT = 1 }

local KEPT = 3 -- records from a position on

local function seen(rec)
  return rec and { offset = rec.offset, hash = proof.hash(rec) } or nil
end

--- What proof.compare read on one side, as evidence.
local function side_of(cluster, place)
  local after = {}
  for index = 1, math.min(KEPT, #place.records) do
    after[index] = seen(place.records[index])
  end
  return {
    cluster = cluster.name, topic = place.topic, partition = place.partition,
    offset = place.offset, start = place.start, stable = place.stable,
    before = seen(place.before), after = #after > 0 and after or nil,
  }
end

--- The certificate of a proven pair { here, there }.
---@return tranship.Certificate
function M.make(group, pair, from, to)
  return {
    format = M.FORMAT, group = group, here = side_of(from, pair.here),
    there = side_of(to, pair.there),
  }
end

---@class tranship.Certificate
---@field format integer
---@field group string
---@field here table   cluster, topic, partition, offset; the log's start and
---end then; `before` and `after`: { offset, hash } of the records around
---@field there table  the same of the other cluster

local function short(one) return ("%d %s"):format(one.offset, one.hash:sub(1, 8)) end

--- One line for people.
function M.text(certificate)
  local here, there = certificate.here, certificate.there
  local parts = {}
  if here.before and there.before then
    parts[1] = ("before it %s | %s"):format(short(here.before),
      short(there.before))
  end
  if here.after and there.after then
    parts[#parts + 1] = ("at it %s | %s"):format(short(here.after[1]),
      short(there.after[1]))
  else
    parts[#parts + 1] = ("both logs end: %d | %d"):format(here.stable,
      there.stable)
  end
  return ("%s %d is %s %d: %s"):format(here.cluster, here.offset,
    there.cluster, there.offset, table.concat(parts, "; "))
end

--- Does the certificate say the same of both sides?
local function contradiction(certificate)
  local here, there = certificate.here, certificate.there
  local a, b = here.after or {}, there.after or {}
  if (#a == 0) ~= (#b == 0) then
    return "only one side had a record at the position"
  end
  for index = here.before and there.before and 0 or 1, math.min(#a, #b) do
    local one, other = a[index], b[index]
    if index == 0 then one, other = here.before, there.before end
    if one.hash ~= other.hash then
      return ("the records at %s %d and %s %d are not the same"):format(
        here.cluster, one.offset, there.cluster, other.offset)
    end
  end
end

--- What a side's log says of its evidence now: what is wrong; what of it
-- retention has removed.
local function compare(side, now, compacted)
  local there = {}
  for _, rec in ipairs(now.records) do there[rec.offset] = proof.hash(rec) end
  if now.before then there[now.before.offset] = proof.hash(now.before) end
  local lost
  for _, one in ipairs { side.before or false, table.unpack(side.after or {}) } do
    local hash = one and there[one.offset]
    if one and one.offset < now.start or one and not hash and compacted then
      lost = lost or one
    elseif one and hash ~= one.hash then
      return ("%s/%d on %s: offset %d holds %s"):format(side.topic,
        side.partition, side.cluster, one.offset, hash and "another record"
        or "no record any more")
    end
  end
  local first = now.records[1]
  local known = side.after and side.after[1].offset or side.stable
  if side.offset > known or not lost and first and first.offset < known
    or side.before and side.before.offset >= side.offset then
    return ("%s/%d on %s: position %d is not where the record at %d is")
      :format(side.topic, side.partition, side.cluster, side.offset, known)
  end
  return nil, lost
end

local function verdict_of(item)
  local broken = contradiction(item.certificate)
  if broken then return "broken", broken end
  local gone = {}
  for _, name in ipairs { "here", "there" } do
    local side, now = item.certificate[name], item[name]
    if now.missing then
      gone[#gone + 1] = now.missing
    else
      local problem, lost = compare(side, now, now.compacted)
      if problem then return "broken", problem end
      if lost then
        gone[#gone + 1] = now.start > lost.offset
          and ("%s/%d on %s: retention has removed offsets %d to %d"):format(
            side.topic, side.partition, side.cluster, lost.offset,
            now.start - 1)
          or ("%s/%d on %s: the cleaner has removed offset %d"):format(
            side.topic, side.partition, side.cluster, lost.offset)
      end
    end
  end
  if #gone > 0 then return "cannot be checked", table.concat(gone, "; ") end
  return "holds"
end

--- Which topics of a cluster are there, and compacted.
local function shapes_of(client, wants)
  local names, known = {}, {}
  for _, want in ipairs(wants) do
    if not known[want.topic] then names[#names + 1] = want.topic end
    known[want.topic] = true
  end
  local there, why = client:describe_topics(names)
  if not there then return nil, why end
  local present, compacted = {}, {}
  for _, name in ipairs(names) do
    if there[name] then present[#present + 1] = name end
  end
  local configs = {}
  if #present > 0 then
    configs, why = client:configs("topic", present)
    if not configs then return nil, why end
  end
  for name, settings in next, configs do
    local policy = settings["cleanup.policy"]
    compacted[name] = policy and policy.value:find "compact" ~= nil
  end
  return there, compacted
end

local function has_partition(shape, number)
  for _, part in ipairs(shape and shape.partitions or {}) do
    if part.partition == number then return true end
  end
  return false
end

--- Reads one cluster's side of all certificates again.
local function read_again(cluster, wants)
  local client = cluster:client "read"
  local there, compacted = shapes_of(client, wants)
  if not there then return nil, compacted end
  local open = {}
  for _, want in ipairs(wants) do
    if has_partition(there[want.topic], want.partition) then
      want.compacted = compacted[want.topic]
      open[#open + 1] = want
    else
      want.missing = ("%s/%d is not on %s any more"):format(want.topic,
        want.partition, cluster.name)
    end
  end
  if #open == 0 then return true end
  local ok, why = proof.first_records(client, open)
  if ok then ok, why = proof.record_before(client, open) end
  return ok and true, why
end

--- Proves certificates again against the clusters as they are now.
---@async
---@param list tranship.Certificate[]
---@param cluster_of fun(name: string): tranship.Cluster?
---@return { certificate: tranship.Certificate, verdict: "holds"|"cannot be checked"|"broken", why?: string }[]?, tranship.Err?
function M.verify(list, cluster_of)
  local items, by_cluster = {}, {}
  for index, certificate in ipairs(list) do
    local item = { certificate = certificate }
    for _, name in ipairs { "here", "there" } do
      local side = certificate[name]
      item[name] = { topic = side.topic, partition = side.partition,
        offset = side.offset, floor = side.before and side.before.offset }
      by_cluster[side.cluster] = by_cluster[side.cluster] or {}
      table.insert(by_cluster[side.cluster], item[name])
    end
    items[index] = item
  end
  for name, wants in next, by_cluster do
    local cluster = cluster_of(name)
    if not cluster then
      return nil, err.new { kind = "not found", origin = "certificate",
        message = ("no cluster is called %s"):format(name) }
    end
    local ok, why = read_again(cluster, wants)
    if not ok then return nil, why end
  end
  for _, item in ipairs(items) do
    item.verdict, item.why = verdict_of(item)
  end
  return items
end

return M
