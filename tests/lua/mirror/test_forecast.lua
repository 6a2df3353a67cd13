--- What a plan says of offsets before a bridge is opened. The clusters are tables.

local err = require "base.err"
local forecast = require "mirror.bridge.forecast"

local test = ...

--- A cluster whose logs are { [topic] = { { start, stable, end }, ... } }.
local function cluster(logs)
  local client = {}
  function client.topics()
    local list = {}
    for name, parts in pairs(logs) do
      list[#list + 1] = { name = name, partitions = #parts }
    end
    return list
  end
  function client.offsets(_, places)
    local found = {}
    for i, one in ipairs(places) do
      local log = logs[one.topic][one.partition + 1]
      found[i] = log == "gone"
        and { err = err.new { kind = "unavailable", origin = "kafka", message = "no leader" } }
        or { offset = log[({ start = 1, stable = 2, ["end"] = 3 })[one.at]] }
    end
    return found
  end
  return { client = function() return client end }
end

local function bridge(from, to, more)
  local made = { topics = { "*" }, names = "same", from = cluster(from),
    to = cluster(to), ledger = function() return false end }
  for key, value in pairs(more or {}) do made[key] = value end
  return made
end

local full = { a = { { 0, 50, 60 }, { 100, 150, 160 } } }

test("what is kept, what is filled for it, what cannot be", function(t)
  t.equal(t.ok(forecast.lines(bridge(full, {}))), {
    "offsets are kept on 2 of 2 new partitions",
    "offsets below where the copy begins are filled, then deleted: a/1 (100)",
  })
  local taken = { a = { { 3, 7, 7 } } }
  t.equal(t.ok(forecast.lines(bridge(full, taken))), {
    "offsets are kept on 1 of 2 new partitions",
    "offsets below where the copy begins are filled, then deleted: a/1 (100)",
    "offsets are mapped on: a/0 (the target holds records at offsets 3 to 6)",
  })
  t.equal(t.ok(forecast.lines(bridge(full, taken, { offsets = "same" })))[3],
    "offsets cannot be kept, and the bridge will stop there: a/0 (the target "
      .. "holds records at offsets 3 to 6)")
end)

test("a copy that begins at the end is filled up to there", function(t)
  t.equal(t.ok(forecast.lines(bridge(full, {}, { start = "latest" })))[2],
    "offsets below where the copy begins are filled, then deleted: a/0 (50), "
      .. "a/1 (150)")
end)

test("mapped on request, and what is copied already, are not spoken of",
  function(t)
    t.equal(t.ok(forecast.lines(bridge(full, {}, { offsets = "mapped" }))), {})
    local book = { topics = { a = {} }, leg = function() return {} end }
    t.equal(t.ok(forecast.lines(bridge(full, full,
      { ledger = function() return book end }))), {})
  end)

test("a log that cannot be asked ends the plan", function(t)
  t.fails("unavailable", forecast.lines(bridge({ a = { "gone" } }, {})))
end)
