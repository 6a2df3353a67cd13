--- The model of MirrorMaker 2's translation, at the figures that Kafka's own
-- test of its store holds it to; and what is exact at the same inputs.

local offsets = require "vm.offsets"
local store = require "mirror.mm2.store"

local test = ...

local TOPIC, PARTITION = "topic1", 2

local function take(memory, upstream, downstream)
  memory:take { topic = TOPIC, partition = PARTITION, upstream = upstream,
    downstream = downstream }
end

local function answer(memory, offset)
  return (memory:translate(TOPIC, PARTITION, offset))
end

local function started(last_only)
  local memory = store.new(last_only)
  memory:start()
  return memory
end

--- Both distances of the head of mirror.mm2.store, between all pairs of slots.
local function must_keep_distances(t, memory)
  for j = 0, 63 do
    local older = memory:slot(TOPIC, PARTITION, j).upstream
    for i = 0, j do
      local newer = memory:slot(TOPIC, PARTITION, i).upstream
      local low = older + (1 << math.max(i - 2, 0))
      local high = older + (1 << j) - (1 << i)
      if newer ~= older and low >= 0 then
        t.ok(newer >= low, ("slots %d, %d: %d, %d"):format(i, j, newer, older))
        t.ok(high < 0 or newer <= high, ("slots %d, %d: %d, %d")
          :format(i, j, newer, older))
      end
    end
  end
end

test("at a sync exact, behind it one more and no more", function(t)
  local memory = started()
  take(memory, 100, 200)
  t.equal(answer(memory, 150), 201)
  take(memory, 150, 251)
  t.equal(answer(memory, 150), 251)
  t.equal(answer(memory, 5), -1) -- before any sync
  take(memory, 200, 10)          -- the target's offsets were reset
  t.equal(answer(memory, 200), 10)
  take(memory, 20, 20)           -- the source's, too
  t.equal(answer(memory, 20), 20)
  t.equal(answer(memory, 19), -1)
end)

test("nothing before the topic was read to its end", function(t)
  for _, last_only in ipairs { true, false } do
    local memory = store.new(last_only)
    t.equal(answer(memory, 0), nil)
    take(memory, 100, 200)
    t.equal(answer(memory, 100), nil)
    memory:start()
    t.equal(answer(memory, 0), -1)
    t.equal(answer(memory, 100), 200)
    t.equal(answer(memory, 200), 201)
  end
end)

test("nothing without a sync", function(t)
  t.equal(answer(started(), 0), nil)
end)

--- A sync at `sync`, the one before it at `previous`: as Kafka's test asks it.
local function must_be_sparse(t, memory, sync, previous)
  t.equal(answer(memory, sync - 1), previous == -1 and -1 or previous + 1)
  t.equal(answer(memory, sync), sync)
  t.equal(answer(memory, sync + 1), sync + 1)
  t.equal(answer(memory, sync + 2), sync + 1)
end

local function past(t, last_only)
  local memory = store.new(last_only)
  for offset = 0, 1000, 10 do
    take(memory, offset, offset)
    must_keep_distances(t, memory)
  end
  memory:start()
  return memory
end

local SPARSE = { { 4840, 1000 }, { 6760, 4840 }, { 8680, 6760 },
  { 9160, 8680 }, { 9640, 9160 }, { 9880, 9640 }, { 9940, 9880 },
  { 9970, 9940 }, { 9990, 9970 }, { 10000, 9990 } }

test("10,000 records, a sync every 10: the figures of Kafka's test", function(t)
  local memory = past(t, true)
  must_be_sparse(t, memory, 1000, -1)
  for offset = 1010, 10000, 10 do
    take(memory, offset, offset)
    must_keep_distances(t, memory)
  end
  must_be_sparse(t, memory, 1000, -1)
  for _, pair in ipairs(SPARSE) do
    must_be_sparse(t, memory, pair[1], pair[2])
  end
  t.equal(answer(memory, 4839), 1001) -- 3,838 records are read again
  take(memory, 1500, 11000)
  must_keep_distances(t, memory)
  t.equal(answer(memory, 1499), -1)
  t.equal(answer(memory, 1500), 11000)
  t.equal(answer(memory, 2000), 11001)
end)

test("the exact map is exact at every one of these inputs", function(t)
  local exact <close> = offsets.new { source = 0, target = 0 }
  t.ok(exact:append(0, 0, 10001))
  exact:reach(10001, 10001)
  local memory = past(t, true)
  for offset = 1010, 10000, 10 do take(memory, offset, offset) end
  local again = 0
  for offset = 0, 10000 do
    t.equal(exact:lookup(offset), offset)
    local theirs = answer(memory, offset)
    t.ok(theirs <= offset, "MirrorMaker's model is ahead")
    if theirs ~= offset then again = again + 1 end
  end
  t.ok(again > 9900, again .. " of 10,001 positions are inexact")
end)

local function distinct(memory)
  local count = 1
  for at = 1, 63 do
    if memory:slot(TOPIC, PARTITION, at - 1)
      ~= memory:slot(TOPIC, PARTITION, at) then count = count + 1 end
  end
  return count
end

test("no sync is given up without need, whatever their distance", function(t)
  local step, records = 1, 20000
  while step < records do
    local memory, last = started(), 1
    for offset = 0, records, step do
      take(memory, offset, offset)
      t.equal(memory:slot(TOPIC, PARTITION, 0).upstream, offset)
      t.equal(memory:slot(TOPIC, PARTITION, 63).upstream, 0)
      local count = distinct(memory)
      t.ok(count - last >= -1, ("%d syncs fewer at %d, step %d")
        :format(last - count, offset, step))
      last = count
    end
    step = (step << 1) + 1
  end
end)

test("irregular and enormous distances keep both bounds", function(t)
  local seed = 12345
  local function random(most)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return seed % most
  end
  for _, most in ipairs { 3, 100, 10000, 1 << 40, 1 << 58 } do
    local memory, offset = started(), 0
    for _ = 1, 60 do
      offset = offset + 1 + random(most) * (most >> 31 | 1)
      if offset < 0 then break end
      take(memory, offset, offset)
      must_keep_distances(t, memory)
      t.equal(answer(memory, offset), offset)
    end
  end
end)
