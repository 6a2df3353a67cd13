--- What an engine makes of what it finds on both sides. Clusters are tables here.

local ledger = require "mirror.topic.ledger"
local mirror_engine = require "mirror.engine"
local record = require "mirror.topic.record"
local settings = require "mirror.engine.settings"
local survey = require "mirror.engine.survey"

local test = ...

local function topic(count)
  local found = { count = count, partitions = {} }
  for number = 0, count - 1 do found.partitions[number] = { replicas = { 1 } } end
  return found
end

--- An engine between clusters that hold these topics; t/0 is written by `writer`.
local function engine_of(from, to, writer)
  local engine = { flows = {}, made = {}, asked = {}, ledger = ledger.new(),
    policy = { topics = { "*" } }, topic = { name = "__tranship.x" } }
  local said = record.encode(record.key.leg("t", 0, 1, 1),
    { leg = 1, writer = writer, start = { from = 0, to = 0 }, kind = "same" })
  said.offset = 0
  engine.ledger:fold(said)
  local function side(topics)
    return { brokers = { {} }, describe = function() return topics end }
  end
  local client = { configs = function() return {} end }
  function client.create_topics(_, list)
    engine.made[#engine.made + 1] = list[1].name
    return { {} }
  end
  engine.sides = { from = side(from), to = side(to) }
  engine.clients = { from = client, to = client }
  function engine.on_target(_, name) return name end
  function engine.ensure_flow(_, name, number)
    engine.asked[#engine.asked + 1] = name .. "/" .. number
  end
  return engine
end

test("a topic is made where it is copied to, not where it is written", function(t)
  local engine = engine_of({ t = topic(2) }, {}, "from")
  t.ok(survey.look(engine))
  t.equal({ engine.made, engine.asked }, { { "t" }, { "t/0", "t/1" } })
  engine = engine_of({ t = topic(1) }, {}, "to")
  t.ok(survey.look(engine))
  t.equal({ engine.made, engine.asked }, { {}, { "t/0" } },
    "who deleted it where it is written meant it; its flow says that it is gone")
end)

test("a topic that turned before anybody had seen it is made", function(t)
  local engine = engine_of({ late = topic(1) }, {}, "from")
  local said = record.encode(record.key.want "late", { leg = 1, writer = "to" })
  said.offset = 1
  engine.ledger:fold(said)
  t.ok(survey.look(engine))
  t.equal(engine.made, { "late" })
end)

test("what brokers could not tell is asked again", function(t)
  local answers = { false, { ["1"] = {
    ["transaction.max.timeout.ms"] = { value = "5000" } } } }
  local asking = { sides = { to = { brokers = { [1] = {} } } }, clients = { to = {
    configs = function() return table.remove(answers, 1) or nil, "late" end } } }
  t.equal(mirror_engine.max_transaction_timeout(asking, "to"), nil)
  t.equal(mirror_engine.max_transaction_timeout(asking, "to"), 5000)
  t.equal(mirror_engine.max_transaction_timeout(asking, "to"), 5000)
  local engine, there = engine_of({ t = topic(1) }, {}, "from"), nil
  engine.clients.from = { configs = function() return { t = {
    ["gone.by.now"] = { value = "1", source = "topic" } } } end }
  function engine.clients.to.configs() return there end
  t.equal(settings.for_copy(engine, "t"), { ["gone.by.now"] = "1" })
  there = { ["__tranship.x"] = { ["retention.ms"] = { value = "1" } } }
  t.equal(settings.for_copy(engine, "t"), {})
end)
