--- The bridge's records, the ledger folded from them, and the exact map.

local json = require "vm.json"
local beginning = require "mirror.offsets.beginning"
local ledger = require "mirror.topic.ledger"
local map = require "mirror.offsets.map"
local names = require "mirror.names"
local places = require "mirror.offsets.places"
local record = require "mirror.topic.record"

local test = ...

local offset

--- A ledger of { key, value } pairs, as read from the topic.
local function ledger_of(list)
  local book = ledger.new()
  offset = 0
  for _, item in ipairs(list) do
    local rec = record.encode(item[1], item[2])
    rec.offset = offset
    offset = offset + 1
    book:fold(rec)
  end
  return book
end

local key = record.key

local function leg(number, writer, from, to, extra)
  local value = { leg = number, writer = writer, pid = 1, epoch = 0,
    start = { from = from, to = to }, kind = "mapped" }
  for name, field in pairs(extra or {}) do value[name] = field end
  return { key.leg("t", 0, number, 1), value }
end

local function segment(number, source, target, count, claim)
  return { key.segment("t", 0, number, source, claim or 1),
    { source = source, target = target, count = count } }
end

local function at(number, source, target)
  return { key.at("t", 0), { leg = number, source = source, target = target } }
end

test("below what is proved of another engine's copy there is no place",
  function(t)
    local past = { copied_by = "mirrormaker2", unproven = true }
    local book = ledger_of {
      leg(1, "from", 100, 40, past), segment(1, 100, 40, 10),
      leg(2, "from", 112, 50), segment(2, 112, 50, 5), at(2, 117, 55),
    }
    local exact <close> = map.of(book, "t", 0)
    for _, pair in ipairs { { 100, 40 }, { 109, 49 }, { 110, 50 }, { 112, 50 },
      { 117, 55 } } do
      t.equal(exact:lookup(pair[1], "from"), pair[2], "from " .. pair[1])
    end
    local place, why = exact:lookup(99, "from")
    t.equal(place, nil)
    t.match(why, "offset 99 is below 100, where what is proved of the copy")
    t.equal(exact:lookup(39, "to"), nil)
    t.equal(exact:lookup(50, "to"), 112)
  end)

test("below where copying began there is no place, but on the target there is",
  function(t)
    local book = ledger_of {
      { key.origin "t", { id = "x", starts = { 20 }, stops = { 100 } } },
      leg(1, "from", 100, 40, { left_out = 20 }), segment(1, 100, 40, 10),
      at(1, 110, 50),
      { key.origin "t", { id = "x", starts = { 20 }, stops = { 105 } } },
    }
    t.equal(book.topics.t.origin.stops, { 100 }) -- the first word counts
    local exact <close> = map.of(book, "t", 0)
    local place, why = exact:lookup(99, "from")
    t.equal(place, nil)
    t.equal(why, "below where copying began: offset 99 was left out, the copy "
      .. "begins at 100")
    t.equal(exact:lookup(100, "from"), 40)
    t.equal(exact:lookup(40, "to"), 100)
    t.equal(exact:lookup(7, "to"), 100)
    t.equal(beginning.told("t", 0, book:first_leg("t", 0)),
      "t/0: offsets 20 to 99")
  end)

test("a mapped leg: records, gaps, the end, what is not copied", function(t)
  local book = ledger_of {
    leg(1, "from", 100, 0), segment(1, 100, 0, 50), segment(1, 160, 50, 10),
    at(1, 175, 60),
  }
  local exact <close> = map.of(book, "t", 0)
  for _, pair in ipairs { { 100, 0 }, { 149, 49 }, { 150, 50 }, { 159, 50 },
    { 160, 50 }, { 169, 59 }, { 170, 60 }, { 175, 60 }, { 3, 0 } } do
    t.equal(exact:lookup(pair[1], "from"), pair[2], "from " .. pair[1])
  end
  t.equal(exact:lookup(49, "to"), 149)
  t.equal(exact:lookup(50, "to"), 160)
  t.equal(exact:lookup(60, "to"), 170) -- behind the last record
  local place, why = exact:lookup(176, "from")
  t.equal(place, nil)
  t.match(why, "not copied yet")
end)

