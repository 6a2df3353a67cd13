--- Turns, and holes of logs with the same offsets, where a step fails, somebody
-- writes between two looks, or what a predecessor sent arrives late. The logs are
-- tables here, and so is the bridge's topic.

local err = require "base.err"
local task = require "vm.task"
local flow = require "mirror.flow"
local halt = require "mirror.flow.halt"
local ledger = require "mirror.topic.ledger"
local record = require "mirror.topic.record"
local reopen = require "mirror.flow.reopen"
local resume = require "mirror.flow.resume"
local turn = require "mirror.flow.turn"

local test = ...

local RECORDS = 10
local OLD_EPOCH = 47 -- INVALID_PRODUCER_EPOCH

local function refused(kind, code)
  return nil, err.new { kind = kind, origin = "kafka", code = code, message = "no" }
end

--- A side with the log of t/0: "record" or "marker" by offset. `at_look(n)` happens
-- before it tells its end for the n-th time; its leader refuses older epochs.
local function side_of(name)
  local side, looks, epochs = { name = name, log = {} }, 0, {}
  function side.append(_, what, count)
    for _ = 1, count do side.log[#side.log + 1] = what end
    return true
  end
  function side.markers(_, _, _, producer, count)
    local newest = epochs[producer.id] or -1
    if producer.epoch < newest then return refused("conflict", OLD_EPOCH) end
    epochs[producer.id] = producer.epoch
    return side:append("marker", count)
  end
  function side.log_end()
    looks = looks + 1
    local fails = side.at_look and side:at_look(looks)
    if fails then return refused "unavailable" end
    return #side.log
  end
  function side.digests(_, range)
    local first, count
    for offset = range.from, range.to - 1 do
      if side.log[offset + 1] == "record" then
        first, count = first or offset, (count or 0) + 1
      end
    end
    return count and { { from = first, to = range.to, records = count } } or {}
  end
  function side.init_producer_id() return 7 end
  function side.versions() return {} end
  function side.producers() return {} end
  function side.leader() return { topic_id = "id on " .. name } end
  side:append("record", RECORDS)
  return side
end

--- An engine whose bridge's topic refuses one record with a key like `refuses`.
local function new_engine()
  local engine = { sides = { from = side_of "old", to = side_of "new" },
    ledger = ledger.new(), generation = 1, policy = { id = "b" } }
  function engine.on_target(_, name) return name end
  function engine.touch() end
  function engine.announce(_, list)
    for _, item in ipairs(list) do
      if engine.refuses and item[1]:find(engine.refuses) then
        engine.refuses = nil
        return refused "denied"
      end
      local said = record.encode(item[1], item[2])
      said.offset = engine.ledger.position
      engine.ledger:fold(said)
    end
    return true
  end
  function engine.want(_, number, writer)
    engine:announce { { record.key.want "t", { leg = number, writer = writer,
      time = number } } }
  end
  return engine
end

--- A flow that has copied everything.
local function drained(engine)
  local one = flow.new(engine, "t", 0)
  one.leg = one:announce_leg { leg = 1, writer = "from", pid = 1, epoch = 0,
    kind = "same", ids = one:topic_ids(), start = { from = 0, to = 0 },
    since = { from = 0, to = 0, sequence = 0 } }
  one.at = { leg = 1, epoch = 0, source = RECORDS, target = RECORDS,
    sequence = RECORDS }
  return one
end

test("a leg that was not written down: nothing is forgotten, and it turns", function(t)
  local engine = new_engine()
  local one = drained(engine)
  engine:want(2, "to")
  engine.refuses = "^leg/t/0/2/"
  t.fails("denied", turn.begin(one))
  one:say("waiting", "no")
  t.equal(reopen.copied(one, one.leg), RECORDS)
  t.equal({ turn.begin(one) }, { "again" })
  local leg = engine.ledger:leg("t", 0)
  t.equal({ leg.leg, leg.writer, leg.kind }, { 2, "to", "same" })
  t.equal(leg.start, { from = #engine.sides.from.log, to = #engine.sides.to.log })
  t.equal(one.at, nil)
end)

test("the same where a turn is called off, and where a leg goes on mapped", function(t)
  local engine = new_engine()
  local one = drained(engine)
  engine:want(2, "from")
  engine.refuses = "^leg/t/0/2/"
  t.fails("denied", turn.begin(one))
  t.equal(one.at.source, RECORDS)
  t.equal({ turn.begin(one) }, { "again" })
  t.equal(engine.ledger:leg("t", 0).since.from, RECORDS)
  engine = new_engine()
  one = drained(engine)
  engine.refuses = "^leg/"
  t.fails("denied", one:go_on_mapped(one.leg, RECORDS, RECORDS, RECORDS, "a hole"))
  t.equal(one.at.source, RECORDS)
  t.ok(one:go_on_mapped(one.leg, RECORDS, RECORDS, RECORDS, "a hole"))
  t.equal(one.at, nil)
end)

test("a record between two looks at the log stops the turn", function(t)
  for look = 1, 2 do
    local engine = new_engine()
    local one = drained(engine)
    engine:want(2, "to")
    function engine.sides.from.at_look(side, number)
      if number == look then side:append("record", 1) end
    end
    local verdict, why = turn.begin(one)
    t.equal(verdict, nil, "a record came before look " .. look)
    t.ok(halt.is(why))
    t.equal(why.reason, "not_drained")
    t.match(why.text, "records were appended on old at offsets 1%d to 1%d")
    t.equal(engine.ledger:leg("t", 0).leg, 1)
  end
end)

test("a turn that took several tries can be called off", function(t)
  local engine = new_engine()
  local one = drained(engine)
  engine:want(2, "to")
  function engine.sides.from.at_look(side, number)
    if number == 2 then side:append("record", 1) end
    return number == 1 -- its leader moves, and the turn is tried again
  end
  t.fails("unavailable", turn.begin(one))
  local _, why = turn.begin(one)
  t.equal(halt.is(why) and why.reason, "not_drained")
  engine:want(3, "from")
  t.equal({ turn.begin(one) }, { "again" })
  local leg = engine.ledger:leg("t", 0)
  t.equal({ leg.leg, leg.writer, leg.kind }, { 3, "from", "mapped" })
  t.equal(leg.start, { from = RECORDS, to = #engine.sides.to.log })
end)

test("a turn called off shuts the leg's transactional ids: the next has its own",
  function(t)
    local engine = new_engine()
    local one, shut = drained(engine), {}
    engine:announce { { record.key.txn("t", 0, 1, 9, 1), { name = "tranship.b" } } }
    function engine.max_transaction_timeout() return 1000 end
    function engine.sides.to.init_transactional(_, name)
      shut[#shut + 1] = name
      return { id = 8, epoch = 1 }
    end
    engine:want(2, "from")
    t.equal({ turn.begin(one) }, { "again" })
    t.equal(shut, { "tranship.b" })
  end)

--- A flow whose next source offsets, `size` of them, hold no record.
local function at_hole(engine, size)
  local one = drained(engine)
  one.inbox = task.queue()
  one.inbox:push { kind = "hole", id = "t/0#1", from = RECORDS, to = RECORDS + size,
    source_offset = RECORDS, target_offset = RECORDS, sequence = RECORDS }
  function engine.go_on(_, _, positions) engine.went_on = positions end
  return one
end

test("a hole that a predecessor fills late: mapped, under the epoch that holds",
  function(t)
    local engine = new_engine()
    local to = engine.sides.to
    local one = at_hole(engine, 3)
    function to.at_look() to:append("marker", 3) end
    t.equal({ one:go_on() }, { "again" })
    local leg = engine.ledger:leg("t", 0)
    t.equal({ leg.kind, leg.mapped_at.to, leg.epoch, leg.since.sequence },
      { "same", RECORDS + 4, 1, 0 })
    t.ok(to:markers("t", 0, { id = leg.pid, epoch = leg.epoch }, 1))
  end)

test("a hole is filled, the first time under the next epoch", function(t)
  local engine = new_engine()
  local one = at_hole(engine, 3)
  t.equal({ one:go_on() }, { "rest" })
  t.equal(engine.went_on, { target_offset = RECORDS + 3, producer_epoch = 1,
    sequence = 0 })
  t.equal({ one.leg.epoch, one.at.epoch, one.at.source, one.at.sequence },
    { 1, 1, RECORDS + 3, 0 })
end)

test("a topic is copied once it is told whether a cleaner works on it", function(t)
  local engine = new_engine()
  local one, honest, policy, launched = drained(engine), resume.position, nil, nil
  one.inbox = task.queue()
  engine.clients = { to = { configs = function() return { t = {} } end } }
  engine.clients.from = { configs = function()
    if not policy then return refused "timeout" end
    return { t = { ["cleanup.policy"] = { value = policy } } }
  end }
  function engine.launch(_, _, start)
    launched = start
    return true
  end
  function engine.has_begun() end
  function resume.position()
    return { source_offset = RECORDS, target_offset = RECORDS, sequence = RECORDS }
  end
  local _ <close> = setmetatable({}, { __close = function() resume.position = honest end })
  t.fails("timeout", one:copy(one.leg))
  t.equal(launched, nil)
  policy = "compact"
  t.equal({ one:copy(one.leg) }, { "rest" })
  t.equal(launched.compacted, true)
end)
