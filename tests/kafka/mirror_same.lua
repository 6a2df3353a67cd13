--- Same offsets on a fresh target: plain history, a trimmed head, codecs, an
-- empty topic, holes that the cleaner left.

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")

test("a fresh target gets the same offsets", function(t)
  local world <close> = world_of.new(t)
  local old = world.old
  world:create(old, {
    { name = "apps.a", partitions = 3 }, { name = "apps.empty" },
  })
  for index, codec in ipairs { "none", "gzip", "snappy", "lz4", "zstd" } do
    for partition = 0, 2 do
      world:append(old, world.records("apps.a", partition, index * 1000, 1000),
        { codec = codec })
    end
  end
  local done = t.ok(old:client("write"):delete_records {
    { topic = "apps.a", partition = 1, before = 1234 },
  })
  t.ok(not done[1].err, done[1].err)
  local road = world:bridge { topics = { "apps.*" } }
  world:reach(road:open())
  world:settle(road)
  for partition = 0, 2 do world:must_be_same("apps.a", partition, true) end
  world:must_be_same("apps.empty", 0, true)
  for id, kind in pairs(world:kinds(road)) do t.equal(kind, "same", id) end
  local topics = t.ok(road:same_topics())
  t.ok(topics.ok, topics.text)
  local records = t.ok(road:same_records())
  t.ok(records.ok, records.text)
  t.note(records.text)
  t.match(road:status().text, "copies on")
  world:reach(road:closed())
  t.match(road:status().text, "is closed")
end)
