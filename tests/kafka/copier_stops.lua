-- The copier stops with the right reason, at the right place, and says what
-- its owner needs to go on.
local test = ...
local copying = dofile "tests/world/copying.lua"
local task = require "vm.task"
local check = copying.check

local world

test("two clusters start", function() world = copying.world() end)

local function topics(pair, what, count)
  local topic = copying.name(what)
  pair.a:topic(topic)
  pair.b:topic(topic)
  if count then pair.a:produce(topic, 0, copying.records(0, count)) end
  return topic
end

-- Follows one flow until its source offset is reached.
local function until_at(copier, id, offset, state)
  return check(copying.follow(copier, state or {}, function(s)
    return s[id] and (s[id].stop or s[id].source_offset >= offset)
  end))[id]
end

test("asked: positions, and no event comes late", function(t)
  local pair <close> = world.open()
  local topic = topics(pair, "asked", 100)
  local copier <close> = check(copying.open { progress_ms = 5 })
  local flow = copying.flow(pair, topic, 0)
  check(copier:start(flow))
  until_at(copier, flow.id, 100)
  pair.a:produce(topic, 0, copying.records(100, 50))
  while pair.b:offset(topic, 0, "end") < 150 do task.sleep(5) end
  task.sleep(30) -- its progress is told, and not taken
  local of = check(copier:stop(flow.id))
  t.equal({ of.reason, of.source_offset, of.target_offset, of.sequence },
    { "asked", 150, 150, 150 })
  t.equal({ of.records, of.segments },
    { 50, { { source = 100, target = 100, count = 50 } } })
  t.fails("not found", copier:stop(flow.id))
  t.fails("timeout", task.deadline(100, function() return copier:next() end))
end)

test("an id that runs cannot be started twice", function(t)
  local pair <close> = world.open()
  local topic = topics(pair, "twice", 1)
  local copier <close> = check(copying.open {})
  local flow = copying.flow(pair, topic, 0)
  check(copier:start(flow))
  until_at(copier, flow.id, 1)
  check(copier:start(flow))
  local event = check(copier:next())[1]
  t.equal({ event.kind, event.reason, event.err.kind },
    { "stopped", "failed", "exists" })
  t.raises("unknown option", copier.start, copier, { id = "x", color = 1 })
  t.raises("producer id", copier.start, copier, { id = "x",
    source = flow.source, target = flow.target, source_offset = 0,
    target_offset = 0, log_end = 0 })
  t.equal(check(copier:stop(flow.id)).source_offset, 1)
end)

test("foreign: another writer on the target", function(t)
  local pair <close> = world.open()
  local topic = topics(pair, "foreign", 10)
  local copier <close> = check(copying.open {})
  local flow = copying.flow(pair, topic, 0)
  check(copier:start(flow))
  local state = {}
  until_at(copier, flow.id, 10, state)
  pair.b:produce(topic, 0, copying.records(0, 3))
  pair.a:produce(topic, 0, copying.records(10, 5))
  local of = check(copying.follow(copier, state,
    function(s) return s[flow.id].stop end))[flow.id]
  t.equal({ of.stop.reason, of.stop.expected, of.stop.got },
    { "foreign", 10, 13 })
  t.equal({ of.source_offset, of.target_offset }, { 10, 10 })
end)

test("sequence: the broker expects another one", function(t)
  local pair <close> = world.open()
  local topic = topics(pair, "sequence", 10)
  local copier <close> = check(copying.open {})
  local flow = copying.flow(pair, topic, 0, { until_offset = 10 })
  t.equal(copying.run_one(copier, flow).stop.reason, "reached")
  pair.a:produce(topic, 0, copying.records(10, 5))
  flow.until_offset = nil
  flow.source_offset, flow.target_offset, flow.log_end = 10, 10, 10
  flow.sequence = 11
  local of = copying.run_one(copier, flow)
  t.equal({ of.stop.reason, of.stop.err.code }, { "sequence", 45 })
  t.equal({ of.source_offset, of.target_offset, of.sequence }, { 10, 10, 11 })
  flow.sequence, flow.until_offset = 10, 15
  t.equal(copying.run_one(copier, flow).target_offset, 15)
  t.equal(copying.difference(pair.a:read(topic, 0), pair.b:read(topic, 0)),
    nil)
end)

