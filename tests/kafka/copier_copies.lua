-- The copier on two real clusters: what is copied is what was there, with
-- every codec, from every start, through transactions and odd timestamps.
local test = ...
local copying = dofile "tests/world/copying.lua"
local check = copying.check

local world

test("two clusters start", function() world = copying.world() end)

test("every codec arrives, offsets included", function(t)
  local pair <close> = world.open()
  local topic = copying.name("codecs")
  pair.a:topic(topic, 5)
  pair.b:topic(topic, 5)
  local flows = {}
  for p, codec in ipairs { "none", "gzip", "snappy", "lz4", "zstd" } do
    pair.a:produce(topic, p - 1, copying.records(0, 2000),
      { ["compression.codec"] = codec })
    flows[p] = copying.flow(pair, topic, p - 1,
      { same = true, until_offset = 2000 })
  end
  local copier <close> = check(copying.open {})
  local state = copying.run_all(copier, flows)
  for p, flow in ipairs(flows) do
    local of = state[flow.id]
    t.equal(of.stop.reason, "reached")
    t.equal({ of.records, of.source_offset, of.sequence }, { 2000, 2000, 2000 })
    t.equal(#of.holes, 0)
    t.equal(copying.difference(pair.a:read(topic, p - 1),
      pair.b:read(topic, p - 1)), nil)
  end
end)

test("only committed records of transactions arrive, mapped", function(t)
  local pair <close> = world.open()
  local topic = copying.name("transactions")
  pair.a:topic(topic)
  pair.b:topic(topic)
  local at = 0
  local function some(producer, count)
    local list = copying.records(at, count)
    at = at + count
    for _, r in ipairs(list) do r.topic, r.partition = topic, 0 end
    check(producer:produce(list))
  end
  local producers = {}
  for i = 1, 2 do
    producers[i] = check(pair.a.client:producer {
      transactional_id = topic .. i,
      settings = { ["compression.codec"] = i == 2 and "zstd" or "none" } })
    check(producers[i]:init())
  end
  for round = 1, 12 do -- two interleave, each third is aborted
    for i = 1, 2 do check(producers[i]:begin()) some(producers[i], 17) end
    for i = 2, 1, -1 do
      some(producers[i], 5)
      if (round + i) % 3 == 0 then
        check(producers[i]:abort())
      else
        check(producers[i]:commit())
      end
    end
    if round % 4 == 0 then pair.a:produce(topic, 0, copying.records(at, 9)) end
  end
  for i = 1, 2 do producers[i]:close() end
  local stable = pair.a:offset(topic, 0, "stable")
  local copier <close> = check(copying.open {})
  local of = copying.run_one(copier,
    copying.flow(pair, topic, 0, { until_offset = stable }))
  t.equal(of.stop.reason, "reached")
  t.equal(of.source_offset, stable)
  t.equal(of.target_offset, of.records)
  t.equal(copying.mapped_difference(pair, topic, 0, of.segments), nil)

  local other = copying.name("transactions-same")
  pair.b:topic(other)
  local flow = copying.flow(pair, topic, 0, { same = true })
  flow.target.topic = other
  of = copying.run_one(copier, flow)
  t.equal({ of.stop.reason, of.source_offset }, { "transactional", 0 })
  t.equal(pair.b:offset(other, 0, "end"), 0)
end)

test("a start inside a batch is trimmed, an end inside one too", function(t)
  local pair <close> = world.open()
  for _, codec in ipairs { "none", "lz4" } do
    local topic = copying.name("trimmed-" .. codec)
    pair.a:topic(topic)
    pair.b:topic(topic)
    pair.a:produce(topic, 0, copying.records(0, 500),
      { ["compression.codec"] = codec })
    check(pair.a.client:delete_records { { topic = topic, partition = 0,
      before = 123 } })
    local copier <close> = check(copying.open {})
    local of = copying.run_one(copier,
      copying.flow(pair, topic, 0, { until_offset = 377 }))
    t.equal(of.stop.reason, "reached")
    t.equal({ of.source_offset, of.target_offset, of.records },
      { 377, 254, 254 })
    local source = pair.a:read(topic, 0, 123, 377)
    t.equal(#source, 254)
    t.equal(copying.difference(source, pair.b:read(topic, 0),
      function(offset) return offset - 123 end), nil)

    -- The same with the target filled up to there: offsets stay.
    local same = copying.name("trimmed-same-" .. codec)
    pair.b:topic(same)
    pair.b:filler(same, 0, 123)
    local flow = copying.flow(pair, topic, 0, { same = true,
      target_offset = 123, log_end = 123, until_offset = 500 })
    flow.target.topic = same
    of = copying.run_one(copier, flow)
    t.equal({ of.stop.reason, of.records, of.sequence },
      { "reached", 377, 377 })
    t.equal(copying.difference(pair.a:read(topic, 0),
      pair.b:read(same, 0, 123)), nil)
  end
end)

test("append time stays what the source shows", function(t)
  local pair <close> = world.open()
  local topic = copying.name("append-time")
  pair.a:topic(topic, 1, { ["message.timestamp.type"] = "LogAppendTime" })
  pair.b:topic(topic)
  pair.a:produce(topic, 0, copying.records(0, 300))
  local copier <close> = check(copying.open {})
  local of = copying.run_one(copier,
    copying.flow(pair, topic, 0, { same = true, until_offset = 300 }))
  t.equal(of.stop.reason, "reached")
  t.equal(copying.difference(pair.a:read(topic, 0), pair.b:read(topic, 0)),
    nil)
end)

test("batches larger than the target takes are divided", function(t)
  local pair <close> = world.open()
  local topic = copying.name("large")
  pair.a:topic(topic)
  pair.b:topic(topic, 1, { ["max.message.bytes"] = "20000" })
  pair.a:produce(topic, 0, copying.records(0, 300, 400))
  local copier <close> = check(copying.open {})
  local of = copying.run_one(copier, copying.flow(pair, topic, 0,
    { same = true, until_offset = 300, max_batch_bytes = 20000 }))
  t.equal(of.stop.reason, "reached")
  t.equal(copying.difference(pair.a:read(topic, 0), pair.b:read(topic, 0)),
    nil)
  local big = copying.name("too-large")
  pair.a:topic(big)
  pair.b:topic(big, 1, { ["max.message.bytes"] = "20000" })
  pair.a:produce(big, 0, copying.records(1, 3, 10))
  pair.a:produce(big, 0, copying.records(1, 1, 30000))
  of = copying.run_one(copier, copying.flow(pair, big, 0,
    { max_batch_bytes = 20000 }))
  t.equal({ of.stop.reason, of.source_offset, of.stop.refused.offset,
    of.stop.refused.records }, { "too_large", 3, 3, 1 })
end)

test("a walk finds its place again wherever it left off", function(t)
  local pair <close> = world.open()
  local topic = copying.name("walk")
  pair.a:topic(topic)
  pair.b:topic(topic)
  for i = 0, 9 do
    pair.a:produce(topic, 0, copying.records(i * 200, 200),
      { ["compression.codec"] = i % 2 == 0 and "none" or "zstd" })
  end
  local copier <close> = check(copying.open {})
  local flow = copying.flow(pair, topic, 0)
  local segments, walked = {}, 0
  for _, stop_at in ipairs { 1, 150, 200, 431, 432, 1199, 1999, 2000 } do
    -- Always from the very beginning: all that lies there is walked.
    flow.log_end = pair.b:offset(topic, 0, "end")
    flow.until_offset = stop_at
    walked = walked + flow.log_end
    local of = copying.run_one(copier, flow)
    t.equal(of.stop.reason, "reached")
    t.equal({ of.source_offset, of.target_offset, of.sequence },
      { stop_at, stop_at, stop_at })
    t.equal(of.records, stop_at - flow.log_end)
    table.move(of.segments, 1, #of.segments, #segments + 1, segments)
  end
  t.ok(walked > 4000)
  t.equal(copying.mapped_difference(pair, topic, 0, segments), nil)
  flow.target_offset, flow.source_offset, flow.until_offset = 0, 0, nil
  flow.log_end = 2001
  local of = copying.run_one(copier, flow)
  t.equal({ of.stop.reason, of.stop.expected, of.stop.got },
    { "foreign", 2000, 2001 })
end)

test("the clusters go", function() world.down() end)
