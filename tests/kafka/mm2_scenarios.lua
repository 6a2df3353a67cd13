--- What Kafka's integration tests ask of MirrorMaker 2, asked of a bridge: on a
-- source whose every batch is a transaction, so that commit markers lie between
-- the records, and harder where MirrorMaker is only near: positions are exact.
-- Each case names the tests of MirrorConnectorsIntegrationBaseTest that it stands
-- for. Not asked: those of a forwarding admin of one's own, which is a Java class.

local founding = require "mirror.bridge.founding"
local sys = require "vm.sys"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local mm2_of = loadfile(here .. "/lib/mm2_world.lua")(here .. "/lib")

local TOPIC, PARTITIONS, RECORDS = "test-topic-1", 3, 40
local FLOW = { source = "primary", target = "backup", policy = "identity",
  offset_syncs = "target" }

--- A default that the source's brokers have in their file, and the target's not.
local DEFAULT = { broker = "log.segment.delete.delay.ms",
  topic = "file.delete.delay.ms", value = "61000" }

local case = {}

local function append(world, at, topic, partition, first, count)
  for start = first, first + count - 1, 10 do
    world:append(at, world.records(topic, partition, start, 10),
      { transaction = "commit" })
  end
end

local function commit(c, group, topic, offset)
  c.world:commit(c.world.old, group, { { topic = topic, partition = 0,
    offset = offset } })
end

--- Waits for a group's checkpoint at this source position, and gives it.
local function checkpoint(c, group, topic, upstream)
  local found
  c.mm2:await(("checkpoint of %s at %d"):format(group, upstream), function(flow)
    found = (flow.checkpoints[group] or {})[topic .. "/0"]
    return found and found.upstream == upstream
  end)
  return found.downstream
end

--- The group's checkpoint is the exact place, by the records of both sides.
local function must_be_exact(c, group, topic, upstream)
  commit(c, group, topic, upstream)
  local downstream = checkpoint(c, group, topic, upstream)
  c.t.equal(downstream, c.mm2:places(topic, 0, { upstream })[1],
    ("%s at %d"):format(group, upstream))
  c.t.ok(downstream <= c.world:ends(c.world.new, topic, 0).stop)
  return downstream
end

--- testReplication.
function case.every_record_arrives_once_with_its_topic(c)
  for partition = 0, PARTITIONS - 1 do
    c.t.equal(c.world:must_be_same(TOPIC, partition), RECORDS)
  end
  local answer = c.t.ok(c.road:same_topics())
  c.t.ok(answer.ok, answer.text)
end

