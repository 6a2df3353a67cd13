-- The copier and compacted logs on two real clusters: holes are told in order
-- and filled with markers where offsets stay the same, and jumped over by the
-- map where they do not.
local test = ...
local copying = dofile "tests/world/copying.lua"
local task = require "vm.task"
local check = copying.check

local world

test("two clusters start", function() world = copying.world() end)

-- A compacted partition in which the cleaner has been: keys recur, so early
-- batches thin out, some to nothing.
local function compacted(pair, codec)
  local topic = copying.name("compacted-" .. codec)
  local configs = { ["cleanup.policy"] = "compact",
    ["segment.ms"] = "300", ["min.cleanable.dirty.ratio"] = "0.01",
    ["delete.retention.ms"] = "0", ["min.compaction.lag.ms"] = "0" }
  pair.a:topic(topic, 1, configs)
  pair.b:topic(topic)
  local at = 0
  for round = 1, 6 do
    for _ = 1, 4 do
      local list = copying.records(at, 60)
      for i, r in ipairs(list) do
        -- some keys of each round stay, others come again and again
        r.key = (i * 7 + round) % 5 == 0 and ("once %d"):format(at + i)
          or ("key %d"):format(i)
        r.value = ("value %d"):format(at + i)
      end
      pair.a:produce(topic, 0, list, { ["compression.codec"] = codec })
      at = at + 60
    end
    task.sleep(400)
  end
  -- A record rolls the last segment; then the cleaner comes, and is done when
  -- nothing more goes.
  pair.a:produce(topic, 0, { { key = "roll", value = "roll" } })
  local before, same_for = at, 0
  for _ = 1, 150 do
    local count = #pair.a:read(topic, 0, 0, at)
    same_for = count == before and count < at // 2 and same_for + 1 or 0
    if same_for == 8 then return topic, at + 1 end
    before = count
    task.sleep(300)
  end
  error("the cleaner does not come", 0)
end

local codecs = { "none", "gzip", "snappy", "lz4", "zstd" }
local made = {}

test("the cleaner has been there", function()
  local pair <close> = world.open()
  local makers = {}
  for i, codec in ipairs(codecs) do
    makers[i] = function()
      local topic, log_end = compacted(pair, codec)
      made[codec] = { topic, log_end }
    end
  end
  check(task.together(makers))
end)

for _, codec in ipairs(codecs) do
  test("a compacted log, same and mapped, " .. codec, function(t)
    local pair <close> = world.open()
    local topic, log_end = table.unpack(made[codec])
    local copier <close> = check(copying.open {})
    local flow = copying.flow(pair, topic, 0,
      { same = true, until_offset = log_end })
    local of = copying.run_filling(pair, copier, flow)
    t.equal(of.stop.reason, "reached")
    t.ok(#of.holes > 3, #of.holes)
    t.equal({ of.source_offset, of.target_offset }, { log_end, log_end })
    t.equal(pair.b:offset(topic, 0, "end"), log_end)
    local source = pair.a:read(topic, 0, 0, log_end)
    t.equal(copying.difference(source, pair.b:read(topic, 0)), nil)
    t.equal(of.sequence, #source)
    t.note(("%d records, %d holes"):format(#source, #of.holes))

    -- Again from the start, as after a crash: all is walked over.
    flow.log_end = log_end
    of = copying.run_filling(pair, copier, flow)
    t.equal({ of.stop.reason, of.records, of.sequence, #of.holes },
      { "reached", 0, #source, 0 })

    local other = copying.name("dense")
    pair.b:topic(other)
    flow = copying.flow(pair, topic, 0, { until_offset = log_end })
    flow.target.topic = other
    of = copying.run_one(copier, flow)
    t.equal({ of.stop.reason, of.target_offset, of.records },
      { "reached", #source, #source })
    local map <close> = check(require("vm.offsets").load(of.segments))
    t.equal(copying.difference(source, pair.b:read(other, 0),
      function(offset) return (map:lookup(offset)) end), nil)
  end)
end

test("the clusters go", function() world.down() end)
