-- Digests of real partitions: what a broker and its clients may change without
-- harm, what they may not, and ranges that cannot be read.
local test = ...
local digest = require "vm.digest"
local task = require "vm.task"
local broker = dofile "tests/support/broker.lua"
local check = broker.check

local function records(count, size)
  local list = {}
  for i = 1, count do
    list[i] = {
      key = i % 7 ~= 0 and "key " .. i % 50 or nil,
      value = i % 11 ~= 0 and ("value %d %s"):format(i, ("x"):rep(size or 20)) or nil,
      timestamp = 1700000000000 + i,
      headers = i % 3 == 0 and { { name = "n", value = tostring(i) } } or nil,
    }
  end
  return list
end

local function produce(b, topic, list, settings)
  local producer <close> = check(b.kafka:producer { settings = settings })
  for _, record in ipairs(list) do
    record.topic, record.partition = topic, 0
  end
  check(producer:produce(list))
  check(producer:flush())
end

local function ends(b, topic)
  local list = check(b.kafka:offsets {
    { topic = topic, partition = 0, at = "start" },
    { topic = topic, partition = 0, at = "end" } })
  return list[1].offset, list[2].offset
end

local function range(b, topic, options)
  local from, to = ends(b, topic)
  local all = { host = b.host, port = b.port, topic = topic, partition = 0,
    from = from, to = to }
  for k, v in pairs(options or {}) do all[k] = v end
  return digest.range(all)
end

local function hashes(chunks)
  local list = {}
  for i, chunk in ipairs(check(chunks)) do list[i] = chunk.hash end
  return list
end

