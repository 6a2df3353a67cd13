--- A world that is not as it should be, seen from outside: the command on real
-- brokers. Whatever is wrong, the exit code says of what sort it is, the words
-- say what, where and what to type next, and the journal knows every effect.

local test = ...

local sys = require "vm.sys"
local task = require "vm.task"
local bad = dofile "tests/kafka/lib/bad.lua"
local stages = dofile "tests/world/stage.lua"

local ROAD = [[
local road = bridge "%s" { from = old, to = new, topics = { "%s" }%s }
step "1. Open the bridge" { ensure = road:open {} }
]]
local OPEN = { "kafka.create_topics", "bridge.open", "process.start" }

local function topics(stage, cluster)
  local there = {}
  for _, one in ipairs(stage.t.ok(stage:client(cluster):topics())) do there[one.name] = true end
  return there
end

local function append(stage, cluster, topic, count)
  local producer <close> = stage.t.ok(stage:client(cluster):producer {})
  local records = {}
  for i = 1, count do records[i] = { topic = topic, partition = 0, value = "v" .. i } end
  stage.t.ok(producer:produce(records))
  stage.t.ok(producer:flush())
end

local cases = {}
local function case(name, fn) cases[#cases + 1] = { name = name, fn = fn } end

-- Before a run begins. -------------------------------------------------------

-- It waits for its time to run out, so it runs beside the other cases.
local function unreachable(t, stage)
  local one = bad.new(t, { dir = stage.dir, state = stage.dir .. "/state-apart", new = stage.new },
    "unreachable", 'step "1" { ensure = new:topic { "never.a" } }',
    { old = 'bootstrap = "127.0.0.1:1"', new = 'bootstrap = "127.0.0.1:2"' })
  one:refused(one:run(), "cluster old %(127.0.0.1:1%) does not answer yet %(.-refused",
    "cluster old %(127.0.0.1:1%): kafka: .-Connection refused.-; "
    .. "cluster new %(127.0.0.1:2%): kafka: .-Connection refused", "tranship plan")
end

case("other-cluster", function(new, stage)
  local one = new('step "1" { ensure = new:topic { "never.a" } }',
    { old = ('bootstrap = "%s", id = "AAAAAAAAAAAAAAAAAAAAAA"'):format(stage.old) })
  one:refused(one:run(), "old", "AAAAAAAAAAAAAAAAAAAAAA", "b2xkb2xkb2xkb2xkb2xkbw")
  stage.t.equal(topics(stage, "new")["never.a"], nil)
end)

-- The bridge. ----------------------------------------------------------------

case("live-group", function(new, stage)
  stage:create("old", { { name = stage.reversed, partitions = 1 } })
  append(stage, "old", stage.reversed, 10)
  stage.t.ok(stage:client "old":alter_group_offsets("greeter",
    { { topic = stage.reversed, partition = 0, offset = 10 } }))
  local reader = stage:start("consumer", "old")
  stage:wait_for("live member", function()
    local told = stage:client("old"):describe_groups { "greeter" }
    return told and told[1] and told[1].state == "Stable"
  end)
  local one = new(ROAD:format("live", "apps.samples.*", "") ..
    'step "2. Carry" { ensure = road:carried { "greeter", to = new } }')
  one:stopped(one:run(), 1, "group greeter is live on old: %S+ at /?127", "at step 2",
    "bridge live copies on")
  one:sound(table.unpack(OPEN))
  stage.t.equal(stage.t.ok(stage:client("new"):group_offsets("greeter", { stable = true })), {})
  reader.stop()
  one:says(one:call("resume", one.id), 0)
end)

case("partition-counts", function(new, stage)
  stage:create("old", { { name = "parts.a", partitions = 1 } })
  stage:create("new", { { name = "parts.a", partitions = 3 } })
  local one = new('step "1. Shape" { ensure = new:shaped_like { old, topics = { "parts.*" } } }')
  one:refused(one:run(), "step 1 %(1. Shape%): topic parts.a has 3 partitions and should have 1",
    "partitions cannot be taken away")
end)

-- With offsets = "same" a target that holds records is refused; else the copy
-- goes behind them, and the bridge says which partition lost its offsets.
case("not-empty", function(new, stage)
  for _, cluster in ipairs { "old", "new" } do
    stage:create(cluster, { { name = "full.a", partitions = 1 } })
    append(stage, cluster, "full.a", 5)
  end
  local one = new(ROAD:format("full", "full.*", ', offsets = "same"'))
  one:stopped(one:run(), 1, "full.a/0 cannot keep its offsets",
    "the target holds records at offsets 0 to 4")
  one:sound(table.unpack(OPEN))
  one:give_up()
end)

case("not-empty-mapped", function(new, stage)
  for _, cluster in ipairs { "old", "new" } do
    stage:create(cluster, { { name = "behind.a", partitions = 1 } })
    append(stage, cluster, "behind.a", 5)
  end
  local one = new(ROAD:format("behind", "behind.*", "") .. [[
step "2. See how" { timeout = "20s", verify = function()
  local row = road:progress()[1]
  return { ok = row.offsets == "mapped", text = row.offsets .. ", " .. tostring(row.why) }
end }]])
  one:says(one:run(), 0, "mapped, the target holds records at offsets 0 to 4")
  one:sound(table.unpack(OPEN))
end)

case("owned", function(new, stage)
  stage:create("old", { { name = "owned.a", partitions = 1 } })
  local first = new(ROAD:format("first", "owned.*", ""))
  first:says(first:run(), 0)
  local one = new(ROAD:format("second", "owned.*", ""))
  one:refused(one:run(), "topic owned.a on new belongs to bridge first, which is open")
  stage.t.equal(topics(stage, "new")["__tranship.second"], nil)
end)

-- The journal and the disk. --------------------------------------------------

local TWO = [[
step "1. One" { ensure = new:topic { "%s.a" } }
step "2. Two" { ensure = new:topic { "%s.b" } }
]]

-- A run that stopped after its first step.
local function half(new, name)
  local one = new(TWO:format(name, name))
  one:says(one:run("--until", "1"), 0)
  one.journal = ("%s/runs/%s/journal.jsonl"):format(one.state, one.id)
  return one, one.t.ok(sys.read_file(one.journal))
end

case("torn", function(new)
  local one, text = half(new, "torn")
  one.t.ok(sys.write_file(one.journal, text .. '{"kind":"effect.in'))
  one:says(one:call("journal", "verify", one.id), 0, "the last line is torn")
  one:says(one:call("resume", one.id), 0, "torn and is cut off", "next:  tranship report")
  one:sound("kafka.create_topics", "kafka.create_topics")
end)

case("tampered", function(new, stage)
  local one, text = half(new, "tampered")
  local changed = text:gsub("tampered%.a", "tampered.x", 1)
  one.t.ok(sys.write_file(one.journal, changed))
  one:says(one:call("resume", one.id), 4, "journal.jsonl", "the chain breaks before record",
    "next:  tranship journal verify " .. one.id)
  one:says(one:call("journal", "verify", one.id), 4, "chain breaks")
  one.t.equal(sys.read_file(one.journal), changed, "left as it is")
  stage.t.equal(topics(stage, "new")["tampered.b"], nil)
  one.t.ok(sys.write_file(one.journal, text))
  one:says(one:call("resume", one.id), 0)
end)

case("unknown-format", function(new, stage)
  local one, text = half(new, "format")
  one.t.ok(sys.write_file(one.journal, (text:gsub('"format":1', '"format":99', 1))))
  one:says(one:call("resume", one.id), 4, "journal format 99, written by tranship %S+",
    "this build reads format 1", "next:  tranship ")
  stage.t.equal(topics(stage, "new")["format.b"], nil)
  one.t.ok(sys.write_file(one.journal, text))
  one:says(one:call("resume", one.id), 0)
end)

-- A limit on the size of files stands for the disk: the journal ends somewhere,
-- and no topic is made that it does not know of.
case("full-disk", function(new, stage)
  local steps = {}
  for i = 1, 12 do
    steps[i] = ('step "%d" { ensure = new:topic { "disk.%d" } }\n'):format(i, i)
  end
  local one = new(table.concat(steps))
  local ended = one:making(sys.run, { args = { "/bin/sh", "-c",
    "ulimit -f 16; trap '' XFSZ; exec \"$0\" run \"$1\" --yes", sys.executable(), one.book },
    stdin = "null", env = { TRANSHIP_STATE = one.state } })
  ended.said = ended.stdout .. ended.stderr
  one:stopped(ended, 1, "journal.jsonl cannot be written", "nothing is sent that is not")
  one:says(one:call("journal", "verify", one.id), 0, "chain unbroken")
  local meant, made = {}, 0
  for _, record in ipairs(one:records()) do
    if record.kind == "effect.intent" then meant[record.target] = true end
  end
  for name in pairs(topics(stage, "new")) do
    if name:find "^disk" then
      made = made + 1
      stage.t.ok(meant["cluster/new/topic/" .. name], name .. " is not in the journal")
    end
  end
  stage.t.ok(made > 0 and made < 12, made .. " topics were made")
  one:says(one:call("resume", one.id), 0)
  one:says(one:call("journal", "verify", one.id), 0, "chain unbroken")
end)

-- People. ---------------------------------------------------------------------

local ASKS = 'step "1. Make it" { ensure = new:topic { "%s.a" }, '
  .. 'approve = { "Now?", within = "%s" } }'

case("denied", function(new, stage)
  local one = new(ASKS:format("denied", "1m"))
  one:says(one:run("--no-wait"), 6, "next:  tranship approve %x+ 1")
  one:says(one:call("deny", one.id, "1"), 0)
  one:stopped(one:call("resume", one.id), 1, "at step 1 %(1%. Make it%)", "denied")
  one:sound()
  stage.t.equal(topics(stage, "new")["denied.a"], nil)
  one:give_up()
end)

case("expired", function(new, stage)
  local one = new(ASKS:format("expired", "300ms"))
  one:stopped(one:run(), 6, "at step 1 %(1%. Make it%)", "expired")
  one:says(one:call("approve", one.id, "1"), 4)
  one:sound()
  stage.t.equal(topics(stage, "new")["expired.a"], nil)
  one:give_up()
end)

-- Applications. ----------------------------------------------------------------

local APP = [[
local app = workload "%s" { process = { "/bin/sh", "-c", %q } }
step "1. Move it" { apply = function(g, run)
  run:gap("it is down", function()
    app:stop { on = old, within = "500ms" }
    app:start { on = new }
  end)
end, check = function() return app:runs_on(new) end, irreversible = "a test" }
]]

case("will-not-start", function(new)
  local one = new(APP:format("boom", "echo no such topic: boom >&2; exit 3"))
  one:stopped(one:run(), 7, "boom does not start on new: it ended at once with code 3",
    "no such topic: boom", "OWED   it is down")
  one:says(one:call("journal", "verify", one.id), 0, "chain unbroken")
  one:give_up()
end)

case("will-not-stop", function(new)
  local one = new(APP:format("deaf", "trap '' TERM; echo I stay; while :; do sleep 0.2; done"))
  one:says(one:call("app", "start", one.book, "deaf", "--on", "old"), 0)
  one:stopped(one:run(), 7, "deaf did not stop on old within 500ms",
    "it was killed, and what it had in flight is unknown", "I stay", "OWED   it is down")
  one:says(one:call("journal", "verify", one.id), 0, "chain unbroken")
  one:says(one:call("resume", one.id), 0)
  one:says(one:call("app", "stop", one.book, "deaf", "--on", "new",
    "--within", "500ms"), 1, "it was killed")
end)

test("whatever is wrong, it is said, and nothing is done that is not journalled", function(t)
  local stage <close> = stages.open(t)
  local beside = task.spawn(unreachable, t, stage)
  for _, one in ipairs(cases) do
    local began = task.now()
    one.fn(function(steps, fields) return bad.new(t, stage, one.name, steps, fields) end, stage)
    t.note(("%s: %d ms"):format(one.name, task.now() - began))
  end
  local ended, why = beside:join()
  if not ended then error(why, 0) end
end)