test("fenced: a marker of the next epoch is there", function(t)
  local pair <close> = world.open()
  local topic = topics(pair, "fenced", 10)
  local copier <close> = check(copying.open {})
  local flow = copying.flow(pair, topic, 0)
  check(copier:start(flow))
  local state = {}
  until_at(copier, flow.id, 10, state)
  pair.b:markers(topic, 0, 1, flow.producer_id, flow.producer_epoch + 1)
  pair.a:produce(topic, 0, copying.records(10, 5))
  local of = check(copying.follow(copier, state,
    function(s) return s[flow.id].stop end))[flow.id]
  t.equal(of.stop.reason, "fenced")
  t.equal(of.target_offset, 10)
  t.equal(#pair.b:read(topic, 0), 10)
end)

test("out of range: both ends of the source are told", function(t)
  local pair <close> = world.open()
  local topic = topics(pair, "range", 100)
  check(pair.a.client:delete_records { { topic = topic, partition = 0,
    before = 40 } })
  local copier <close> = check(copying.open {})
  for _, offset in ipairs { 39, 101 } do
    local of = copying.run_one(copier, copying.flow(pair, topic, 0,
      { source_offset = offset }))
    t.equal({ of.stop.reason, of.stop.log_start, of.stop.log_end },
      { "out_of_range", 40, 100 })
    t.equal(of.source_offset, offset)
  end
end)

test("topic id: the source topic was made again", function(t)
  local pair <close> = world.open()
  local topic = topics(pair, "again", 10)
  local copier <close> = check(copying.open {})
  local flow = copying.flow(pair, topic, 0)
  check(copier:start(flow))
  local state = {}
  until_at(copier, flow.id, 10, state)
  check(pair.a.client:delete_topics { topic })
  local of = check(copying.follow(copier, state,
    function(s) return s[flow.id].stop end))[flow.id]
  t.ok(of.stop.reason == "topic_id" or of.stop.reason == "leader",
    of.stop.reason)
  pair.a:topic(topic)
  pair.a:produce(topic, 0, copying.records(0, 10))
  flow.log_end, flow.target_offset, flow.source_offset = 10, 10, 10
  of = copying.run_one(copier, flow)
  t.equal({ of.stop.reason, of.stop.err.code }, { "topic_id", 100 })
end)

test("leader: no such partition, and nobody there", function(t)
  local pair <close> = world.open()
  local topic = topics(pair, "leader", 10)
  local copier <close> = check(copying.open {})
  local flow = copying.flow(pair, topic, 0)
  flow.target.partition = 7
  local of = copying.run_one(copier, flow)
  t.equal({ of.stop.reason, of.stop.err.code, of.source_offset },
    { "leader", 3, 0 })
  flow.target.partition, flow.source.topic_id = 0, nil
  flow.source.partition = 7
  of = copying.run_one(copier, flow)
  t.equal({ of.stop.reason, of.stop.err.code }, { "leader", 3 })
  flow.source.partition, flow.target.port = 0, 1
  of = copying.run_one(copier, flow)
  t.equal({ of.stop.reason, of.stop.err.kind }, { "leader", "unavailable" })
  flow.source.port = 1
  of = copying.run_one(copier, flow)
  t.equal({ of.stop.reason, of.stop.err.kind }, { "leader", "unavailable" })
end)

test("timestamp: the target refuses the future", function(t)
  local pair <close> = world.open()
  local topic = copying.name("future")
  pair.a:topic(topic, 1,
    { ["message.timestamp.after.max.ms"] = tostring(1 << 50) })
  pair.b:topic(topic)
  pair.a:produce(topic, 0, copying.records(0, 1))
  pair.a:produce(topic, 0, { { value = "later",
    timestamp = require("vm.sys").time() + 30 * 86400000 } })
  local copier <close> = check(copying.open {})
  local of = copying.run_one(copier, copying.flow(pair, topic, 0))
  t.equal({ of.stop.reason, of.stop.err.code, of.source_offset },
    { "timestamp", 32, 1 })
end)

test("a busy partition does not wait for idle ones", function(t)
  local pair <close> = world.open()
  local topic = copying.name("idle")
  pair.a:topic(topic, 20)
  pair.b:topic(topic, 20)
  local copier <close> = check(copying.open {})
  local state, id, first = {}, topic .. "/3", nil
  for p = 0, 19 do
    local flow = copying.flow(pair, topic, p, { producer_id = first,
      producer_epoch = first and 0 })
    first = flow.producer_id
    check(copier:start(flow))
  end
  local producer <close> = check(pair.a.client:producer {})
  local waited = 0
  for i = 1, 30 do
    local begin = task.now()
    check(producer:produce { { topic = topic, partition = 3,
      value = tostring(i) } })
    check(copying.follow(copier, state, function(s)
      if s[id] and s[id].stop then error(s[id].stop.err, 0) end
      return s[id] and s[id].source_offset == i
    end))
    waited = waited + task.now() - begin
  end
  t.note(("%.1f ms from produce to acknowledged copy"):format(waited / 30))
  t.ok(waited / 30 < 250, waited)
end)

test("closing with everything in flight leaves nothing behind", function()
  local pair <close> = world.open()
  local topic = topics(pair, "close", 5000)
  for _ = 1, 5 do
    local copier <close> = check(copying.open {})
    local flow = copying.flow(pair, topic, 0, { log_end =
      pair.b:offset(topic, 0, "end"), no_producer_id = true })
    check(copier:start(flow))
    task.sleep(3)
  end
end)

test("the clusters go", function() world.down() end)