--- testOffsetSyncsTopicsOnTarget.
function case.syncs_lie_on_the_target_and_the_source_is_left_alone(c)
  local function internals(at)
    local list = {}
    for _, one in ipairs(c.t.ok(at:client("read"):topics())) do
      if c.mm2.names.is_internal(one.name) and one.name:sub(1, 2) ~= "__" then
        list[#list + 1] = one.name
      end
    end
    table.sort(list)
    return list
  end
  c.mm2:await("syncs", function(flow) return flow.syncs[TOPIC .. "/0"] end)
  c.t.equal(internals(c.world.new), { "mm2-offset-syncs.primary.internal",
    "primary.checkpoints.internal" })
  c.t.equal(internals(c.world.old), {})
end

--- testReplicationWithEmptyPartition.
function case.a_position_on_an_empty_partition_is_zero(c)
  commit(c, "on-empty", "empty-topic", 0)
  c.t.equal(checkpoint(c, "on-empty", "empty-topic", 0), 0)
end

--- testOffsetTranslationBehindReplicationFlow.
function case.a_consumer_behind_the_flow_is_exact_forth_and_back(c)
  local stop = c.world:ends(c.world.old, TOPIC, 0).stop
  local last = -1
  for _, tenths in ipairs { 1, 5, 9, 10 } do
    local place = must_be_exact(c, "behind", TOPIC, stop * tenths // 10)
    c.t.ok(place > last, "it advances")
    last = place
  end
  c.t.ok(must_be_exact(c, "behind", TOPIC, stop // 10) < last, "it rewinds")
end

--- testOneWayReplicationWithAutoOffsetSync.
function case.a_new_topic_and_a_new_group_are_picked_up(c)
  c.world:create(c.world.old, { { name = "test-topic-2" } })
  append(c.world, c.world.old, "test-topic-2", 0, 0, 20)
  for _ = 1, 600 do
    local shapes = c.t.ok(c.world.new:client("read"):describe_topics {
      "test-topic-2" })
    if shapes["test-topic-2"] then break end
    task.sleep(100)
  end
  must_be_exact(c, "newcomer", "test-topic-2", 15)
  c.world:settle(c.road)
  c.t.equal(c.world:must_be_same("test-topic-2", 0), 20)
end

--- testNoCheckpointsIfNoRecordsAreMirrored, and that without offset syncs there
-- is no topic of them.
function case.a_bridge_that_serves_nobody_tells_nothing(c)
  c.world:create(c.world.old, { { name = "late-topic" } })
  append(c.world, c.world.old, "late-topic", 0, 0, 10)
  local quiet = c.world:bridge { name = "quiet", topics = { "late-topic" } }
  c.world:reach(quiet:open())
  c.world:settle(quiet)
  commit(c, "late", "late-topic", 5)
  must_be_exact(c, "later", TOPIC, 3) -- a round of the other bridge went by
  local flow = c.mm2:flow()
  c.t.equal(flow.checkpoints.late, nil)
  c.t.equal(flow.syncs["late-topic/0"], nil)
  c.world:reach(quiet:closed())
end

--- testRestartReplication.
function case.after_a_restart_it_catches_up_and_goes_only_on(c)
  local before = must_be_exact(c, "steady", TOPIC, 20)
  c.world:kill_engine(c.road)
  append(c.world, c.world.old, TOPIC, 0, RECORDS, 20)
  local stop = c.world:ends(c.world.old, TOPIC, 0).stop
  commit(c, "steady", TOPIC, stop)
  c.world:start_engine(c.road)
  local after = checkpoint(c, "steady", TOPIC, stop)
  c.t.equal(after, c.world:ends(c.world.new, TOPIC, 0).stop)
  c.t.ok(after > before)
  c.t.equal(c.world:must_be_same(TOPIC, 0), RECORDS + 20)
end

--- Begins a transaction on a topic of the old side, and gives what ends it.
local function leave_open(c, topic)
  local producer = c.t.ok(c.world.old:client("write"):producer {
    transactional_id = sys.hex(sys.random(6)) })
  c.t.ok(producer:init())
  c.t.ok(producer:begin())
  local function add(first)
    for _, one in ipairs(c.t.ok(producer:produce(c.world.records(topic, 0, first,
      5)))) do
      c.t.ok(not one.err, one.err)
    end
  end
  add(0)
  return function()
    add(5)
    c.t.ok(producer:commit())
    producer:close()
  end
end

--- The new side holds what the old one holds from an offset on, and nothing else.
local function must_hold_from(c, topic, from, same)
  local mine, there = {}, (c.world:read(c.world.new, topic, 0))
  for _, one in ipairs((c.world:read(c.world.old, topic, 0))) do
    if one.offset >= from then mine[#mine + 1] = one end
  end
  c.t.equal(#there, #mine, topic)
  for index, one in ipairs(mine) do
    local other = there[index]
    c.t.equal({ key = other.key, value = other.value,
      offset = same and other.offset }, { key = one.key, value = one.value,
      offset = same and one.offset }, topic)
  end
  return #mine
end

--- Positions from before the opening have no place, and everybody says so.
local function must_be_left_out(c, road, topic, begin)
  local t, new = c.t, c.world.new
  local function translate(offset)
    return road:translate({ topic = topic, partition = 0, offset = offset },
      { to = new })
  end
  local place, why = translate(begin - 1)
  t.fails("not found", place, why)
  t.match(why, "below where copying began: offset " .. begin - 1)
  t.ok(translate(begin))
  local said = t.ok(sys.run { sys.executable(), "translate", road.name,
    "--state", c.world.state, ("%s/0/%d"):format(topic, begin - 1) })
  t.equal(said.code, 1)
  t.match(said.stdout, "below where copying began: that was at offset " .. begin)
  local range = ("%s/0: offsets 0 to %d"):format(topic, begin - 1)
  t.match(t.ok(road:status()).text, range)
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  t.match(answer.text, range)
  local group = "early-in-" .. topic
  commit(c, group, topic, begin - 1)
  local carried
  carried, why = road:carry_offsets(group, { to = new })
  t.fails("conflict", carried, why)
  t.match(why, "below where copying began")
  commit(c, group, topic, begin)
  t.equal(t.ok(road:carry_offsets(group, { to = new }))[1].exactly, 1)
end

--- testReplicateFromLatest: copied is what is written after the bridge was opened,
-- also before its engine began; and what was open then, whole.
function case.from_latest_only_what_is_written_later_is_copied(c)
  local world, t = c.world, c.t
  local old, new = world.old, world.new
  local topics, begins = { "latest.same", "latest.mapped" }, {}
  local function write(at, name, first, count)
    world:append(at, world.records(name, 0, first, count), { transaction = "commit" })
  end
  for _, name in ipairs { "latest.same", "latest.mapped", "latest.open" } do
    world:create(old, { { name = name } })
  end
  world:make_mapped("latest.mapped", 1, 2 * RECORDS) -- past where the copy begins
  for _, name in ipairs(topics) do
    write(old, name, 0, RECORDS)
    begins[name] = world:await("marker of the commit", function()
      local ends = world:ends(old, name, 0)
      return ends.stable == ends.stop and ends.stop
    end)
  end
  local finish = leave_open(c, "latest.open")
  local road = world:bridge { name = "latest", topics = { "latest.*" },
    start = "latest" }
  t.ok(founding.found(road))
  finish()
  world:create(old, { { name = "latest.born" } })
  for _, name in ipairs { "latest.same", "latest.mapped", "latest.born" } do
    write(old, name, RECORDS, 20)
  end
  world:reach(road:open())
  world:settle(road)
  t.equal(world:kinds(road), { ["latest.same/0"] = "same",
    ["latest.mapped/0"] = "mapped", ["latest.open/0"] = "same",
    ["latest.born/0"] = "same" })
  t.equal(must_hold_from(c, "latest.open", 0, true), 10)
  t.equal(must_hold_from(c, "latest.born", 0, true), 20)
  for _, name in ipairs(topics) do
    must_hold_from(c, name, begins[name], name == "latest.same")
    must_be_left_out(c, road, name, begins[name])
  end
  for _, at in ipairs { new, old } do -- there and back
    t.ok(road:drain(topics))
    t.ok(road:turn(topics, { writer = at }))
    for _, name in ipairs(topics) do write(at, name, 100, 10) end
    world:settle(road)
  end
  for _, name in ipairs(topics) do
    t.equal(must_hold_from(c, name, begins[name]), 40)
  end
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  world:reach(road:closed())
  local all = world:bridge { name = "latest", topics = { "latest.*" } }
  local done, why = founding.adopt(all, { start = "earliest" })
  t.fails("conflict", done, why)
  t.match(why, 'start is %["latest"%] there, %["earliest"%] here')
end

--- testReplicateSourceDefault: a default of the source is set on the copy where
-- it lives by another value, also one that a broker's file says; what is the
-- copy's own affair stays. (testReplicateTargetDefault: kafka/mirror_follow.)
function case.with_the_sources_defaults_a_copy_lives_by_them(c)
  local world, t = c.world, c.t
  local function own()
    local set = {}
    for name, entry in pairs(t.ok(world.new:client("read"):configs("topic",
      { "config-topic" }))["config-topic"] or {}) do
      if entry.source == "topic" then set[name] = entry.value end
    end
    return set
  end
  world:create(world.old, { { name = "config-topic" } })
  local road = world:bridge { name = "configs", topics = { "config-*" },
    configs = "followed", defaults = "source" }
  world:reach(road:open())
  -- The bridge's topic, which tells of defaults there, has a policy of its own.
  local wanted = { ["cleanup.policy"] = "delete", [DEFAULT.topic] = DEFAULT.value }
  t.equal(own(), wanted)
  local done = t.ok(world.new:client("write"):alter_configs { {
    name = "config-topic", set = { ["retention.bytes"] = "2000",
      ["min.insync.replicas"] = "1" }, delete = { DEFAULT.topic } } })
  t.ok(not done[1].err, done[1].err)
  local before = t.ok(road:same_topics())
  t.ok(not before.ok)
  t.match(before.text, "retention.bytes is %-1 here and 2000 there")
  world:await("the source's defaults are set", function()
    local set = own()
    return set["retention.bytes"] == "-1" and set[DEFAULT.topic] and set
  end)
  wanted["retention.bytes"], wanted["min.insync.replicas"] = "-1", "1"
  t.equal(own(), wanted)
  local after = t.ok(road:same_topics())
  t.ok(after.ok, after.text)
  world:reach(road:closed())
end

--- The values a group reads of partition 0 from its position on; it then
-- stands at the end.
local function consume(c, at, group)
  local from
  for _, one in ipairs(c.t.ok(at:client("read"):group_offsets(group,
    { stable = true }))) do
    if one.topic == TOPIC and one.partition == 0 then from = one.offset end
  end
  local values, next_offset = {}, from
  for _, record in ipairs((c.world:read(at, TOPIC, 0))) do
    if record.offset >= from then
      values[#values + 1] = ("%s %s"):format(record.key, record.value)
      next_offset = record.offset + 1
    end
  end
  c.world:commit(at, group, { { topic = TOPIC, partition = 0,
    offset = next_offset } })
  return values
end

--- testReplication, its way there and back.
function case.a_group_fails_over_and_back_and_reads_each_record_once(c)
  local old, new = c.world.old, c.world.new
  local topics, seen, first = { TOPIC }, {}, 1000
  commit(c, "traveller", TOPIC, 0)
  for _, at in ipairs { old, new, old } do
    if first > 1000 then
      c.t.ok(c.road:drain(topics, { within = "60s" }))
      c.t.ok(c.road:carry_offsets("traveller", { to = at }))
      c.t.ok(c.road:turn(topics, { writer = at }))
    end
    append(c.world, at, TOPIC, 0, first, 20)
    first = first + 20
    local values = consume(c, at, "traveller")
    table.move(values, 1, #values, #seen + 1, seen)
    c.world:settle(c.road)
  end
  local all = {}
  for index, record in ipairs((c.world:read(old, TOPIC, 0))) do
    all[index] = ("%s %s"):format(record.key, record.value)
  end
  c.t.equal(#seen, #all)
  c.t.equal(seen, all)
  c.world:must_be_same(TOPIC, 0)
end

local ORDER = { "every_record_arrives_once_with_its_topic",
  "syncs_lie_on_the_target_and_the_source_is_left_alone",
  "a_position_on_an_empty_partition_is_zero",
  "a_consumer_behind_the_flow_is_exact_forth_and_back",
  "a_new_topic_and_a_new_group_are_picked_up",
  "a_bridge_that_serves_nobody_tells_nothing",
  "after_a_restart_it_catches_up_and_goes_only_on",
  "from_latest_only_what_is_written_later_is_copied",
  "with_the_sources_defaults_a_copy_lives_by_them",
  "a_group_fails_over_and_back_and_reads_each_record_once" }

test("MirrorMaker 2's scenarios, with exact positions", function(t)
  local world <close> = world_of.new(t, { ("old:%s=%s"):format(DEFAULT.broker,
    DEFAULT.value) })
  world:create(world.old, { { name = TOPIC, partitions = PARTITIONS },
    { name = "empty-topic" } })
  for partition = 0, PARTITIONS - 1 do
    append(world, world.old, TOPIC, partition, 0, RECORDS)
  end
  local mm2 <close> = mm2_of.watch(t, world, FLOW)
  local flow = { checkpoints = true }
  for name, value in pairs(FLOW) do flow[name] = value end
  local road = world:bridge { topics = { "test-topic-*", "empty-topic" },
    offsets = "mapped", mirrormaker2 = flow }
  world:reach(road:open())
  world:settle(road)
  for _, name in ipairs(ORDER) do
    case[name] { t = t, world = world, mm2 = mm2, road = road }
    t.note("shown: " .. name:gsub("_", " "))
  end
end)
