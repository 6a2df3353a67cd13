--- The audit is audited: a planted loss, double, swap, flipped header, flipped
-- timestamp must be reported by same_records, and shown; a map that is off by
-- one, a live group and a position beyond the proven one must be refused by
-- carry_offsets.

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local map = require "mirror.offsets.map"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

--- What is done to the records of a copy, and what must be said of it.
local PLANTS = {
  loss = { function(list) table.remove(list, 1234) end, "offset 1233 " },
  double = { function(list) table.insert(list, 1235, list[1234]) end,
    "offset 1234 " },
  swap = { function(list)
    list[1234], list[1235] = list[1235], list[1234]
  end, "offset 1233 " },
  header = { function(list)
    list[1234].headers = { { name = "n", value = "flipped" } }
  end, "differs in headers: old has offset 1233 " },
  timestamp = { function(list)
    list[1234].timestamp = list[1234].timestamp + 1
  end, "differs in timestamp: old has offset 1233 " },
}

local function remake(t, world, name)
  for _, one in ipairs(t.ok(world.new:client("write"):delete_topics {
    name })) do
    t.ok(not one.err, one.err)
  end
  for _ = 1, 100 do
    local done = t.ok(world.new:client("write"):create_topics {
      { name = name, partitions = 1, replication = 1 },
    })
    if not done[1].err then return end
    task.sleep(100)
  end
  t.fail("could not make the topic again")
end

test("same_records reports every planted mistake", function(t)
  local world <close> = world_of.new(t)
  local old = world.old
  local kinds = {}
  for kind in pairs(PLANTS) do kinds[#kinds + 1] = kind end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do
    world:create(old, { { name = "apps." .. kind } })
    world:append(old, world.records("apps." .. kind, 0, 0, 3000),
      { codec = "lz4" })
  end
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  world:reach(road:closed())
  for _, kind in ipairs(kinds) do
    local name = "apps." .. kind
    local list = world:read(old, name, 0)
    for index, rec in ipairs(list) do
      list[index] = { topic = name, partition = 0, key = rec.key,
        value = rec.value, headers = rec.headers, timestamp = rec.timestamp }
    end
    PLANTS[kind][1](list)
    remake(t, world, name)
    world:append(world.new, list)
  end
  answer = t.ok(road:same_records())
  t.ok(not answer.ok, "nothing was noticed")
  local said = {}
  for _, one in ipairs(answer.seen.differences) do
    said[one.topic] = ("differs in %s: old has %s; new has %s"):format(
      one.part, one.from, one.to)
    t.note(one.topic .. " " .. said[one.topic])
  end
  for _, kind in ipairs(kinds) do
    t.match(said["apps." .. kind] or "not reported",
      (PLANTS[kind][2]:gsub("%p", "%%%0")))
  end
end)

local function alter_value(list, key)
  for index = #list, 1, -1 do
    if list[index].key == key then
      list[index].value = "flipped"
      return
    end
  end
end

--- While records come it compares what the copy held when it began, no more.
local function beside_live_traffic(t, world, verify)
  local function end_of(at) return world:ends(at, "apps.long", 0).stop end
  local before = end_of(world.new)
  local stop = world:load(world.old, { { "apps.long", 0 } }, 100)
  world:await("records come", function() return end_of(world.new) > before end)
  local first = end_of(world.new)
  local code, said = verify("-o", "json")
  local last = end_of(world.old)
  stop()
  t.equal(code, 0, said)
  local compared = json.decode(said).seen.records
    - 455 -- of the other topic, the final values
    + world:ends(world.old, "apps.long", 0).start
  t.ok(compared >= first and compared < last,
    ("from %d to %d records there, %d compared"):format(first, last, compared))
end

test("same_records: keys, retention, samples, from the command line", function(t)
  local world <close> = world_of.new(t)
  local old = world.old
  world:create(old, {
    { name = "apps.keys", configs = { ["cleanup.policy"] = "compact" } },
    { name = "apps.long" },
  })
  world:append(old, world.records("apps.keys", 0, 0, 3000, { keyed = true,
    keys = 500 }))
  world:append(old, world.records("apps.long", 0, 0, 30000), { codec = "lz4" })
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)
  local function verify(...)
    local done = t.ok(sys.run { stdin = "null", args = { sys.executable(),
      "verify", "data", "road", "--state", world.state, ... } })
    return done.code, done.stdout .. done.stderr
  end
  local code, said = verify()
  t.equal(code, 0, said)
  t.match(said, "30455 records in 2 partitions are the same on both sides")

  -- What retention removed on one side is named, the rest is the same.
  for _, one in ipairs(t.ok(old:client("write"):delete_records {
    { topic = "apps.long", partition = 0, before = 4321 } })) do
    t.ok(not one.err, one.err)
  end
  code, said = verify()
  t.equal(code, 0, said)
  t.match(said, "removed since, so not compared: apps.long/0: old no longer "
    .. "holds offsets 0 to 4320")

  -- A sample says that it is one, and is the same every time.
  local answers = {}
  for index = 1, 2 do
    code, said = verify("--sample", "20%", "-o", "json")
    t.equal(code, 0, said)
    answers[index] = json.decode(said)
    answers[index].seen.at = nil
  end
  t.equal(answers[2], answers[1])
  t.match(answers[1].text, "^a sample of 20%%: %d+ records in 2 partitions")
  local sample = answers[1].seen.sample
  t.equal(sample.of, 26)
  t.ok(sample.slices > 2 and sample.slices < 20, sample.slices)
  code, said = verify("--sample", "some")
  t.equal(code, 4)
  t.match(said, 'sample: "some" is no share; write it like "1%%"')

  beside_live_traffic(t, world, verify)

  -- A final value that differs, and nothing else of a compacted topic.
  world:reach(road:closed())
  local list = world:read(old, "apps.keys", 0)
  for index, rec in ipairs(list) do
    list[index] = { topic = "apps.keys", partition = 0, key = rec.key,
      value = rec.value, headers = rec.headers, timestamp = rec.timestamp }
  end
  alter_value(list, "key-77")
  table.remove(list, 1) -- an older value of its key: as a cleaner may do
  remake(t, world, "apps.keys")
  world:append(world.new, list)
  code, said = verify()
  t.equal(code, 1, said)
  t.match(said, "apps.keys/0 differs in value:\n"
    .. '  old  offset %d+ time %d+ key "key%-77" value "value [^\n]*\n'
    .. '  new  offset %d+ time %d+ key "key%-77" value "flipped"')
end)

