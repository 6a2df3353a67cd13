--- What flows that have nothing to do are told. The engine, its sides and its flows
-- are tables here.

local ledger = require "mirror.topic.ledger"
local watch = require "mirror.flow.watch"

local test = ...

--- An engine whose sides answer `ends` and `starts` by partition; `told` lists what
-- flows were told, `asked` how many log ends each look asked for.
local function engine_of(ends, starts)
  local engine = { flows = {}, told = {}, asked = {}, ledger = ledger.new() }
  local function side()
    local function answers(map)
      return function(_, list)
        engine.asked[#engine.asked + 1] = #list
        local found = {}
        for index, one in ipairs(list) do found[index] = map[one.partition] end
        return found
      end
    end
    return { log_ends = answers(ends), log_starts = answers(starts or {}) }
  end
  engine.sides = { from = side(), to = side() }
  return engine
end

local function add(engine, partition, at)
  local flow = { engine = engine, topic = "t", partition = partition, at = at,
    leg = { writer = "from", ids = { to = "id" } }, run_id = "t#1",
    number = partition }
  function flow:name_on() return self.topic end
  function flow:tell(event)
    engine.told[#engine.told + 1] = { partition, event }
  end
  engine.flows["t/" .. partition] = flow
  return flow
end

local function idle(offset)
  return { source = offset, source_end = offset, target = offset }
end

test("only a flow whose target has another end is told", function(t)
  local engine = engine_of { [0] = 10, [1] = 11 }
  add(engine, 0, idle(10)).doubt = { target = 10, log_end = 11 }
  add(engine, 1, idle(10))
  add(engine, 2, idle(10)) -- its leader does not answer
  add(engine, 3, { source = 5, source_end = 9, target = 5 }) -- it is busy
  add(engine, 4, idle(10)).run_id = nil -- not copied at all
  watch.look(engine)
  t.equal(engine.told, { { 1, { kind = "check", log_end = 11, target = 10 } } })
  t.equal(engine.asked, { 3 })
  t.equal(engine.flows["t/0"].doubt, nil, "it was right the second time")
end)

test("a stranger is believed in when seen twice, nothing copied between", function(t)
  local flow = add(engine_of {}, 0, idle(10))
  local seen = { log_end = 11, target = 10 }
  t.equal(watch.suspect(flow, seen), nil)
  t.equal(watch.suspect(flow, seen), "foreign")
  seen = { log_end = 8, target = 10 }
  flow.doubt = nil
  t.equal(watch.suspect(flow, seen), nil)
  t.equal(watch.suspect(flow, seen), "diverged")
end)

test("a log end that was read before the flow moved on says nothing", function(t)
  local flow = add(engine_of {}, 0, idle(10))
  local early = { log_end = 11, target = 10 }
  t.equal(watch.suspect(flow, early), nil)
  flow.at = idle(11)
  t.equal(watch.suspect(flow, early), nil, "two looks lay in the inbox")
  t.equal(flow.doubt, nil)
  local late = { log_end = 12, target = 11 }
  t.equal(watch.suspect(flow, late), nil, "the first of two")
  flow.at = { source = 11, source_end = 12, target = 11 }
  t.equal(watch.suspect(flow, late), nil, "there is something to copy")
end)

test("many flows take turns, and one in doubt is asked about each time", function(t)
  local ends = {}
  for number = 0, 2999 do ends[number] = 10 end
  ends[7] = 11
  local engine = engine_of(ends)
  for number = 0, 2999 do add(engine, number, idle(10)) end
  local doubted = engine.flows["t/7"]
  doubted.doubt = { target = 10, log_end = 11 }
  for _ = 1, 3 do watch.look(engine) end
  t.equal(#engine.told, 3)
  local sum = 0
  for _, count in ipairs(engine.asked) do
    t.ok(count <= 1001, count .. " at once")
    sum = sum + count
  end
  t.equal(sum, 3000 + 2, "all others once in three looks")
end)

test("filler that came back, and halts that may be cured", function(t)
  local engine = engine_of({ [0] = 100, [1] = 100 }, { [0] = 60, [1] = 100 })
  for number = 0, 1 do
    local flow = add(engine, number, idle(100))
    flow.cut_ms = math.maxinteger -- just now
    engine.ledger.topics.t = engine.ledger.topics.t or { partitions = {} }
    engine.ledger.topics.t.partitions[number] = { legs = { {
      writer = "from", filled_from = 0, ids = { to = "id" },
      start = { from = 100, to = 100 } } } }
  end
  local halted = add(engine, 2, { state = "stopped" })
  halted.run_id, halted.may_be_cured = nil, true
  watch.look(engine)
  t.equal(engine.told, { { 0, { kind = "check" } }, { 2, { kind = "check" } } })
end)
