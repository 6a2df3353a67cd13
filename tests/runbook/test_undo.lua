--- The way back: every on_failure, loans, gaps, the line.

local test = ...

local sys = require "vm.sys"
local task = require "vm.task"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/toy/case.lua")),
                          "@" .. here .. "/toy/case.lua"))()
local toy = cases.toy

local NO_RIGHT = { kind = "denied", message = "no right" }

-- Three steps; the third fails `times` times.
local function three(case, on_failure, times)
  local w = case.world
  w:fail("z", NO_RIGHT, times or 1)
  return toy.book {
    { id = "1", ensure = { w:becomes("x", "1", nil, { effect_undo = true }) } },
    { id = "2", ensure = { w:becomes("y", "1", nil, { effect_undo = true }) } },
    { id = "3", on_failure = on_failure,
      ensure = { w:becomes("y2", "1"), w:becomes("z", "1") } },
  }
end

test("on_failure stop: stays where it is, resumable", function(t)
  local case <close> = cases.new()
  local book = three(case)
  t.equal(case:run(book), 1)
  t.equal(case.world:all(), { x = "1", y = "1", y2 = "1" })
  t.match(case:talk(), "tranship resume")
  t.equal(case:resume(book), 0)
  t.equal(case.world:all(), { x = "1", y = "1", y2 = "1", z = "1" })
end)

test("on_failure undo this: the half-done step is taken back", function(t)
  local case <close> = cases.new()
  local book = three(case, { kind = "undo this" })
  t.equal(case:run(book), 5)
  t.equal(case.world:all(), { x = "1", y = "1" })
  t.equal(case:state().steps["3"].state, "undone")
  t.equal(case:resume(book), 0)
  t.equal(case.world:raw "z", "1")
end)

test("on_failure undo_to: everything after that step", function(t)
  local case <close> = cases.new()
  local book = three(case)
  book.by_id["3"].on_failure = { kind = "undo to", step = book.by_id["1"] }
  t.equal(case:run(book), 5)
  t.equal(case.world:all(), { x = "1" })
  t.equal(case:state().steps["1"].state, "done")
end)

