--- The audit itself: what the applications did is found whole, and each planted
-- fault of a copy is reported for what it is.

local test = ...

local kafka = require "vm.kafka"
local sys = require "vm.sys"
local task = require "vm.task"

local stages = dofile "tests/world/stage.lua"

local RECORDS = "6000"

--- Applications over two starts each; everything on `old`.
local function fill(stage)
  stage:create("old", { { name = stage.greetings }, { name = stage.reversed } })
  for _ = 1, 2 do
    local reverser = stage:start("reverser", "old", "--reset", "earliest")
    local consumer = stage:start("consumer", "old", "--reset", "earliest")
    stage:must("producer", "old", "--records", RECORDS, "--rate", "6000",
      "--keys", "50")
    stage:caught_up("old", "reverser", stage.greetings)
    reverser.stop()
    stage:caught_up("old", "greeter", stage.reversed)
    consumer.stop()
  end
end

--- Copies a topic to `new` afresh, with one fault.
local function forge(stage, topic, fault)
  local client <close> = stage.t.ok(kafka.open { bootstrap = stage.new })
  client:delete_topics { topic }
  stage:wait_for("deletion", function()
    return next(client:describe_topics { topic }) == nil
  end)
  stage:must("forge", "old", "--cluster", stage.new, "--from", topic,
    "--reset", fault)
end

-- Which number each fault must move, by one.
local FAULTS = {
  { "loss", "lost" }, { "double", "doubled" }, { "swap", "out of order" },
  { "header", "altered" }, { "timestamp", "altered" }, { "none" },
}

local COUNTS = { "lost", "doubled", "out of order", "altered", "unknown" }

local function must_report(stage, fault)
  local t = stage.t
  local code, counts, text = stage:audit "new"
  t.equal(code, fault[2] and 1 or 0, fault[1] .. "\n" .. text)
  for _, count in ipairs(COUNTS) do
    t.equal(counts[count], count == fault[2] and 1 or 0,
      fault[1] .. ": " .. count)
  end
end

test("a clean history is clean, and every planted fault is named", function(t)
  local stage <close> = stages.open(t)
  fill(stage)
  local code, counts, text = stage:audit "old"
  t.note(text)
  t.equal(code, 0)
  t.equal(counts.produced, 12000)
  t.equal(counts.seen, 12000)
  t.match(text, "down  producer")
  forge(stage, stage.reversed, "none")
  for _, fault in ipairs(FAULTS) do
    forge(stage, stage.greetings, fault[1])
    must_report(stage, fault)
  end
  forge(stage, stage.reversed, "loss")
  must_report(stage, { "loss", "lost" })
end)

--- Has the consumer written down records that its group has not committed?
local function is_ahead(stage)
  local read = {}
  local trail = sys.read_file(stage.trails .. "/consumer.trail") or ""
  for partition, offset in trail:gmatch " read %S+ (%d+) (%d+)" do
    read[partition] = math.tointeger(tonumber(offset))
  end
  for _, at in ipairs(stage.t.ok(stage:client("old"):group_offsets("greeter",
                                                                   {}))) do
    local last = read[tostring(at.partition)]
    if last and last >= at.offset and at.offset > 500 then return true end
  end
end

--- Kills the consumer between reading and committing: it is stopped first, and
-- goes on if it had just committed, or was about to.
local function kill_in_between(stage, consumer)
  stage:wait_for("records that are read and not committed", function()
    consumer.process:kill "STOP"
    if is_ahead(stage) then
      task.sleep(200)
      if is_ahead(stage) then return true end
    end
    consumer.process:kill "CONT"
  end)
  consumer.process:kill "KILL"
  consumer.process:wait()
end

test("a reader that is killed has read twice, and the audit says so",
  function(t)
    local stage <close> = stages.open(t)
    stage:create("old", { { name = stage.greetings },
      { name = stage.reversed } })
    local reverser = stage:start("reverser", "old", "--reset", "earliest")
    local consumer = stage:start("consumer", "old", "--reset", "earliest")
    local producer = stage:start("producer", "old", "--rate", "4000")
    kill_in_between(stage, consumer)
    local again = stage:start("consumer", "old", "--reset", "earliest")
    stage:wait_for("membership", function()
      return stage:client("old"):describe_groups({ "greeter" })[1].state
        :lower() == "stable"
    end, 60000)
    producer.stop()
    stage:caught_up("old", "reverser", stage.greetings)
    reverser.stop()
    stage:caught_up("old", "greeter", stage.reversed)
    again.stop()
    local code, counts, text = stage:audit "old"
    t.note(text)
    t.equal(counts.lost, 0)
    t.equal(counts["out of order"], 0)
    t.ok(counts.doubled > 0, "a kill between read and commit doubles nothing?")
    t.equal(code, 1)
    t.match(text, "killed")
  end)