test("legs follow each other in both directions", function(t)
  local book = ledger_of {
    leg(1, "from", 0, 0, { kind = "same" }), at(1, 10, 10),
    leg(2, "to", 11, 11, { kind = "same" }), at(2, 20, 20),
    leg(3, "from", 21, 21, { kind = "same", mapped_why = "transactions",
      mapped_at = { from = 30, to = 30 } }),
    segment(3, 31, 30, 5), at(3, 37, 35),
  }
  local exact <close> = map.of(book, "t", 0)
  for _, pair in ipairs { { 9, 9 }, { 10, 10 }, { 15, 15 }, { 20, 20 },
    { 29, 29 }, { 30, 30 }, { 31, 30 }, { 35, 34 }, { 36, 35 }, { 37, 35 } } do
    t.equal(exact:lookup(pair[1], "from"), pair[2], "from " .. pair[1])
  end
  t.equal(exact:lookup(34, "to"), 35)
  t.ok(ledger.is_same(book:partition("t", 0).legs[2]))
  t.ok(not ledger.is_same(book:leg("t", 0)))
end)

test("a walk that tells the end of a run again changes nothing", function(t)
  local book = ledger_of {
    leg(1, "from", 0, 0), segment(1, 0, 0, 40), segment(1, 30, 30, 20, 2),
    segment(1, 60, 50, 10, 2), segment(1, 0, 0, 35, 3), at(1, 70, 60),
  }
  local exact <close> = map.of(book, "t", 0)
  t.equal(#exact:plain().runs, 2)
  t.equal(exact:lookup(45, "from"), 45)
  t.equal(exact:lookup(55, "from"), 50)
end)

test("offsets beyond 2^53 stay exact", function(t)
  local far = (1 << 53) + 1
  local book = ledger_of {
    leg(1, "from", far, far + 2), segment(1, far, far + 2, 7),
    at(1, far + 7, far + 9),
  }
  local exact <close> = map.of(book, "t", 0)
  t.equal(exact:lookup(far + 3, "from"), far + 5)
  t.equal(exact:lookup(far + 5, "to"), far + 3)
end)

test("an engine that was superseded cannot write over its successor",
  function(t)
    local late = leg(1, "from", 0, 0)
    local newer = { key.leg("t", 0, 1, 2), { leg = 1, writer = "from",
      pid = 7, epoch = 1, start = { from = 0, to = 0 }, kind = "same" } }
    local book = ledger_of { leg(1, "from", 0, 0), newer, late }
    t.equal(book:leg("t", 0).pid, 7)
  end)

test("who writes a topic", function(t)
  t.equal(ledger.new():writer "t", "from")
  local book = ledger_of { leg(1, "from", 0, 0) }
  t.equal(book:writer "t", "from")
  book = ledger_of { leg(1, "from", 0, 0),
    { key.want "t", { leg = 2, writer = "to" } } }
  t.equal(book:writer "t", "turning")
  t.equal(book:leg_number "t", 2)
  book = ledger_of { leg(1, "from", 0, 0), leg(2, "to", 5, 5),
    { key.want "t", { leg = 2, writer = "to" } } }
  t.equal(book:writer "t", "to")
end)

test("records of another format are refused, taken back ones are not",
  function(t)
    local book = ledger.new()
    book:fold { offset = 0, key = "bridge", value = json.encode {
      format = 99, id = "x" } }
    t.match(book.problems[1], "format 99; this build reads 1")
    t.equal(book.bridge, nil)
    book:fold { offset = 1, key = "bridge" }
    book:fold { offset = 2, key = "bridge", value = "{" }
    t.equal(#book.problems, 2)
    t.equal(book.position, 3)
  end)

test("names and patterns", function(t)
  local policy = { topics = { "apps.*", "x-y" }, except = { "*.tmp" } }
  t.ok(names.carries(policy, "apps.samples"))
  t.ok(names.carries(policy, "x-y"))
  t.ok(not names.carries(policy, "appsXsamples"))
  t.ok(not names.carries(policy, "apps.a.tmp"))
  t.ok(not names.carries({ topics = { "*" } }, "__consumer_offsets"))
  t.equal(names.on_target({ prefix = "blue." }, "a"), "blue.a")
  t.equal(names.on_source({ prefix = "blue." }, "blue.a"), "a")
  t.equal(names.on_source({ prefix = "blue." }, "a"), nil)
  t.equal(names.on_target({ a = "b" }, "a"), "b")
  t.equal(names.on_source({ a = "b" }, "b"), "a")
  t.equal(names.on_source({ a = "b" }, "a"), nil)
  t.equal(names.on_source("same", "a"), "a")
end)

test("whoever took a partition later is believed, and who has ended is known",
  function(t)
    local function said(claim, source)
      return { key.at("t", 0), { leg = 1, source = source, target = source,
        claim = claim } }
    end
    local book = ledger_of {
      { key.claim, { instance = "a", number = 1, group = true } },
      { key.claim, { instance = "b", number = 2, group = true } },
      { key.claim, { instance = "c", number = 2, group = true } }, -- came second
      said(1, 10), said(2, 10), said(1, 99),
      { key.goodbye, { instance = "a" } }, { key.goodbye, { instance = "c" } },
    }
    t.equal({ book:partition("t", 0).at.claim,
      book:partition("t", 0).at.source }, { 2, 10 })
    t.equal({ book.gone[1], book.gone[2] }, { true })
    t.equal({ book.goodbyes.a, book.goodbyes.b }, { true })
    t.equal({ book.claims[1], book.claims[2] }, { "a", "b" })
  end)

test("transactional ids by leg, and what is borrowed until it is back", function(t)
  local list = {
    leg(1, "from", 0, 0, { kind = "same", transactions = true }),
    { key.txn("t", 0, 1, 42, 1), { name = "tranship.a" } },
    { key.txn("t", 0, 2, 43, 1), { name = "tranship.b" } },
    { key.loan "3", { setting = "s", before = "1", state = "taken" } },
  }
  local book = ledger_of(list)
  local part = book:partition("t", 0)
  t.equal(part.producers[1][42].name, "tranship.a")
  t.equal(part.producers[1][43], nil)
  t.equal(part.producers[2][43].name, "tranship.b")
  t.equal(book.loans["3"].before, "1")
  t.ok(ledger.keeps(book:leg("t", 0)))
  list[#list + 1] = { key.loan "3", { setting = "s", state = "given back" } }
  list[#list + 1] = leg(1, "from", 0, 0, { kind = "same", transactions = true,
    mapped_at = { from = 5, to = 6 } })
  book = ledger_of(list)
  t.equal(book.loans["3"], nil)
  t.ok(not ledger.keeps(book:leg("t", 0)), "mapped by now")
end)

test("partitions that a later claim has spoken of are told once", function(t)
  local book = ledger_of { { key.at("t", 0), { leg = 1, claim = 2 } },
    { key.at("t", 1), { leg = 1 } } }
  t.equal(book:taken(), { ["t/0"] = true })
  local function say(partition, claim)
    local rec = record.encode(key.at("t", partition), { leg = 1, claim = claim })
    rec.offset = 9
    book:fold(rec)
  end
  say(0, 2)
  say(0, 1)
  t.equal(book:taken(), {})
  say(0, 3)
  say(1, 1)
  t.equal(book:taken(), { ["t/0"] = true, ["t/1"] = true })
end)

test("what an engine has said and holds is kept once", function(t)
  local book, held = ledger.new(), { leg = 1, claim = 1, source = 5 }
  function book.held_at() return held end
  local function said(source)
    local rec = record.encode(key.at("t", 0), { leg = 1, claim = 1,
      source = source })
    rec.offset = 0
    book:fold(rec)
    return book:partition("t", 0).at
  end
  t.ok(said(5) == held)
  t.ok(said(4) ~= held)
  t.equal(said(4).source, 4)
end)

test("what the other side has removed is no place, whichever way it is told", function(t)
  local book = ledger_of {
    { key.bridge, { names = { prefix = "b." } } },
    leg(1, "from", 0, 40), segment(1, 0, 40, 100), at(1, 100, 140),
  }
  local asked
  local function cluster(start)
    return { client = function()
      return { offsets = function(_, list)
        asked = list
        return { { offset = start } }
      end }
    end }
  end
  local function answer(topic, position, start, back)
    local starts = t.ok(places.starts(book, cluster(start), back))
    local all <close> = t.ok(places.of(book, { back = back, starts = starts }))
    local said = places.answer(book, all,
      { topic = topic, partition = 0, offset = position }, back)
    return { asked[1].topic, said.answer, said.to and said.to.offset }
  end
  t.equal(answer("t", 9, 50), { "b.t", "removed on the other side" })
  t.equal(answer("t", 10, 50), { "b.t", "exact", 50 })
  t.equal(answer("b.t", 89, 50, true), { "t", "removed on the other side" })
  t.equal(answer("b.t", 90, 50, true), { "t", "exact", 50 })
end)

test("a record that no bridge has written is a problem, not the end", function(t)
  local book = ledger_of { { "bridge", { name = "road" } }, { "at", {} },
    { "leg/t/x/1/1", {} }, { "seg/t", {} } }
  t.equal(book.bridge.name, "road")
  t.equal(#book.problems, 3)
  t.match(book.problems[2], "record leg/t/x/1/1 at offset 2 is none of a bridge")
end)
