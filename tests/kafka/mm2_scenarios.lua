--- What Kafka's integration tests ask of MirrorMaker 2, asked of a bridge: on a
-- source whose every batch is a transaction, so that commit markers lie between
-- the records, and harder where MirrorMaker is only near: positions are exact.

local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local mm2_of = loadfile(here .. "/lib/mm2_world.lua")(here .. "/lib")

local TOPIC, PARTITIONS, RECORDS = "test-topic-1", 3, 40
local FLOW = { source = "primary", target = "backup", policy = "identity",
  offset_syncs = "target" }

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

function case.every_record_arrives_once_with_its_topic(c)
  for partition = 0, PARTITIONS - 1 do
    c.t.equal(c.world:must_be_same(TOPIC, partition), RECORDS)
  end
  local answer = c.t.ok(c.road:same_topics())
  c.t.ok(answer.ok, answer.text)
end

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

function case.a_position_on_an_empty_partition_is_zero(c)
  commit(c, "on-empty", "empty-topic", 0)
  c.t.equal(checkpoint(c, "on-empty", "empty-topic", 0), 0)
end

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
  "a_group_fails_over_and_back_and_reads_each_record_once" }

test("MirrorMaker 2's scenarios, with exact positions", function(t)
  local world <close> = world_of.new(t)
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
