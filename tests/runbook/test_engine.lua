--- The engine's states, one by one, over a toy world of files.

local test = ...

local context = require "base.context"
local sys = require "vm.sys"
local task = require "vm.task"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/toy/case.lua")),
                          "@" .. here .. "/toy/case.lua"))()
local toy = cases.toy

local function state_of(case, id) return case:state().steps[id].state end

test("a step that is not so is applied, checked again and done", function(t)
  local case <close> = cases.new()
  local w = case.world
  t.equal(case:run(toy.book { { id = "1", ensure = { w:becomes("x", "1") } } }), 0)
  t.equal(w:raw "x", "1")
  local step = case:state().steps["1"]
  t.equal(step.state, "done")
  t.equal(step.how, "applied")
  t.equal(case:state().closed.outcome, "done")
end)

test("a step that is so already is found, and nothing is sent", function(t)
  local case <close> = cases.new()
  case.world:poke("x", "1")
  t.equal(case:run(toy.book {
    { id = "1", ensure = { case.world:becomes("x", "1") } } }), 0)
  t.equal(case:state().steps["1"].how, "found")
  t.equal(#case.world:sent(), 0)
end)

test("goals of one step are reached in order", function(t)
  local case <close> = cases.new()
  local w = case.world
  t.equal(case:run(toy.book { { id = "1", ensure = {
    w:becomes("x", "1"), w:becomes("y", "2"), w:becomes("x2", "3") } } }), 0)
  t.equal(w:sent(), { "x=1", "y=2", "x2=3" })
end)

test("functions written in the step are a goal too", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = toy.book { { id = "1",
    check = { function() return w:is("x", "1") end },
    apply = function() return w:set("x", "1") end,
    verify = { function() return w:is("x", "1") end },
    undo = function() return w:set("x", nil) end,
  } }
  t.equal(case:run(book), 0)
  t.equal(w:raw "x", "1")
  t.equal(case:undo(book), 5)
  t.equal(w:raw "x", nil)
end)

test("when = no skips; what needs it by default goes on", function(t)
  local case <close> = cases.new()
  local w = case.world
  t.equal(case:run(toy.book {
    { id = "1", when = false, ensure = { w:becomes("x", "1") } },
    { id = "2", when = function() return w:is("x", "1") end,
      ensure = { w:becomes("y", "1") } },
    { id = "3", ensure = { w:becomes("z", "1") } },
  }), 0)
  t.equal(w:all(), { z = "1" })
  t.equal(state_of(case, "1"), "skipped")
  t.equal(state_of(case, "2"), "skipped")
end)

test("a written need that was skipped blocks, unless it is optional", function(t)
  local function attempt(optional)
    local case <close> = cases.new()
    local w = case.world
    local one = { id = "1", when = false, optional = optional,
                  ensure = { w:becomes("x", "1") } }
    local exit = case:run(toy.book {
      one, { id = "2", needs = { one }, ensure = { w:becomes("y", "1") } } })
    return exit, w:raw "y"
  end
  local exit, y = attempt(nil)
  t.equal({ exit, y }, { 1, nil })
  exit, y = attempt(true)
  t.equal({ exit, y }, { 0, "1" })
end)

test("check that is unsure stops the run", function(t)
  local case <close> = cases.new()
  local goal = toy.goal {
    title = "odd", check = function()
      return { ok = false, unsure = "two answers" }
    end, apply = function() error "must not be called" end,
  }
  t.equal(case:run(toy.book { { id = "1", ensure = { goal } } }), 1)
  t.equal(state_of(case, "1"), "stopped")
  t.match(case:talk(), "two answers")
end)

test("apply that changes nothing fails: check still says no", function(t)
  local case <close> = cases.new()
  local w = case.world
  local goal = toy.goal {
    title = "lazy", check = function() return w:is("x", "1") end,
    apply = function() return true end,
  }
  t.equal(case:run(toy.book { { id = "1", ensure = { goal } } }), 1)
  t.match(case:talk(), "check still says no")
  t.equal(state_of(case, "1"), "failed")
end)

test("a string error of a script is a failure, not a crash", function(t)
  local case <close> = cases.new()
  local goal = toy.goal { title = "bad",
                          check = function() return nil .. "x" end,
                          apply = function() end }
  t.equal(case:run(toy.book { { id = "1", ensure = { goal } } }), 1)
  t.match(case:talk(), "attempt to concatenate")
end)

test("retry goes on only after errors that may pass", function(t)
  local function attempt(retriable, times)
    local case <close> = cases.new()
    local w = case.world
    w:fail("x", { kind = "unavailable", message = "broker away",
                  retriable = retriable }, times)
    local exit = case:run(toy.book { { id = "1",
      retry = { times = 2, wait_ms = 5, up_to_ms = 20 },
      ensure = { w:becomes("x", "1") } } })
    return exit, #case:of_kind "step.retry"
  end
  local exit, tries = attempt(true, 2)
  t.equal({ exit, tries }, { 0, 2 })
  exit, tries = attempt(true, 3)
  t.equal({ exit, tries }, { 1, 2 })
  exit, tries = attempt(false, 1)
  t.equal({ exit, tries }, { 1, 0 })
end)

test("timeout cancels the step and leaves its effect in doubt", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = toy.book { { id = "1", timeout_ms = 60,
    ensure = { w:becomes("x", "1", nil, { slow_ms = 5000 }) } } }
  t.equal(case:run(book), 1)
  t.match(case:talk(), "not done within 0.06s")
  t.equal(#case:state():in_doubt(), 1)
  t.equal(w:raw "x", nil)
  local quick = toy.book { { id = "1", ensure = { w:becomes("x", "1") } } }
  t.equal(case:resume(quick), 0)
  t.equal(#case:state():in_doubt(), 0)
end)

test("a step whose time is over says what still went on", function(t)
  local case <close> = cases.new()
  local goal = toy.goal { title = "slow", check = function() return false end,
    apply = function()
      context.progress("%s", "2 of 3 pods are ready")
      task.sleep(5000)
    end }
  t.equal(case:run(toy.book { { id = "1", timeout_ms = 60, ensure = { goal } } }), 1)
  t.match(case:talk(), "2 of 3 pods are ready; not done within 0.06s")
end)

test("verify is asked until it is yes, within the timeout", function(t)
  local case <close> = cases.new()
  local w = case.world
  local poke = task.spawn(function() task.sleep(250) w:poke("x", "1") end)
  t.equal(case:run(toy.book {
    { id = "1", verify = { w:asks("x", "1") }, timeout_ms = 5000 } }), 0)
  poke:join()
  t.equal(case:state().steps["1"].how, "proved")
end)

test("verify that stays no fails with the last answer", function(t)
  local case <close> = cases.new()
  t.equal(case:run(toy.book {
    { id = "1", verify = { case.world:asks("x", "1") }, timeout_ms = 150 } }), 1)
  t.match(case:talk(), "x is 1: .*nothing")
end)

test("steady: a break without a timeout is a failure at once", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("x", "1")
  local seen, is = task.flag(), w.is
  w.is = function(...)
    local answer, why = is(...)
    seen:set()
    return answer, why
  end
  local poke = task.spawn(function() seen:wait() w:poke("x", "2") end)
  t.equal(case:run(toy.book {
    { id = "1", verify = { w:asks("x", "1", 2500) } } }), 1)
  poke:join()
  t.match(case:talk(), "did not stay")
end)

test("steady: with a timeout a break starts the clock anew", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("x", "1")
  local poke = task.spawn(function()
    task.sleep(100) w:poke("x", "2") task.sleep(1200) w:poke("x", "1")
  end)
  local began = task.now()
  t.equal(case:run(toy.book {
    { id = "1", verify = { w:asks("x", "1") }, steady_ms = 300,
      timeout_ms = 9000 } }), 0)
  poke:join()
  t.ok(task.now() - began >= 300)
end)

test("good_for: a proof too old is proved again before it is needed", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("x", "1")
  local proof = { id = "1", verify = { w:asks("x", "1") }, good_for_ms = 50 }
  local slow = { id = "2", check = { function() return w:is("y", "1") end },
    apply = function() task.sleep(120) return w:set("y", "1") end }
  t.equal(case:run(toy.book {
    proof, slow, { id = "3", needs = { proof },
                   ensure = { w:becomes("z", "1") } } }), 0)
  local proofs = 0
  for _, record in ipairs(case:of_kind "step.enter") do
    if record.step == "1" and record.proof then proofs = proofs + 1 end
  end
  t.ok(proofs >= 1, "proved again")
end)

test("a proof too old is proved again once for steps side by side", function(t)
  local case <close> = cases.new()
  local w, asked = case.world, 0
  local proof = { id = "1", good_for_ms = 400, verify = { function()
    asked = asked + 1
    task.sleep(50)
    return true
  end } }
  local slow = { id = "2", check = { function() return w:is("y", "1") end },
    apply = function() task.sleep(500) return w:set("y", "1") end }
  t.equal(case:run(toy.book { proof, slow, { kind = "parallel", title = "both", steps = {
    { id = "a", needs = { proof, slow }, ensure = { w:becomes("a", "1") } },
    { id = "b", needs = { proof, slow }, ensure = { w:becomes("b", "1") } } } } }), 0,
    case:talk())
  t.equal({ asked, w:raw "a", w:raw "b" }, { 2, "1", "1" })
end)

test("a stale proof that fails stops the step that needs it", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("x", "1")
  local proof = { id = "1", verify = { w:asks("x", "1") }, good_for_ms = 50,
                  timeout_ms = 150 }
  local slow = { id = "2", check = { function() return w:is("y", "1") end },
    apply = function()
      task.sleep(120)
      w:poke("x", "2")
      return w:set("y", "1")
    end }
  t.equal(case:run(toy.book {
    proof, slow, { id = "3", needs = { proof },
                   ensure = { w:becomes("z", "1") } } }), 1)
  t.equal(w:raw "z", nil)
end)

test("parallel: at most at_once side by side, the rest after them", function(t)
  local case <close> = cases.new()
  local w = case.world
  local now, most = 0, 0
  local function goal(key)
    return toy.goal { title = key, check = function() return w:is(key, "1") end,
      apply = function()
        now = now + 1
        most = math.max(most, now)
        task.sleep(20)
        now = now - 1
        return w:set(key, "1")
      end }
  end
  t.equal(case:run(toy.book { { kind = "parallel", title = "both", at_once = 2,
    steps = { { id = "a", ensure = { goal "a" } }, { id = "b", ensure = { goal "b" } },
              { id = "c", ensure = { goal "c" } } } },
    { id = "d", ensure = { w:becomes("d", "1") } } }), 0)
  t.equal(most, 2)
  t.equal(w:all(), { a = "1", b = "1", c = "1", d = "1" })
end)

test("parallel: after a failure what runs is finished, no more is started", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("a", { kind = "denied", message = "no right" }, 1)
  local slow = toy.goal { title = "b", check = function() return w:is("b", "1") end,
    apply = function() task.sleep(60) return w:set("b", "1") end }
  local book = toy.book { { kind = "parallel", title = "g", at_once = 2, steps = {
    { id = "a", ensure = { w:becomes("a", "1") } }, { id = "b", ensure = { slow } },
    { id = "c", ensure = { w:becomes("c", "1") } } } } }
  t.equal(case:run(book), 1)
  t.equal(w:all(), { b = "1" })
  t.equal(case:resume(book), 0)
  t.equal(w:all(), { a = "1", b = "1", c = "1" })
end)

test("parallel, cancel running: the others are cancelled", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("a", { kind = "denied", message = "no right" }, 1)
  local began = task.now()
  local book = toy.book { { kind = "parallel", title = "g", at_once = 2,
    on_first_failure = "cancel running", steps = {
      { id = "a", ensure = { w:becomes("a", "1") } },
      { id = "b", ensure = { w:becomes("b", "1", nil, { slow_ms = 5000 }) } } } } }
  t.equal(case:run(book), 1)
  t.ok(task.now() - began < 4000)
  t.equal(w:all(), {})
  t.equal(#case:state():in_doubt "b", 1)
end)

test("--step asks before each step", function(t)
  local case <close> = cases.new()
  local w = case.world
  local typed = { "go", "stop" }
  local person = { line = function() return table.remove(typed, 1) end,
                   close = function() end }
  t.equal(case:run(toy.book { { id = "1", ensure = { w:becomes("x", "1") } },
                              { id = "2", ensure = { w:becomes("y", "1") } } },
                   { terminal = person, ask_each = true }), 6)
  t.equal(w:all(), { x = "1" })
end)

test("read-only: every effect is refused", function(t)
  local case <close> = cases.new()
  local w = case.world
  t.equal(case:run(toy.book { { id = "1", ensure = { w:becomes("x", "1") } } },
                   { read_only = true }), 1)
  t.equal(#w:sent(), 0)
  t.equal(#case:of_kind "effect.intent", 0)
end)

test("check cannot change the world", function(t)
  local case <close> = cases.new()
  local w = case.world
  local goal = toy.goal { title = "sly", check = function()
    w:set("x", "1")
    return true
  end, apply = function() end }
  t.equal(case:run(toy.book { { id = "1", ensure = { goal } } }), 1)
  t.match(case:talk(), "only reads")
  t.equal(w:raw "x", nil)
end)

test("remember gives the same value to a later apply", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("y", { kind = "denied", message = "no right" }, 1)
  local book = toy.book { { id = "1", ensure = { toy.goal {
    title = "token", check = function() return w:is("y", "1") end,
    apply = function(_, run)
      local token = run:remember("token", function() return sys.hex(sys.random(8)) end)
      local number = tostring(run:random(1000000))
      local ok, why = w:set("token", token .. number)
      if ok == nil then return nil, why end
      return w:set("y", "1")
    end } } } }
  t.equal(case:run(book), 1)
  local first = w:raw "token"
  t.equal(case:resume(book), 0)
  t.equal(w:raw "token", first)
end)

test("baseline is taken before the first step and stays", function(t)
  local case <close> = cases.new()
  local w = case.world
  local size = 3
  local seen
  local book = toy.book({
    { id = "1", ensure = { toy.goal { title = "stop",
      check = function() return w:is("x", "1") end,
      apply = function() size = 0 return w:set("x", "1") end } } },
    { id = "2", ensure = { toy.goal { title = "start",
      check = function() return w:is("y", "1") end,
      apply = function(_, run)
        seen = run:baseline().workloads.app.size
        return w:set("y", "1")
      end } } },
  }, { workloads = { { name = "app", baseline = function()
    return { size = size }
  end } } })
  t.equal(case:run(book), 0)
  t.equal(seen, 3)
end)

test("--until stops after a step; resume goes on", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = toy.book { { id = "1", ensure = { w:becomes("x", "1") } },
                          { id = "2", ensure = { w:becomes("y", "1") } } }
  t.equal(case:run(book, { select = { until_to = "1" } }), 0)
  t.equal(w:all(), { x = "1" })
  t.equal(case:resume(book), 0)
  t.equal(w:all(), { x = "1", y = "1" })
end)

test("--from refuses unless everything above is so", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = toy.book { { id = "1", ensure = { w:becomes("x", "1") } },
                          { id = "2", ensure = { w:becomes("y", "1") } } }
  local exit, why = case:run(book, { select = { from = "2" } })
  t.equal(exit, nil)
  t.match(why, "leaves out step 1")
  w:poke("x", "1")
  t.equal(case:run(book, { select = { from = "2" } }), 0)
  t.equal(w:all(), { x = "1", y = "1" })
end)

test("--only and --skip go by tag or name", function(t)
  local case <close> = cases.new()
  local w = case.world
  local function book()
    return toy.book { { id = "1", tags = { "a" }, ensure = { w:becomes("x", "1") } },
                      { id = "2", tags = { "b" }, ensure = { w:becomes("y", "1") } } }
  end
  t.equal(case:run(book(), { select = { only = { "a" } } }), 0)
  t.equal(w:all(), { x = "1" })
  t.equal(case:run(book(), { select = { skip = { "1" } } }), 0)
  t.equal(w:all(), { x = "1", y = "1" })
end)

test("a reading that hangs is ended, and one that tells progress is not", function(t)
  local answers = require "runbook.drive.answer"
  local before = answers.QUIET_MS
  answers.QUIET_MS = 300
  local case <close> = cases.new()
  local told = 0
  local code = case:run(toy.book {
    { id = "1", verify = { function()
      for _ = 1, 6 do
        task.sleep(100)
        context.progress("%d", told)
        told = told + 1
      end
      return true
    end } },
    { id = "2", check = { function() return task.sleep(60000) end },
      apply = function() return true end },
  })
  answers.QUIET_MS = before
  t.equal({ code, told }, { 1, 6 })
  t.equal({ state_of(case, "1"), state_of(case, "2") }, { "done", "failed" })
  t.match(case:state().steps["2"].error.message, "no answer, and no sign of one")
end)