local function check_codecs(t, b)
  local want
  for _, codec in ipairs { "none", "gzip", "snappy", "lz4", "zstd" } do
    local topic = "codec-" .. codec
    b:topic(topic, 1)
    produce(b, topic, records(2000), { ["compression.codec"] = codec,
      ["batch.num.messages"] = codec == "lz4" and "7" or "1000" })
    local chunks = check(range(b, topic, { mode = "records", chunk = 399 }))
    t.equal(#chunks, 6)
    t.equal(chunks[1].from, 0)
    t.equal(chunks[6].to, 2000)
    t.equal(chunks[6].records, 5)
    t.match(chunks[1].hash, "^%x+$")
    t.equal(#chunks[1].hash, 16)
    want = want or hashes(chunks)
    t.equal(hashes(chunks), want, codec)
    local twice = hashes(range(b, topic, { mode = "batches" }))
    t.equal(hashes(range(b, topic, { mode = "batches" })), twice)
    local offset = check(range(b, topic, { mode = "records", from = 399,
      to = 798, with_offsets = true }))
    t.ok(offset[1].hash ~= want[2])
  end
end

-- The first record that differs is found by halving chunks.
local function first_difference(b, one, other, from, to)
  while to - from > 1 do
    local middle = (from + to) // 2
    local options = { mode = "records", from = from, to = middle }
    if range(b, one, options)[1].hash == range(b, other, options)[1].hash then
      from = middle
    else
      to = middle
    end
  end
  return from
end

local function check_plants(t, b)
  local plants = {
    value = function(list) list[701].value = "other" end,
    key = function(list) list[701].key = "other" end,
    null = function(list) list[701].value = nil end,
    timestamp = function(list) list[701].timestamp = 1 end,
    header = function(list)
      list[701].headers = { { name = "n", value = "other" } }
    end,
    order = function(list) list[701], list[702] = list[702], list[701] end,
  }
  for what, plant in pairs(plants) do
    local list = records(1000)
    plant(list)
    b:topic("plant-" .. what, 1)
    produce(b, "plant-" .. what, list)
    t.equal(first_difference(b, "codec-none", "plant-" .. what, 0, 1000), 700,
      what)
  end
end

local function check_transactions(t, b)
  b:topic("tx", 1)
  b:topic("plain", 1)
  local list = records(90)
  produce(b, "plain", list)
  local producer <close> = check(b.kafka:producer { transactional_id = "d" })
  check(producer:init())
  local function transaction(first, last, how)
    local part = table.move(records(90), first, last, 1, {})
    for _, r in ipairs(part) do r.topic, r.partition = "tx", 0 end
    check(producer:begin())
    check(producer:produce(part))
    check(producer[how](producer))
  end
  transaction(1, 30, "commit")
  transaction(1, 40, "abort")
  transaction(31, 60, "commit")
  transaction(1, 9, "abort")
  transaction(61, 90, "commit")
  local want = hashes(range(b, "plain", { mode = "records", chunk = 25 }))
  local got = check(range(b, "tx", { mode = "records", chunk = 25 }))
  t.equal(hashes(got), want)
  t.equal(got[1].to, 25)
  t.equal(got[2].to, 30 + 1 + 40 + 1 + 20)
  local all = check(range(b, "tx", { mode = "records", chunk = 1000,
    isolation = "uncommitted" }))
  t.equal(all[1].records, 90 + 49)
  local batches = check(range(b, "tx", { mode = "batches", chunk = 1000 }))
  t.equal(batches[1].records, 90)

  -- An open transaction: what is behind it is not there yet, and said so.
  check(producer:begin())
  check(producer:produce { { topic = "tx", partition = 0, value = "open" } })
  local err = t.fails("unavailable", range(b, "tx", { mode = "records" }))
  t.match(err, "can be read up to offset")
  t.ok(range(b, "tx", { mode = "records", isolation = "uncommitted" }))
  check(producer:abort())
end

local function check_keys(t, b)
  b:topic("all", 1)
  b:topic("last", 1)
  local list, last, keys = {}, {}, {}
  for i = 1, 4000 do
    local key = "key " .. i * 7 % 500
    list[i] = { key = key, value = i % 13 ~= 0 and "v" .. i or nil,
      timestamp = 1700000000000 + i }
    last[key] = list[i]
  end
  for i = 499, 0, -1 do
    local r = last["key " .. i]
    if r.value then keys[#keys + 1] = { key = r.key, value = r.value,
      timestamp = r.timestamp } end
  end
  produce(b, "all", list)
  produce(b, "last", keys)
  local options = { mode = "compacted", buckets = 8 }
  local a, z = check(range(b, "all", options)), check(range(b, "last", options))
  t.equal(#a, 8)
  t.equal(hashes(a), hashes(z))
  t.equal(a.keyless, 0)
  local count = 0
  for _, bucket in ipairs(a) do count = count + bucket.records end
  t.equal(count, #keys)
  produce(b, "last", { { key = "key 3", value = "news", timestamp = 1 } })
  z = check(range(b, "last", options))
  local differ
  for i = 1, 8 do if a[i].hash ~= z[i].hash then differ = i end end
  options.bucket = t.ok(differ)
  a, z = check(range(b, "all", options)), check(range(b, "last", options))
  t.equal(#a.keys, a[differ].records)
  for i, key in ipairs(z.keys) do
    if key.hash ~= a.keys[i].hash then
      t.equal(key.key, a.keys[i].key)
      t.equal(key.offset, #keys)
      return
    end
  end
  t.fail("the key that differs was not found")
end

local function check_failures(t, b)
  local _, to = ends(b, "plain")
  t.equal(check(range(b, "plain", { from = to })), {})
  t.equal(check(range(b, "plain", { from = to, mode = "compacted" }))[1].records, 0)
  local err = t.fails("limit", range(b, "plain", { from = to + 1, to = to + 2 }))
  t.equal(err.code, 1)
  t.fails("unavailable", range(b, "plain", { to = to + 1 }))
  t.fails("not found", digest.range { host = b.host, port = b.port,
    topic = "no-such", partition = 0, from = 0, to = 1 })
  t.fails("unavailable", digest.range { host = b.host, port = 1,
    topic = "plain", partition = 0, from = 0, to = 1 })
  t.raises("no digest mode", digest.range, { mode = "all" })
  t.raises("unknown option", digest.range, { modes = "records" })
  t.raises("from <= to", digest.range, { host = "x", port = 1, topic = "t",
    partition = 0, from = 5, to = 4 })
end

-- The loop goes on while a digest works, and a canceled one leaves nothing.
local function check_beside(t, b)
  b:topic("big", 1)
  for _ = 1, 3 do produce(b, "big", records(10000, 800)) end
  local longest, last, is_done = 0, task.now(), false
  local ticker = task.spawn(function()
    while not is_done do
      task.sleep(1)
      longest = math.max(longest, task.now() - last)
      last = task.now()
    end
  end)
  local begin = task.now()
  local chunks = check(range(b, "big", { mode = "records", chunk = 1 << 30 }))
  local took = task.now() - begin
  is_done = true
  ticker:join()
  t.equal(chunks[1].records, 30000)
  t.note(("30,000 records in %d ms, longest pause of the loop %d ms"):format(
    took, longest))
  t.ok(longest < math.max(100, took / 2), longest)
  local canceled = task.spawn(function() range(b, "big", { mode = "records" }) end)
  task.sleep(5)
  canceled:cancel()
  canceled:join()
end

test("digests of real partitions", function(t)
  broker.with(function(b)
    local client <close> = b:client()
    b.kafka = client
    check_codecs(t, b)
    check_plants(t, b)
    check_transactions(t, b)
    check_keys(t, b)
    check_failures(t, b)
    check_beside(t, b)
  end)
end)
