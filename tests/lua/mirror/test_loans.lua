--- Settings that an open bridge borrows from brokers and topics: what was there
-- before is noted first, and put back as it was. The clusters are tables here.

local context = require "base.context"
local err = require "base.err"
local goal_open = require "mirror.bridge.goal_open"
local halt = require "mirror.flow.halt"
local limits = require "mirror.flow.limits"
local loan = require "mirror.topic.loan"
local loan_topic = require "mirror.flow.loan_topic"
local reasons = require "mirror.flow.reasons"

local test = ...

local AFTER = "message.timestamp.after.max.ms"
local BEFORE = "message.timestamp.before.max.ms"
local TYPE = "message.timestamp.type"
local MOST = tostring(math.maxinteger)

--- A client of a cluster that is a table of settings; `log` hears every change.
local function client_of(world, side)
  local client = {}
  function client.configs(_, kind, names)
    local found = {}
    for _, name in ipairs(names) do
      local described = {}
      for key, value in pairs(world.defaults) do
        described[key] = { value = value, source = "default" }
      end
      for key, value in pairs(world[side][kind .. "/" .. name] or {}) do
        described[key] = { value = value, source = kind }
      end
      found[name] = described
    end
    return found
  end
  function client.alter_configs(_, list)
    local change = list[1]
    if world.refusal then return { { err = world.refusal } } end
    local key = change.type .. "/" .. change.name
    local own = world[side][key] or {}
    world[side][key] = own
    for name, value in pairs(change.set or {}) do own[name] = value end
    for _, name in ipairs(change.delete or {}) do own[name] = nil end
    world.log[#world.log + 1] = "alter"
    return { {} }
  end
  function client.cluster() return { brokers = { { id = 1 } } } end
  return client
end

local function new_world(policy)
  local world = { from = {}, to = {}, log = {}, defaults = {
    [AFTER] = "3600000", [BEFORE] = MOST, [TYPE] = "CreateTime",
    ["max.message.bytes"] = "1000",
    ["producer.id.expiration.ms"] = "86400000" } }
  local engine = {
    policy = policy or { from = {}, to = {} }, ledger = { loans = {} },
    spec = { to = { name = "new" } }, clients = {},
  }
  for _, side in ipairs { "from", "to" } do
    engine.clients[side] = client_of(world, side)
  end
  function engine.announce(_, list)
    for _, item in ipairs(list) do
      local id = item[1]:match "^loan/(.*)$"
      engine.ledger.loans[id] = item[2].state == "taken" and item[2] or nil
      world.log[#world.log + 1] = item[2].state
    end
    return true
  end
  local flow = { engine = engine, id = "a/0", tries = {}, forget = function() end,
    name_on = function(_, side) return side == "from" and "a" or "b.a" end,
    side = function(_, side) return { name = side == "from" and "old" or "new" }
    end }
  return world, engine, flow
end

test("a topic that gives records its own time lends that", function(t)
  local world, engine, flow = new_world()
  world.to["topic/b.a"] = { [TYPE] = "LogAppendTime", other = "x" }
  t.ok(loan_topic.keep_time(flow, "to"))
  t.equal(world.to["topic/b.a"], { [TYPE] = "CreateTime", other = "x" })
  t.equal(world.log, { "taken", "alter" })
  t.ok(loan_topic.keep_time(flow, "to"))
  t.equal(#world.log, 2, "taken once")
  t.ok(loan_topic.give_back(flow, "to"))
  t.equal(world.to["topic/b.a"], { [TYPE] = "LogAppendTime", other = "x" })
  t.equal(engine.ledger.loans, {})
end)

test("limits of time are lifted, and back to what they were", function(t)
  local world, engine, flow = new_world()
  world.defaults[TYPE] = "LogAppendTime"
  t.ok(loan_topic.keep_time(flow, "to"))
  t.equal(reasons.timestamp(flow, { refused = { offset = 7, records = 1 } },
    { writer = "from" }), "again")
  t.equal(world.to["topic/b.a"], { [AFTER] = MOST, [TYPE] = "CreateTime" })
  t.equal(loan_topic.lift(flow, "to"), false, "nothing is left to lift")
  local list = {}
  local problems = loan.give_back(engine.ledger.loans,
    function(side) return engine.clients[side] end, list)
  t.equal(problems, {})
  t.equal(#list, 2)
  t.equal(world.to["topic/b.a"], {}, "the defaults")
end)

test("where nothing may be borrowed, the record is named", function(t)
  local world, _, flow = new_world { from = {},
    to = { never = { "alter configs" } } }
  local verdict, why = reasons.timestamp(flow, { err = "out of range",
    refused = { offset = 7, records = 1, bytes = 90 } }, { writer = "from" })
  t.equal(verdict, nil)
  t.ok(halt.is(why))
  t.equal({ why.reason, why.range.side, why.range.from, why.range.to },
    { "timestamp", "from", 7, 8 })
  t.match(why.text, "source offset 7 .* b.a on new .*" .. AFTER:gsub("%p", "%%%0"))
  t.equal(why.is_cured(), false)
  world.to["topic/b.a"] = { [AFTER] = "7200000" }
  t.ok(why.is_cured())
  t.equal(world.log, {})
  world.to["topic/b.a"] = { [TYPE] = "LogAppendTime" }
  limits.forget(flow.engine, "to", "b.a")
  verdict, why = loan_topic.keep_time(flow, "to")
  t.equal(verdict, nil)
  t.equal(why.reason, "append_time")
  t.equal(why.is_cured(), false)
  world.to["topic/b.a"] = nil
  t.ok(why.is_cured())
end)

test("what cannot be given back is told, and stays on the books", function(t)
  local world, engine = new_world()
  world.to["broker/1"] = { ["producer.id.expiration.ms"] = "1000" }
  t.ok(loan.take(engine))
  t.equal(world.to["broker/1"]["producer.id.expiration.ms"], "2147483647")
  world.refusal = err.new { kind = "denied", origin = "kafka", message = "no" }
  local list = {}
  local function client(side) return engine.clients[side] end
  local problems = loan.give_back(engine.ledger.loans, client, list)
  t.match(problems[1], "broker 1 .*no.*put it back to 1000")
  t.equal(list, {})
  world.refusal = nil
  t.equal(loan.give_back(engine.ledger.loans, client, list), {})
  t.equal(world.to["broker/1"]["producer.id.expiration.ms"], "1000")
end)

test("batches are divided until one record is left", function(t)
  local world, engine, flow = new_world()
  local leg = { writer = "from" }
  local function refuse(offset, records, bytes)
    return reasons.too_large(flow, { err = "too large",
      refused = { offset = offset, records = records, bytes = bytes } }, leg)
  end
  t.equal(refuse(5, 100, 5000), "again")
  t.equal(flow.most_bytes, 2500)
  t.equal(refuse(5, 50, 2400), "again")
  t.equal(flow.most_bytes, 1200)
  local _, why = refuse(9, 1, 1500)
  t.equal({ why.reason, why.range.from, why.range.to }, { "too_large", 9, 10 })
  t.match(why.text, "source offset 9 .*max.message.bytes to at least 1500")
  t.equal(why.is_cured(), false)
  world.to["topic/b.a"] = { ["max.message.bytes"] = "1500" }
  t.ok(why.is_cured())
  t.equal(limits.of(engine, "to", "b.a").batch_bytes, 1500)
end)

test("the plan says what keeping offsets needs, and what is borrowed",
  function(t)
    local now, real = context.get(), {}
    local phase, perform = now.phase, now.perform
    for name, stand_in in pairs {
      founding = { found = function() return true end },
      forecast = { lines = function() return { "offsets are kept" } end },
    } do
      real[name] = package.loaded["mirror.bridge." .. name]
      package.loaded["mirror.bridge." .. name] = stand_in
    end
    now.phase, now.perform = "plan", function() return true end
    local home = { lacks = function() return false end }
    local function lines(offsets, never)
      return table.concat(goal_open.plan { bridge = { name = "road",
        home = function() return home end, offsets = offsets, from = { name = "old" },
        to = { name = "new", never = never } } }, "\n")
    end
    t.match(lines "auto", "^offsets are kept\n.*WRITE on transactional ids "
      .. ".*tranship%.road%..*ALTER on the cluster.*borrows"
      .. ".*producer%.id%.expiration%.ms.*ALTER_CONFIGS")
    t.equal(lines "mapped":find "transactional ids", nil)
    t.match(lines("auto", { "alter configs" }), "nothing is borrowed")
    for _, name in ipairs { "founding", "forecast" } do
      package.loaded["mirror.bridge." .. name] = real[name]
    end
    now.phase, now.perform = phase, perform
  end)

test("a topic that could not be asked is not taken for one that keeps times",
  function(t)
    local world, engine, flow = new_world()
    world.to["topic/b.a"] = { [TYPE] = "LogAppendTime" }
    local honest, why = engine.clients.to.configs, nil
    function engine.clients.to.configs(...)
      if why then return nil, why end
      return honest(...)
    end
    why = err.new { kind = "timeout", origin = "kafka", message = "late" }
    t.fails("timeout", loan_topic.keep_time(flow, "to"))
    t.fails("timeout", loan_topic.lift(flow, "to"))
    why = err.new { kind = "denied", origin = "kafka", message = "no" }
    t.ok(loan_topic.keep_time(flow, "to"), "it has no right to know")
    t.equal(world.log, {})
    limits.forget(engine, "to", "b.a")
    why = nil
    local described = honest
    function honest() return {} end
    t.fails("not found", loan_topic.keep_time(flow, "to"))
    honest = described
    t.ok(loan_topic.keep_time(flow, "to"))
    t.equal(world.to["topic/b.a"], { [TYPE] = "CreateTime" })
    t.equal(engine.ledger.loans["to:b.a:" .. TYPE].before, "LogAppendTime")
  end)
