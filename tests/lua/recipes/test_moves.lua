-- acme/moves against a world of toys: the laws of a goal, from every state that
-- a stop in the middle can leave. Real clusters have their own tests.
local test = ...
local context = require "base.context"
local load = require "runbook.load"
local sys = require "vm.sys"

local RUNBOOK = [[
runbook "toys" {}
local source = cluster "source" { bootstrap = "toy:1" }
local target = cluster "target" { bootstrap = "toy:2" }
local app = workload "app" { group = "g", reads = "in", writes = "out", process = { "true" } }
local road = bridge "road" { from = source, to = target, topics = "*" }
local move = require "acme/moves".move
step "Move" { ensure = move { app, to = target, over = road } }
]]

--- A world in which each effect may be the last one before a crash.
local function new_world()
  local world = { runs = { source = true }, writer = "source", carried = nil,
    effects = {}, crash_at = math.huge, gaps = 0 }
  function world.effect(name, change)
    if #world.effects + 1 == world.crash_at then error("crash", 0) end
    world.effects[#world.effects + 1] = name
    change()
    assert(not (world.runs.source and world.runs.target), "runs on both sides")
  end
  return world
end

--- Toy classes in place of the real faces, for one test.
local function with_toys(world, body)
  local modules = { "kafka.cluster", "app.workload", "mirror.bridge" }
  local before = {}
  for _, name in ipairs(modules) do before[name] = package.loaded[name] end
  local _ <close> = setmetatable({}, { __close = function()
    for _, name in ipairs(modules) do package.loaded[name] = before[name] end
  end })
  local function class(name, methods)
    methods.__name, methods.__index = name, methods
    package.loaded[name] = { new = function(fields)
      return setmetatable(fields, methods)
    end }
  end
  class("kafka.cluster", {})
  class("app.workload", {
    runs_on = function(_, on) return { ok = world.runs[on.name] == true } end,
    stopped_on = function(_, on) return { ok = not world.runs[on.name] } end,
    ready = function(_, o) return { ok = world.runs[o.on.name] == true } end,
    stop = function(_, o)
      if not world.runs[o.on.name] then return true end
      world.effect("stop " .. o.on.name, function() world.runs[o.on.name] = nil end)
      return true
    end,
    start = function(_, o)
      if world.runs[o.on.name] then return true end
      world.effect("start " .. o.on.name, function()
        assert(world.writer == o.on.name, "started where it may not write")
        assert(world.carried == o.on.name, "started without its offsets")
        world.runs[o.on.name] = true
      end)
      return true
    end,
  })
  class("mirror.bridge", {
    other = function(self, side)
      return side.name == "source" and self.to or self.from
    end,
    writer_is = function(_, _, side) return { ok = world.writer == side.name } end,
    drain = function()
      if world.stuck then return nil, require "base.err".new {
        kind = "timeout", message = "not drained" } end
      return true
    end,
    carry_offsets = function(_, _, o)
      if world.carried == o.to.name then return true end
      world.effect("carry " .. o.to.name, function() world.carried = o.to.name end)
      return true
    end,
    turn = function(_, _, o)
      if world.writer == o.writer.name then return true end
      world.effect("turn " .. o.writer.name, function()
        assert(not next(world.runs), "turned under a running writer")
        world.writer = o.writer.name
      end)
      return true
    end,
  })
  return body(assert(load.book("x/toys.lua", { once = true, sources = {
    ["x/toys.lua"] = RUNBOOK,
    ["x/recipes/acme/moves.lua"] =
      assert(sys.read_file "scripts/recipes/acme/moves.lua"),
  } })))
end

local function run_of(world)
  return { gap = function(_, _, f)
    world.gaps = world.gaps + 1
    return f()
  end }
end

local function ask(goal, name, world)
  return context.with({ phase = "run" }, goal[name], goal, run_of(world))
end

local FORWARD = { "stop source", "carry target", "turn target", "start target" }
local BACK = { "stop target", "carry source", "turn source", "start source" }

test("check answers, apply makes it so, a second apply does nothing", function(t)
  local world = new_world()
  with_toys(world, function(book)
    local goal = book.steps[1].ensure[1]
    t.equal(ask(goal, "check", world), false)
    t.equal(world.effects, {})
    ask(goal, "apply", world)
    t.equal(world.effects, FORWARD)
    t.ok(ask(goal, "check", world))
    t.ok(ask(goal, "verify", world))
    ask(goal, "apply", world)
    t.equal(#world.effects, 4)
    t.equal(world.gaps, 2)
  end)
end)

test("apply goes on from every half-done state", function(t)
  for at = 1, 4 do
    local world = new_world()
    with_toys(world, function(book)
      local goal = book.steps[1].ensure[1]
      world.crash_at = at
      t.ok(not pcall(ask, goal, "apply", world))
      world.crash_at = math.huge
      t.equal(ask(goal, "check", world), false, "stopped before effect " .. at)
      ask(goal, "apply", world)
      t.equal(world.effects, FORWARD)
      t.ok(ask(goal, "check", world))
    end)
  end
end)

test("undo is the same move, back, from every half-done state", function(t)
  for at = 1, 5 do
    local world = new_world()
    world.carried = "source"
    with_toys(world, function(book)
      local goal = book.steps[1].ensure[1]
      world.crash_at = at
      pcall(ask, goal, "apply", world)
      world.crash_at, world.effects = math.huge, {}
      local back = ask(goal, "undo", world)
      t.equal({ back.title, back.subject }, { "app works on source", "workload/app" })
      ask(back, "apply", world)
      t.ok(ask(back, "check", world))
      t.equal({ world.runs.source, world.runs.target, world.writer },
        { true, nil, "source" })
      if at == 5 then t.equal(world.effects, BACK) end
    end)
  end
end)

test("a drain that fails ends the move before anything is turned", function(t)
  local world = new_world()
  world.stuck = true
  with_toys(world, function(book)
    local ok, why = pcall(ask, book.steps[1].ensure[1], "apply", world)
    t.equal(ok, false)
    t.equal(why.kind, "timeout")
    t.equal(world.effects, { "stop source" })
  end)
end)

test("evidence of every reading is told", function(t)
  local world, told = new_world(), {}
  with_toys(world, function(book)
    local goal = book.steps[1].ensure[1]
    context.with({ phase = "check", evidence = function(answer)
      told[#told + 1] = answer.ok
    end }, goal.check, goal, run_of(world))
  end)
  t.equal(told, { false })
end)
