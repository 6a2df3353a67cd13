--- Unchanged clients of MirrorMaker 2 read what a bridge writes for them, and
-- get exact positions; and MirrorMaker's own store of syncs answers as the
-- model of it does.

local sys = require "vm.sys"
local store = require "mirror.mm2.store"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local mm2_of = loadfile(here .. "/lib/mm2_world.lua")(here .. "/lib")
local JAVA = here .. "/../world/java/run"

local PLAIN = { 0, 1, 500, 1999, 2000 }
local TX = { 0, 100, 101, 130, 202 }

local function fill(world)
  world:append(world.old, world.records("apps.plain", 0, 0, 2000))
  world:append(world.old, world.records("apps.tx", 0, 0, 100),
    { transaction = "commit" })
  world:append(world.old, world.records("apps.tx", 0, 100, 50),
    { transaction = "abort" })
  world:append(world.old, world.records("apps.tx", 0, 150, 50),
    { transaction = "commit" })
end

local function commit(world, group, topic, offset)
  world:commit(world.old, group, { { topic = topic, partition = 0,
    offset = offset, metadata = "of-" .. group } })
end

--- The client's own words, by line.
local function client_says(t, world, policy, ...)
  local done = t.ok(sys.run { JAVA, "RemoteOffsets.java", "RemoteOffsets",
    world.new.bootstrap, "east", policy, ... })
  t.equal(done.code, 0, done.stderr)
  local said = {}
  for line in done.stdout:gmatch "[^\n]+" do said[line] = true end
  return said, done.stdout
end

--- Waits until the bridge has told as many checkpoints.
local function await_checkpoints(mm2, count)
  mm2:await(count .. " checkpoints", function(flow)
    local seen = 0
    for _, group in pairs(flow.checkpoints) do
      for _ in pairs(group) do seen = seen + 1 end
    end
    return seen == count
  end)
end

test("RemoteClusterUtils gets exact positions from a bridge", function(t)
  local world <close> = world_of.new(t)
  world:create(world.old, { { name = "apps.plain" }, { name = "apps.tx" },
    { name = "apps.empty" } })
  fill(world)
  local groups = {}
  for topic, list in pairs { ["apps.plain"] = PLAIN, ["apps.tx"] = TX } do
    for index, offset in ipairs(list) do
      local group = topic:sub(6) .. index
      groups[#groups + 1] = group
      commit(world, group, topic, offset)
    end
  end
  commit(world, "empty", "apps.empty", 0)
  local flow = { source = "east", target = "west" }
  local mm2 <close> = mm2_of.watch(t, world, flow)
  local road = world:bridge { topics = { "apps.*" }, offsets = "mapped",
    mirrormaker2 = { source = "east", target = "west", checkpoints = true } }
  world:reach(road:open())
  world:settle(road)
  await_checkpoints(mm2, #groups + 1)

  local said, text = client_says(t, world, "DefaultReplicationPolicy", "empty",
    table.unpack(groups))
  t.ok(said["upstream [east]"], text)
  t.ok(said["hops 1"], text)
  t.ok(said["checkpoints [east.checkpoints.internal]"], text)
  t.ok(said["remote [east.apps.empty, east.apps.plain, east.apps.tx, "
    .. "east.heartbeats]"], text)
  for topic, list in pairs { ["apps.plain"] = PLAIN, ["apps.tx"] = TX } do
    for index, place in ipairs(mm2:places(topic, 0, list)) do
      local group = topic:sub(6) .. index
      local line = ("offset %s east.%s/0 %d of-%s"):format(group, topic, place,
        group)
      t.ok(said[line], line .. " is not in:\n" .. text)
    end
  end
  -- MirrorMaker gives none for a partition without records.
  t.ok(said["offset empty east.apps.empty/0 0 of-empty"], text)

  -- Groups that go on, and back, are told; the engine may be another one.
  world:kill_engine(road)
  world:append(world.old, world.records("apps.plain", 0, 2000, 300))
  commit(world, "plain5", "apps.plain", 2300)
  commit(world, "plain4", "apps.plain", 7)
  world:start_engine(road)
  mm2:await("newer checkpoints", function(now)
    local on = now.checkpoints.plain5["east.apps.plain/0"]
    local back = now.checkpoints.plain4["east.apps.plain/0"]
    return on.downstream == 2300 and back.downstream == 7
  end)
  mm2:await("the newest sync", function(now)
    local list = now.syncs["apps.plain/0"]
    local sync = list[#list]
    return sync.upstream == 2299 and sync.downstream == 2299
  end)
  world:reach(road:closed())
end)

--- A course of syncs and questions as text, and the model's answers.
local function course(seed)
  local function random(most)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return seed % most
  end
  local lines, answers = {}, {}
  for _, step in ipairs { 1, 2, 10, 100, 5000, 1 << 40 } do
    local last_only = random(2)
    local memory, upstream, known = store.new(last_only == 1), random(50), {}
    lines[#lines + 1] = "new " .. last_only
    for number = 1, 150 do
      if number == 40 then
        memory:start()
        lines[#lines + 1] = "start"
      end
      upstream = random(60) == 0 and upstream // 2
        or upstream + 1 + random(math.min(step, 1 << 30)) * (step >> 30 | 1)
      memory:take { topic = "topic1", partition = 2, upstream = upstream,
        downstream = upstream + number }
      lines[#lines + 1] = ("sync %d %d"):format(upstream, upstream + number)
      known[number] = upstream
      for _ = 1, 4 do
        local asked = math.max(0, known[1 + random(number)] + random(5) - 2)
        lines[#lines + 1] = "ask " .. asked
        answers[#answers + 1] = tostring(memory:translate("topic1", 2, asked)
          or "none")
      end
    end
  end
  return table.concat(lines, "\n") .. "\n", answers
end

test("the model answers as MirrorMaker's own store does", function(t)
  local text, mine = "", {}
  for seed = 1, 5 do
    local lines, answers = course(seed)
    text = text .. lines
    table.move(answers, 1, #answers, #mine + 1, mine)
  end
  local done = t.ok(sys.run { JAVA, "StoreAnswers.java",
    "org.apache.kafka.connect.mirror.StoreAnswers", input = text })
  t.equal(done.code, 0, done.stderr)
  local index, kinds = 0, {}
  for answer in done.stdout:gmatch "[^\n]+" do
    index = index + 1
    t.equal(mine[index], answer, "answer " .. index)
    kinds[answer == "none" and "none" or answer == "-1" and "-1" or "place"] = true
  end
  t.equal(index, #mine)
  t.ok(index > 15000 and kinds.none and kinds["-1"] and kinds.place)
end)