local function alter(t, at, group, list)
  for _, one in ipairs(t.ok(at:client("write"):alter_group_offsets(group,
    list))) do
    t.ok(not one.err, one.err)
  end
end

--- Where each offset of `old`'s partition lies on `new`, by the records of both:
-- at the same record, or the next one there is, or the end.
local function places_of(world, topic)
  local places, there = {}, world:read(world.new, topic, 0)
  local function up_to(offset, place)
    for n = #places + 1, offset + 1 do places[n] = place end
  end
  for index, one in ipairs((world:read(world.old, topic, 0))) do
    up_to(one.offset, there[index].offset)
  end
  up_to(world:ends(world.old, topic, 0).stop, world:ends(world.new, topic, 0).stop)
  return places
end

local ROWS, CUT, HEAD = 100000, 40, 10
local SHAPES = {
  csv = { head = "sink,topic,partition,pos,note\n",
    row = '%d,apps.moved,0,%s,"kept, as ""it"" is"\n',
    words = { "--rows", "csv", "--offset-field", "pos" } },
  json = { head = "", row = '{"id":%d,"at":{"t":"apps.moved","p":0,"o":%s},"x":[1]}\n',
    none = "null", words = { "--rows", "json", "--topic-field", "at.t",
      "--partition-field", "at.p", "--offset-field", "at.o" } },
}

