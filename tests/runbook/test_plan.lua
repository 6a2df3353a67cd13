--- Plans: what would change, before and after; overlay, unknowns, refusals.
-- A plan never changes anything.

local test = ...

local err = require "base.err"
local effect = require "base.effect"
local engine = require "runbook.engine"
local json = require "vm.json"
local plan = require "runbook.plan"
local plan_text = require "runbook.show.plan_text"
local sys = require "vm.sys"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/toy/case.lua")),
                          "@" .. here .. "/toy/case.lua"))()
local toy = cases.toy

local function plan_of(case, items, selected)
  return plan.book(engine.reader(case.root), toy.book(items),
                   selected or function() return true end)
end

local function statuses(made)
  local list = {}
  for _, step in ipairs(made.steps) do list[#list + 1] = step.status end
  return list
end

test("each effect is listed with before and after; nothing is sent", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("x", "0")
  local made = plan_of(case, { { id = "1", ensure = { w:becomes("x", "1") } },
                               { id = "2", ensure = { w:becomes("y", "1") } },
                               { id = "3", verify = { w:asks("x", "1") } } })
  t.equal(statuses(made), { "changes", "changes", "proves" })
  t.equal(made.changes, 2)
  local one = made.steps[1].effects[1]
  t.equal({ one.before, one.after, one.target }, { "0", "1", "world/x" })
  t.equal(made.steps[3].questions, { "x is 1" })
  t.equal(w:all(), { x = "0" })
  t.equal(#w:sent(), 0)
end)

test("a world that is so already has an empty plan", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("x", "1")
  local made = plan_of(case, { { id = "1", ensure = { w:becomes("x", "1") } } })
  t.equal(statuses(made), { "found" })
  t.equal(made.changes, 0)
end)

test("running twice: the second plan is empty", function(t)
  local case <close> = cases.new()
  local w = case.world
  local function items()
    return { { id = "1", ensure = { w:becomes("x", "1") } },
             { id = "2", ensure = { w:becomes("y", "1") } } }
  end
  t.equal(case:run(toy.book(items())), 0)
  t.equal(plan_of(case, items()).changes, 0)
end)

test("later steps see planned writes", function(t)
  local case <close> = cases.new()
  local w = case.world
  local copy = toy.goal { title = "copy",
    check = function() return w:is("y", "1") end,
    apply = function() return w:set("y", w:get "x") end }
  local made = plan_of(case, { { id = "1", ensure = { w:becomes("x", "1") } },
                               { id = "2", ensure = { copy } },
                               { id = "3", ensure = { w:becomes("x", "1") } } })
  t.equal(made.steps[2].effects[1].after, "1")
  t.equal(statuses(made), { "changes", "changes", "found" })
end)

test("what nobody can know ends that step's plan and says why", function(t)
  local case <close> = cases.new()
  local w = case.world
  local goal = toy.goal { title = "two", check = function()
    return w:is("y", "1")
  end, apply = function()
    local offset = effect.perform { primitive = "drain", target = "t",
      resume = "set", summary = "drain it", send = error }
    w:set("kept", "an effect that only stores " .. 1)
    if offset > 10 then return w:set("y", "1") end
  end }
  local made = plan_of(case, { { id = "1", ensure = { goal } },
                               { id = "2", ensure = { w:becomes("z", "1") } } })
  t.equal(statuses(made), { "depends", "changes" })
  t.match(made.steps[1].because, "depends on the outcome of \"drain it\"")
  t.equal(#made.steps[1].effects, 2)
end)

test("a goal's own plan is used, and lines it returns are shown", function(t)
  local case <close> = cases.new()
  local w = case.world
  local goal = toy.goal { title = "own", check = function()
    return w:is("y", "1")
  end, plan = function() return { "one thing", "another" } end,
  apply = function() error "must not be called" end }
  local made = plan_of(case, { { id = "1", ensure = { goal } } })
  t.equal(made.steps[1].lines, { "one thing", "another" })
  t.match(plan_text.text(made), "2 changes")
end)

test("the server is asked where it can be; its refusal is shown", function(t)
  local case <close> = cases.new()
  local w = case.world
  local goal = toy.goal { title = "asks", check = function()
    return w:is("y", "1")
  end, apply = function()
    return effect.perform { primitive = "create", target = "t",
      resume = "create", summary = "create t", send = error,
      simulate = function()
        return nil, err.new { kind = "denied", message = "no right" }
      end }
  end }
  local made = plan_of(case, { { id = "1", ensure = { goal } } })
  t.equal(made.steps[1].status, "problem")
  t.equal(made.steps[1].effects[1].refused.kind, "denied")
  t.equal(#plan_text.problems(made), 1)
  t.match(plan_text.text(made), "REFUSED by the server: no right")
end)

test("a check that fails before any change is a problem, after it depends", function(t)
  local case <close> = cases.new()
  local w = case.world
  local broken = function()
    return toy.goal { title = "broken", check = function()
      return nil, err.new { message = "topic is not there" }
    end, apply = error }
  end
  local made = plan_of(case, { { id = "1", ensure = { broken() } },
                               { id = "2", ensure = { w:becomes("x", "1") } },
                               { id = "3", ensure = { broken() } } })
  t.equal(statuses(made), { "problem", "changes", "depends" })
end)

test("skipped, left out, the line", function(t)
  local case <close> = cases.new()
  local w = case.world
  local made = plan_of(case, {
    { id = "1", when = false, ensure = { w:becomes("x", "1") } },
    { id = "2", ensure = { w:becomes("y", "1") } },
    { kind = "ponr", id = "line", title = "The line",
      approve = { question = "Sure?" } } },
    function(step) return step.id ~= "2", "not asked for" end)
  t.equal(statuses(made), { "skipped", "skipped", "line" })
  local text = plan_text.text(made)
  t.match(text, "point of no return")
  t.match(text, "asks: Sure%?")
  t.match(text, "not asked for")
end)

test("the way back is named, or why there is none", function(t)
  local case <close> = cases.new()
  local w = case.world
  local made = plan_of(case, {
    { id = "1", ensure = { w:becomes("x", "1") } },
    { id = "2", ensure = { w:becomes("y", "1", nil, { no_undo = true }) },
      irreversible = "mail is sent" },
    { id = "3", lasts = "run", ensure = { w:becomes("z", "1") } } })
  t.match(made.steps[1].undo, "own undo")
  t.equal(made.steps[2].undo, "none: mail is sent")
  t.match(made.steps[3].undo, "end of the run")
end)

test("an approval is for names and settings; positions may move", function(t)
  local case <close> = cases.new()
  local w = case.world
  local function hash(args)
    local goal = toy.goal { title = "g", check = function()
      return w:is("y", "1")
    end, apply = function()
      return effect.perform { primitive = "p", target = "t", resume = "set",
                              summary = "s", args = args, send = error }
    end }
    return plan_of(case, { { id = "1", ensure = { goal } } }).steps[1].hash
  end
  t.equal(hash { topic = "a", offset = 5 }, hash { topic = "a", offset = 9 })
  t.ok(hash { topic = "a", offset = 5 } ~= hash { topic = "b", offset = 5 })
  t.ok(hash { v = "1h" } ~= hash { v = "2h" })
end)

test("a plan is data with a format", function(t)
  local case <close> = cases.new()
  local w = case.world
  local made = plan_of(case, { { id = "1", ensure = { w:becomes("x", "1") } } })
  local again = json.decode(json.encode(made))
  t.equal(again.format, 1)
  t.equal(again.steps[1].effects[1].after, "1")
end)
