--- "MirrorMaker 2 can go on": where a closed bridge ended, written into
-- Connect's offsets as MirrorMaker would have written it itself, so that an
-- unchanged MirrorMaker begins with the very next record.

local effect = require "base.effect"
local err = require "base.err"
local answer = require "mirror.answer"
local format = require "mirror.mm2.format"
local names = require "mirror.mm2.names"
local reading = require "mirror.mm2.reading"
local stopped = require "mirror.mm2.stopped"
local stopping = require "mirror.bridge.stopping"

-- What Connect makes its offset topic with.
local PARTITIONS, REPLICATION = 25, 3
-- A new key goes where Connect's own producer would put it.
local PRODUCER = { partitioner = "murmur2_random" }

local function refuse(format_text, ...)
  return nil, err.new { kind = "conflict", origin = "bridge",
    message = format_text:format(...) }
end

--- The bridge's memory, when its engine has ended in order: what it wrote last
-- is then all it has copied.
local function final_book(bridge)
  local ended, why = stopping.is_stopped(bridge)
  if ended == nil then return nil, why end
  if not ended then
    return refuse("bridge %s is open; close it first", bridge.name)
  end
  local book
  book, why = bridge:open_ledger()
  if not book then return nil, why end
  if not book.goodbye or not book.claim
    or book.goodbye.instance ~= book.claim.instance then
    return refuse("the engine of bridge %s did not end in order, so what it "
      .. "wrote last may not be all it copied; open and close the bridge once "
      .. "more", bridge.name)
  end
  return book
end

--- The last record that each partition's copy has, by "topic/partition".
local function last_copied(bridge, book)
  local list = {}
  for _, one in ipairs(bridge.legs(book)) do
    local id = ("%s/%d"):format(one.topic, one.partition)
    local at = one.at
    if one.writer ~= "from" then
      return refuse("%s is written on %s now; MirrorMaker would copy the other "
        .. "way", one.topic, bridge.to.name)
    elseif at and at.state == "stopped" then
      return refuse("%s has stopped: %s", id, tostring(at.text))
    end
    local position = at and at.leg == one.leg and at.source
      or book:leg(one.topic, one.partition).start.from
    if position > 0 then
      list[#list + 1] = { id = id, topic = one.topic,
        partition = one.partition, offset = position - 1 }
    end
  end
  return list
end

--- What must be written: { at, key, value, partition, before } each.
local function wanted(bridge)
  local book, why = final_book(bridge)
  if not book then return nil, why end
  local list
  list, why = last_copied(bridge, book)
  if not list then return nil, why end
  local flow = { names = names.new(bridge.mirrormaker2), missing = {},
    problems = {} }
  local ok
  ok, why = reading.offsets(flow, bridge.to:client "read")
  if not ok then return nil, why end
  if flow.problems[1] then return refuse("%s", flow.problems[1]) end
  local changes = {}
  for _, at in ipairs(list) do
    local known = flow.offsets[at.id]
    at.connector, at.cluster = flow.names.connector, flow.names.source
    if not known or known.offset ~= at.offset then
      local key, value = format.encode_offset(at)
      changes[#changes + 1] = { at = at, key = known and known.key or key,
        value = value, partition = known and known.written_to,
        before = known and known.offset }
    end
  end
  return { changes = changes, count = #list, names = flow.names,
    missing = flow.missing[1] ~= nil }
end

local function check(g)
  local bridge = g.bridge
  return effect.observe("bridge/" .. bridge.name .. "/handed_back", function()
    local found, why = wanted(bridge)
    if not found then
      if why.kind ~= "conflict" and why.kind ~= "not found" then
        return nil, why
      end
      return { ok = false, seen = tostring(why), want = "handed back",
        text = why.message }
    end
    local left = #found.changes
    return { ok = left == 0, seen = { left = left }, want = "handed back",
      text = left == 0 and ("MirrorMaker 2 goes on exactly in %d partitions")
        :format(found.count) or ("MirrorMaker 2 would begin elsewhere in %d "
        .. "of %d partitions"):format(left, found.count) }
  end)
end

local function create_topic(bridge, topic)
  return effect.perform {
    primitive = "kafka.create_topics", resume = "create",
    target = ("cluster/%s/topic/%s"):format(bridge.to.name, topic),
    summary = ("create %s on %s, Connect's offsets"):format(topic,
      bridge.to.name),
    after = topic, undo = "stays",
    send = function()
      local client = bridge.to:client "write"
      local cluster, why = client:cluster()
      if not cluster then return nil, why end
      local done
      done, why = client:create_topics { { name = topic,
        partitions = PARTITIONS,
        replication = math.min(REPLICATION, #cluster.brokers),
        configs = { ["cleanup.policy"] = "compact" } } }
      if not done then return nil, why end
      if done[1].err then return nil, done[1].err end
      return true
    end,
  }
end

local function send(bridge, topic, changes)
  local producer <close>, why = bridge.to:client("write"):producer {
    settings = PRODUCER,
  }
  if not producer then return nil, why end
  local list = {}
  for index, one in ipairs(changes) do
    list[index] = { topic = topic, partition = one.partition, key = one.key,
      value = one.value }
  end
  local done
  done, why = producer:produce(list)
  if not done then return nil, why end
  for _, one in ipairs(done) do
    if err.is(one) then return nil, one end
    if one.err then return nil, one.err end
  end
  return true
end

local function write(bridge, found)
  local before, after = {}, {}
  for _, one in ipairs(found.changes) do
    before[one.at.id], after[one.at.id] = one.before or "none", one.at.offset
  end
  return effect.perform {
    primitive = "mm2.write_offsets", resume = "set",
    target = ("cluster/%s/topic/%s"):format(bridge.to.name,
      found.names.offsets),
    summary = ("tell MirrorMaker 2 the last records copied of %d partitions")
      :format(#found.changes),
    before = before, after = after,
    undo = "the bridge goes on from its own memory when it is opened",
    send = function()
      return send(bridge, found.names.offsets, found.changes)
    end,
  }
end

local function apply(g)
  local bridge = g.bridge
  if answer.is_planning() then
    return effect.perform {
      primitive = "mm2.write_offsets", resume = "set",
      target = "bridge/" .. bridge.name .. "/handed_back",
      summary = "tell MirrorMaker 2 where the closed bridge has ended",
      after = { ok = true, seen = "handed back above" },
      undo = "the bridge goes on from its own memory when it is opened",
      send = function() return true end,
    }
  end
  local found, why = wanted(bridge)
  if not found then return nil, why end
  local ok
  if found.missing then
    ok, why = create_topic(bridge, found.names.offsets)
  else
    ok, why = stopped.must_be_stopped(bridge)
  end
  if not ok then return nil, why end
  if #found.changes == 0 then return true end
  return write(bridge, found)
end

return {
  name = "handed_back",
  title = "MirrorMaker 2 can go on where {bridge} has ended",
  takes = { { name = "bridge", kind = "bridge", desc = "the bridge" } },
  check = check,
  apply = apply,
  verify = check,
  undo = function() return nil end, -- the bridge does not read what was written
}