test("on_failure undo all: reverse order of entering, run closed", function(t)
  local case <close> = cases.new()
  local book = three(case, { kind = "undo all" })
  t.equal(case:run(book), 5)
  t.equal(case.world:all(), {})
  t.equal(case:state().closed.outcome, "undone")
  local order = {}
  for _, record in ipairs(case:of_kind "undo.enter") do
    order[#order + 1] = record.step
  end
  t.equal(order, { "3", "2", "1" })
end)

test("on_failure go on: an attestation is passed over", function(t)
  local case <close> = cases.new()
  local w = case.world
  t.equal(case:run(toy.book {
    { id = "1", verify = { w:asks("q", "1") }, timeout_ms = 100,
      on_failure = { kind = "go on" } },
    { id = "2", ensure = { w:becomes("x", "1") } } }), 0)
  t.equal(w:raw "x", "1")
  t.equal(case:state().steps["1"].passed, true)
end)

test("on_failure ask: without a terminal the run waits", function(t)
  local case <close> = cases.new()
  t.equal(case:run(three(case, { kind = "ask" })), 6)
end)

test("on_failure ask: the answer at the terminal counts", function(t)
  for choice, exit in pairs { retry = 0, ["undo this"] = 5, stop = 1 } do
    local case <close> = cases.new()
    local person = { line = function() return choice end,
                     close = function() end }
    t.equal(case:run(three(case, { kind = "ask" }), { terminal = person }), exit,
            choice)
  end
end)

test("on_failure rescue: its steps run, then the step again", function(t)
  local case <close> = cases.new()
  local w = case.world
  local function book(next_one)
    return toy.book {
      { id = "1", verify = { w:asks("q", "1") }, timeout_ms = 100,
        on_failure = { kind = "rescue", next = next_one, steps = {
          { id = "more", ensure = { w:becomes("q", "1") } } } } },
      { id = "2", ensure = { w:becomes("x", "1") } } }
  end
  t.equal(case:run(book "retry"), 0)
  t.equal(w:all(), { q = "1", x = "1" })
end)

test("on_failure rescue: stop and go on, and only once", function(t)
  local case <close> = cases.new()
  local w = case.world
  local function book(next_one)
    return toy.book { { id = "1", verify = { w:asks("q", "2") },
      timeout_ms = 100, on_failure = { kind = "rescue", next = next_one,
      steps = { { id = "more", ensure = { w:becomes("r", next_one) } } } } } }
  end
  t.equal(case:run(book "stop"), 1)
  t.equal(case:run(book "go on"), 0)
  t.equal(case:run(book "retry"), 1)
  t.equal(w:raw "r", "retry")
end)

test("undo: a step that was found so is left alone", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("x", "1")
  local book = three(case, { kind = "undo all" })
  t.equal(case:run(book), 5)
  t.equal(w:all(), { x = "1" })
end)

test("undo: an irreversible step stays and is named", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = toy.book {
    { id = "1", irreversible = "mail cannot be unsent",
      ensure = { w:becomes("x", "1", nil, { no_undo = true }) } },
    { id = "2", ensure = { w:becomes("y", "1") } } }
  t.equal(case:run(book, { select = { until_to = "1" } }), 0)
  t.equal(case:undo(book), 5)
  t.equal(w:all(), { x = "1" })
  t.match(case:talk(), "kept: step 1")
end)

test("undo: when one fails the rest stays, exit 7", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = three(case, nil, 1)
  t.equal(case:run(book), 1)
  w:fail("y", NO_RIGHT, 1)
  t.equal(case:undo(book), 7)
  t.equal(w:all(), { x = "1", y = "1" })
  t.equal(case:state().steps["2"].state, "undo failed")
  t.match(case:talk(), "settle .* 2 %-%-as undone")
  t.equal(case:resume(book), 5)
  t.equal(w:all(), {})
end)

test("undo --to stays at that step", function(t)
  local case <close> = cases.new()
  local book = three(case)
  t.equal(case:run(book), 1)
  t.equal(case:undo(book, { to = "1" }), 5)
  t.equal(case.world:all(), { x = "1" })
  t.equal(case:undo(book, { to = "nope" }), 4)
end)

test("undo: a finished run can be taken back", function(t)
  local case <close> = cases.new()
  local book = three(case, nil, 0)
  t.equal(case:run(book), 0)
  t.equal(case:undo(book), 5)
  t.equal(case.world:all(), {})
end)

-- Loans -------------------------------------------------------------------------

local function with_loan(case, last)
  local w = case.world
  return toy.book {
    { id = "pause", lasts = "run",
      ensure = { w:becomes("gitops", "paused", nil, { effect_undo = true }) } },
    last or { id = "2", ensure = { w:becomes("y", "1") } } }
end

test("a loan is paid after success", function(t)
  local case <close> = cases.new()
  t.equal(case:run(with_loan(case)), 0)
  t.equal(case.world:all(), { y = "1" })
  t.equal(#case:state():debts(), 0)
end)

test("a loan is paid after a failure, and taken again on resume", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("y", NO_RIGHT, 1)
  local paused
  local book = with_loan(case, { id = "2", ensure = { toy.goal { title = "y",
    check = function() return w:is("y", "1") end,
    apply = function() paused = w:raw "gitops" return w:set("y", "1") end } } })
  t.equal(case:run(book), 1)
  t.equal(w:raw "gitops", nil)
  t.equal(case:resume(book), 0)
  t.equal(paused, "paused")
  t.equal(w:all(), { y = "1" })
end)

test("a loan is paid after an undo", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = with_loan(case, { id = "2", on_failure = { kind = "undo all" },
    ensure = { w:becomes("y", "1") } })
  w:fail("y", NO_RIGHT, 1)
  t.equal(case:run(book), 5)
  t.equal(w:all(), {})
end)

test("a loan that cannot be paid is owed: exit 7", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = with_loan(case, { id = "2", ensure = { toy.goal { title = "y",
    check = function() return w:is("y", "1") end,
    apply = function()
      w:fail("gitops", NO_RIGHT, 1)
      return w:set("y", "1")
    end } } })
  t.equal(case:run(book), 7)
  t.match(case:talk(), "OWED")
  t.equal(#case:state():debts "loan", 1)
end)

test("a loan found so already is nobody's debt", function(t)
  local case <close> = cases.new()
  case.world:poke("gitops", "paused")
  t.equal(case:run(with_loan(case)), 0)
  t.equal(case.world:raw "gitops", "paused")
end)

-- Gaps --------------------------------------------------------------------------

local function moving(case, on_failure)
  local w = case.world
  w:poke("app.old", "up")
  return toy.book { { id = "6", on_failure = on_failure,
                      ensure = { w:moves("app", "new", "old") } } }
end

test("a gap is opened before, timed and paid", function(t)
  local case <close> = cases.new()
  t.equal(case:run(moving(case)), 0)
  t.equal(#case:of_kind "owed.open", 1)
  t.equal(case:of_kind("owed.open")[1].title, "app is down")
  t.equal(#case:of_kind "owed.paid", 1)
end)

test("a failure inside a gap leaves it owed: exit 7, said large", function(t)
  local case <close> = cases.new()
  case.world:fail("app.new", NO_RIGHT, 1)
  local book = moving(case)
  t.equal(case:run(book), 7)
  t.match(case:talk(), "OWED   app is down")
  t.equal(case:resume(book), 0)
  t.equal(#case:state():debts(), 0)
  t.equal(#case:of_kind "owed.open", 1)
end)

test("a move is undone by the move back, and the gap is closed", function(t)
  local case <close> = cases.new()
  case.world:fail("app.new", NO_RIGHT, 1)
  t.equal(case:run(moving(case, { kind = "undo this" })), 5)
  t.equal(case.world:raw "app.old", "up")
  t.equal(case.world:raw "app.new", nil)
  t.equal(#case:state():debts(), 0)
end)

-- The line ----------------------------------------------------------------------

test("undo never crosses the point of no return", function(t)
  local case <close> = cases.new()
  local w = case.world
  local function book(third)
    return toy.book { { id = "1", ensure = { w:becomes("x", "1") } },
      { kind = "ponr", id = "line" },
      { id = "2", ensure = { w:becomes("y", "1") } }, third }
  end
  local failing = { id = "3", ensure = { w:becomes("z", "1") } }
  w:fail("z", NO_RIGHT, 1)
  t.equal(case:run(book(failing)), 1)
  t.equal(case:undo(book(failing)), 5)
  t.equal(w:all(), { x = "1" })
  t.equal(case:state().steps["1"].sealed, true)
  t.equal(case:undo(book(failing)), 4)
  t.match(case:talk(), "nothing behind it is taken back")
end)

test("the line is not crossed inside a gap", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("app.new", NO_RIGHT, 1)
  local book = moving(case, { kind = "rescue", next = "go on", steps = {
    { id = "call", ensure = { w:becomes("called", "1") } } } })
  book = toy.book { book.steps[1],
                    { kind = "ponr", id = "line", title = "the line" } }
  t.equal(case:run(book), 7)
  t.match(case:talk(), "cannot be crossed inside a gap")
  t.equal(case:state().crossed, nil)
end)

test("the line is written only after the proofs it needs are fresh", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("x", "1")
  local proof = { id = "1", verify = { w:asks("x", "1") }, timeout_ms = 100,
                  good_for_ms = 1 }
  local breaking = { id = "2", check = { function() return w:is("y", "1") end },
    apply = function()
      task.sleep(20)
      w:poke("x", "2")
      return w:set("y", "1")
    end }
  local book = toy.book { proof, breaking,
    { kind = "ponr", id = "line", needs = { proof } } }
  t.equal(case:run(book), 1)
  t.equal(case:state().crossed, nil)
end)
