--- The goal "closed": what a plan says of it, and what its undo opens again. The
-- bridge is a table here.

local context = require "base.context"
local effect = require "base.effect"
local goal = require "runbook.goal"
local goal_closed = require "mirror.bridge.goal_closed"

local test = ...

--- A bridge that was never opened.
local function unopened()
  local home = { retire = function() return true end }
  return { name = "road", topics = { "apps.*" }, ledger = function() return false end,
    home = function() return home end }
end

--- What the plan of a closing says, after steps above that planned `overlay`.
local function planned(road, overlay)
  local lines = {}
  local function perform(one)
    lines[#lines + 1] = one.summary
    overlay[one.target] = one.after
    return effect.unknown "a plan"
  end
  local seen = context.with({ phase = "plan", overlay = overlay, perform = perform },
    function()
      local before = goal_closed.check { bridge = road }
      if not before.ok then goal_closed.apply { bridge = road } end
      return { before.ok, goal_closed.check({ bridge = road }).ok }
    end)
  return seen, lines
end

test("a bridge that a step above opens is to be closed", function(t)
  local seen, lines = planned(unopened(), {})
  t.equal({ seen, lines }, { { true, true }, {} })
  seen, lines = planned(unopened(), { ["bridge/road"] = { ok = true } })
  t.equal(seen, { false, true })
  t.equal(lines, { "wait until the bridge has passed what is in apps.*",
    "stop the copying of bridge road" })
end)

test("opened again, as its closing is undone, its engine logs in as before", function(t)
  local honest = goal.make
  function goal.make(def, args) return { name = def.name, args = args } end
  local road = { _as = { from = "migration" } }
  local made = goal_closed.undo { bridge = road }
  goal.make = honest
  t.equal({ made.name, made.args.bridge, made.args.as }, { "open", road, road._as })
end)