--- Positions of a sink by the hundred thousand, each told exactly or not at all.
local function translate_rows(t, world, kind, places)
  local shape, rows, wanted, without = SHAPES[kind], {}, {}, 0
  for n = 1, ROWS do
    local offset = n * 7919 % (#places + 50)
    local place = offset >= CUT and places[offset + 1]
    without = without + (place and 0 or 1)
    rows[n] = shape.row:format(n, offset)
    wanted[n] = shape.row:format(n, place or shape.none or "")
  end
  local done = t.ok(sys.run { args = { sys.executable(), "translate", "road",
    "--state", world.state, table.unpack(shape.words) },
    input = shape.head .. table.concat(rows) })
  local row = shape.head == "" and 1 or 0
  for line in done.stdout:gmatch "[^\n]*\n" do
    if line ~= (wanted[row] or shape.head) then t.equal(line, wanted[row]) end
    row = row + 1
  end
  t.equal(row, ROWS + 1, "rows")
  t.equal(done.code, 1)
  t.match(done.stderr, ("%d rows translated exactly; without a place: "):format(
    ROWS - without))
  t.match(done.stderr, "row %d+: ")
end

test("positions kept elsewhere: rows by the hundred thousand", function(t)
  local world <close> = world_of.new(t)
  local old, new = world.old, world.new
  world:create(old, { { name = "apps.moved" } })
  world:make_mapped "apps.moved"
  for n = 0, 9 do
    world:append(old, world.records("apps.moved", 0, n * 100, 100),
      { transaction = n % 3 == 2 and "abort" or "commit" })
  end
  local function cut(at, before)
    for _, one in ipairs(t.ok(at:client("write"):delete_records {
      { topic = "apps.moved", partition = 0, before = before } })) do
      t.ok(not one.err, one.err)
    end
  end
  cut(old, HEAD)
  local road = world:bridge { topics = { "apps.*" }, offsets = "mapped" }
  world:reach(road:open())
  world:settle(road)
  t.equal(world:kinds(road)["apps.moved/0"], "mapped")
  local places = places_of(world, "apps.moved")
  cut(new, places[CUT + 1])
  world:reach(road:closed())
  for kind in pairs(SHAPES) do translate_rows(t, world, kind, places) end
  local said = t.ok(sys.run { sys.executable(), "translate", "road", "--state",
    world.state, "apps.moved/0/3", "apps.moved/0/" .. CUT - 1 })
  t.equal(said.code, 1)
  t.match(said.stdout, "below the log start: copying began at offset " .. HEAD)
  t.match(said.stdout, "removed on the other side")
end)

test("carry_offsets refuses what is not proven", function(t)
  local world <close> = world_of.new(t)
  local old, new = world.old, world.new
  world:create(old, { { name = "apps.a" }, { name = "apps.mixed" },
    { name = "apps.none" } })
  world:append(old, world.records("apps.a", 0, 0, 500))
  for n = 0, 4 do
    world:append(old, world.records("apps.mixed", 0, n * 100, 100),
      { transaction = n % 2 == 0 and "commit" or "abort" })
  end
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)
  local positions = {
    { topic = "apps.a", partition = 0, offset = 250, metadata = "kept" },
    { topic = "apps.mixed", partition = 0, offset = 250 },
    { topic = "apps.none", partition = 0, offset = 0 },
  }
  alter(t, old, "g", positions)

  -- A map that is off by one.
  local honest = map.lookup
  map.lookup = function(...)
    local place, why = honest(...)
    return place and place + 1, why
  end
  local done, why = road:carry_offsets("g", { to = new })
  map.lookup = honest
  t.fails("conflict", done, why)
  t.match(why, "apps.a/0: position 250 is not proven at 251")
  t.match(why, "apps.mixed/0: position 250 is not proven")
  t.equal(#t.ok(new:client("read"):group_offsets("g", { stable = true })), 0)

  -- The honest one; twice, the second time nothing is left to do.
  t.equal(t.ok(road:carry_offsets("g", { to = new }))[1].exactly, 3)
  t.ok(road:carry_offsets("g", { to = new }))
  local carried = {}
  for _, one in ipairs(t.ok(new:client("read"):group_offsets("g",
    { stable = true }))) do
    carried[one.topic] = one
  end
  t.equal(carried["apps.a"].offset, 250)
  t.equal(carried["apps.a"].metadata, "kept")
  t.equal(carried["apps.none"].offset, 0)
  -- 300 records committed, 250 = 49 records into the third transaction
  t.equal(carried["apps.mixed"].offset, t.ok(road:translate(positions[2],
    { to = new })).offset)
  local answer = t.ok(road:carried { "g", to = new }:check({}))
  t.ok(answer.ok, answer.text)

  -- The same places from outside, as the command tells them.
  local function translate(stdin, ...)
    local list = { sys.executable(), "translate", "road", "--state",
      world.state, ... }
    return t.ok(sys.run { args = list, input = stdin })
  end
  local said = translate(nil, "--group", "g", "-o", "jsonl")
  t.equal(said.code, 0, said.stderr)
  for line in said.stdout:gmatch "[^\n]+" do
    local one = json.decode(line)
    t.equal(one.to.offset, carried[one.topic].offset, one.topic)
  end
  local there = carried["apps.mixed"].offset
  said = translate(nil, "apps.mixed/0/250", "apps.a/0/9999", "apps.x/0/1")
  t.equal(said.code, 1)
  t.match(said.stdout, ("apps.mixed/0/%d +exact"):format(there))
  t.match(said.stdout, "not mirrored yet: the copy has passed 500")
  t.match(said.stdout, "unknown topic")
  said = translate("where,topic,partition,offset\nsink-1,apps.mixed,0,"
    .. there .. "\n", "--rows", "csv", "--back")
  t.equal({ said.code, said.stdout }, { 0,
    "where,topic,partition,offset\nsink-1,apps.mixed,0,250\n" })
  said = translate(nil, "--group", "nobody")
  t.equal(said.code, 4)
  t.match(said.stderr, "group nobody has no position on old")

  -- A group that stands further on the target than can be proven.
  alter(t, new, "g", { { topic = "apps.a", partition = 0, offset = 300 } })
  done, why = road:carry_offsets("g", { to = new })
  t.fails("conflict", done, why)
  t.match(why, "stands at 300 already, beyond the proven position 250")

  -- What is not copied yet has no place.
  world:kill_engine(road)
  world:append(old, world.records("apps.a", 0, 500, 100))
  alter(t, old, "late", { { topic = "apps.a", partition = 0, offset = 550 } })
  done, why = road:carry_offsets("late", { to = new })
  t.fails("conflict", done, why)
  t.match(why, "not copied yet")
end)
