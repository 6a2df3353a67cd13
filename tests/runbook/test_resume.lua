--- What resume does after each kind of crash: the table of the journal, row by
-- row; drift, two operators, settling, other clusters.

local test = ...

local sys = require "vm.sys"
local err = require "base.err"
local runs = require "runbook.record.runs"
local sessions = require "runbook.drive.session"
local settling = require "runbook.drive.settling"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/toy/case.lua")),
                          "@" .. here .. "/toy/case.lua"))()
local toy = cases.toy

local NO_RIGHT = { kind = "denied", message = "no right" }

-- Runs a toy book in a process that kills itself at a point.
local function kill_at(case, book, point, verb)
  local result = assert(sys.run {
    args = { sys.executable(), "--lua", here .. "/toy/drive.lua", case.folder,
             book, verb or "run" },
    env = { TRANSHIP_CRASH_AT = point }, stdin = "null" })
  assert(result.signal, "it did not die at " .. point)
  return assert(case:adopt())
end

local function go_on(case, book)
  local result = assert(sys.run {
    args = { sys.executable(), "--lua", here .. "/toy/drive.lua", case.folder,
             book, "resume" }, stdin = "null" })
  return result.code, result.stderr
end

-- Crashes after the n-th record of a kind.
local function after(case, book, kind, nth)
  local clean <close> = cases.new()
  local result = assert(sys.run { args = { sys.executable(), "--lua",
    here .. "/toy/drive.lua", clean.folder, book, "run" }, stdin = "null" })
  assert(result.code)
  clean:adopt()
  local found = 0
  for _, record in ipairs(clean:records()) do
    if record.kind == kind then
      found = found + 1
      if found == (nth or 1) then
        return kill_at(case, book, "journal:after:" .. record.seq)
      end
    end
  end
  error("no record " .. kind)
end

-- The table -----------------------------------------------------------------------

test("before enter, or in check: starts or checks again", function(t)
  for _, kind in ipairs { "baseline", "step.enter", "check.answer" } do
    local case <close> = cases.new()
    after(case, "short", kind)
    case.world:poke("consumer.old", "up")
    t.equal(go_on(case, "short"), 0, kind)
    t.equal(case.world:raw "x", "1")
  end
end)

test("after intent, unsent: set is sent", function(t)
  local case <close> = cases.new()
  kill_at(case, "long", "effect:before:1")
  t.equal(#case:state():in_doubt(), 1)
  t.equal(case.world:raw "a", nil)
  t.equal(go_on(case, "long"), 0)
  t.equal(case:sends "a", 1)
end)

test("after intent, sent: check says yes, nothing is sent again", function(t)
  local case <close> = cases.new()
  kill_at(case, "long", "effect:after:1")
  t.equal(#case:state():in_doubt(), 1)
  t.equal(go_on(case, "long"), 0)
  t.equal(case:sends "a", 1)
  t.equal(case:of_kind("effect.settled")[1].as, "found")
end)

test("after the last outcome: check, verify, nothing applied again", function(t)
  local case <close> = cases.new()
  after(case, "long", "effect.outcome")
  t.equal(go_on(case, "long"), 0)
  t.equal(case:sends "a", 1)
  t.equal(case:state().steps["6"].how, "applied")
end)

test("in verify: verifies from the start", function(t)
  local case <close> = cases.new()
  case.world:poke("consumer.old", "up")
  case.world:poke("producer.old", "up")
  after(case, "whole", "verify.answer", 2)
  local before = #case:of_kind "verify.answer"
  t.equal(go_on(case, "whole"), 0)
  t.ok(#case:of_kind "verify.answer" > before)
end)

test("in undo: goes on with the undo", function(t)
  local case <close> = cases.new()
  case.world:poke("consumer.old", "up")
  case.world:poke("producer.old", "up")
  after(case, "back", "undo.enter", 2)
  t.equal(case:state().direction, "back")
  t.equal(go_on(case, "back"), 5)
  t.equal(#case:of_kind "undo.begin", 1)
  t.equal(case.world:raw "consumer.old", "up")
end)

test("crossing the line: crossed once it is written, not before", function(t)
  local case <close> = cases.new()
  case.world:poke("consumer.old", "up")
  case.world:poke("producer.old", "up")
  after(case, "whole", "ponr.crossed")
  t.ok(case:state().crossed)
  t.equal(go_on(case, "whole"), 0)
  t.equal(#case:of_kind "ponr.crossed", 1)
end)

test("while asking: an open question is not asked twice", function(t)
  local case <close> = cases.new()
  kill_at(case, "ask", "journal:after:5")
  t.equal(case:state().last.kind, "approval.asked")
  local book = toy.book { { id = "8", approve = { question = "Go?",
    within_ms = 60000 }, ensure = { case.world:becomes("x", "1") } } }
  t.equal(case:resume(book, { no_wait = true }), 6)
  t.equal(#case:of_kind "approval.asked", 1)
end)

test("while asking: an expired question is asked anew", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = toy.book { { id = "8", approve = { question = "Go?",
    within_ms = 1 }, ensure = { w:becomes("x", "1") } } }
  t.equal(case:run(book, { no_wait = true }), 6)
  t.equal(case:resume(book, { no_wait = true }), 6)
  t.equal(#case:of_kind "approval.expired", 1)
  t.equal(#case:of_kind "approval.asked", 2)
end)

test("a steady clock restarts", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("x", "1")
  local book = toy.book { { id = "1", verify = { w:asks("x", "1") },
                            steady_ms = 800, timeout_ms = 100 } }
  t.equal(case:run(book), 1)
  book.steps[1].timeout_ms = 5000
  t.equal(case:resume(book), 0)
end)

-- Resume classes -----------------------------------------------------------------

-- A step of one effect that dies between intent and outcome, whose check
-- cannot see it (as with a webhook).
local function in_doubt(case, class, sent, probe)
  local w = case.world
  local goal = toy.goal { title = "one", check = function()
      return w:is("seen", "1")
    end,
    apply = function()
      local effect = require "base.effect"
      local ok, why = effect.perform {
        primitive = "toy.one", target = "one", resume = class,
        summary = "the one effect", args = { n = 1 }, probe = probe,
        send = function()
          if case.dying then
            if sent then w:poke("thing", "1") end
            return nil, err.new { kind = "timeout", message = "no answer" }
          end
          if class == "create" and w:raw "thing" then
            return nil, err.new { kind = "exists", message = "it exists" }
          elseif class == "delete" and not w:raw "thing" then
            return nil, err.new { kind = "not found", message = "gone" }
          end
          case.count = (case.count or 0) + 1
          w:poke("thing", "1")
          return true
        end }
      if ok == nil then return nil, why end
      return w:set("seen", "1")
    end }
  local book = toy.book { { id = "1", ensure = { goal } } }
  case.dying = true
  local exit = case:run(book)
  case.dying = false
  return book, exit
end

test("set in doubt: repeated", function(t)
  local case <close> = cases.new()
  local book, exit = in_doubt(case, "set", true)
  t.equal(exit, 1)
  t.equal(#case:state():in_doubt(), 1)
  t.equal(case:resume(book), 0)
  t.equal(case.count, 1)
  t.equal(#case:state():in_doubt(), 0)
end)

test("create in doubt: exists is fine", function(t)
  for _, sent in ipairs { true, false } do
    local case <close> = cases.new()
    t.equal(case:resume((in_doubt(case, "create", sent))), 0)
    t.equal(case.world:raw "thing", "1")
    t.equal(#case:state():in_doubt(), 0)
  end
end)

test("create without a doubt: exists is a failure", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:poke("thing", "1")
  local goal = toy.goal { title = "x", check = function()
    return w:is("seen", "1")
  end, apply = function() return w:set("thing", "2", { resume = "create" }) end }
  t.equal(case:run(toy.book { { id = "1", ensure = { goal } } }), 1)
  t.match(case:talk(), "exists")
end)

test("create in doubt, but of something else: a failure", function(t)
  local case <close> = cases.new()
  local w = case.world
  local value = "1"
  local goal = toy.goal { title = "x",
    check = function() return w:is("seen", "1") end,
    apply = function()
      local ok, why = w:set("thing", value, { resume = "create" })
      if ok == nil then return nil, why end
      return w:set("seen", "1")
    end }
  w:fail("thing", { kind = "timeout", message = "no answer" }, 1)
  local book = toy.book { { id = "1", ensure = { goal } } }
  t.equal(case:run(book), 1)
  value = "2"
  w:poke("thing", "of another")
  t.equal(case:resume(book), 1)
  t.match(case:talk(), "exists")
end)

test("delete in doubt: gone is fine", function(t)
  local case <close> = cases.new()
  t.equal(case:resume((in_doubt(case, "delete", false))), 0)
end)

test("fire in doubt: never repeated unasked, exit 7", function(t)
  local case <close> = cases.new()
  local book, exit = in_doubt(case, "fire", true)
  t.equal(exit, 7)
  t.equal(case:resume(book), 7)
  t.equal(case.count, nil)
  t.match(case:talk(), "settle %x+ 1 %-%-as")
end)

test("append in doubt: the marker is read back", function(t)
  for _, there in ipairs { true, false } do
    local case <close> = cases.new()
    local book = in_doubt(case, "append", there, function() return there end)
    t.equal(case:resume(book), 0)
    t.equal(case.count, not there and 1 or nil)
  end
end)

-- Settling -----------------------------------------------------------------------

local function settle(case, book, id, as)
  local session <close> = assert(sessions.open(case.run_folder))
  session.operator = "tester@here"
  settling.step(session, book.by_id[id], as, "looked at it", true)
end

test("settle done: nothing is sent again", function(t)
  local case <close> = cases.new()
  local book = in_doubt(case, "fire", true)
  settle(case, book, "1", "done")
  case.world:poke("seen", "1")
  t.equal(case:resume(book), 0)
  t.equal(case.count, nil)
  local said = case:of_kind("settle")[1]
  t.equal({ said.who, said.because, said.as },
          { "tester@here", "looked at it", "done" })
end)

test("settle not-done: the effect is sent again", function(t)
  local case <close> = cases.new()
  local book = in_doubt(case, "fire", false)
  settle(case, book, "1", "not-done")
  t.equal(case:resume(book), 0)
  t.equal(case.count, 1)
end)

test("settle undone after a failed undo: the way back goes on", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = toy.book {
    { id = "1", ensure = { w:becomes("x", "1", nil, { effect_undo = true }) } },
    { id = "2", ensure = { w:becomes("y", "1", nil, { effect_undo = true }) } } }
  t.equal(case:run(book), 0)
  w:fail("y", NO_RIGHT, 1)
  t.equal(case:undo(book), 7)
  w:poke("y", nil)
  settle(case, book, "2", "undone")
  t.equal(case:resume(book), 5)
  t.equal(w:all(), {})
end)

test("a run that is given up owns nothing", function(t)
  local case <close> = cases.new()
  local w = case.world
  local cluster = { { name = "a", bootstrap = "h:1" } }
  w:fail("y", NO_RIGHT, 1)
  local function book()
    return toy.book({ { id = "1", ensure = { w:becomes("x", "1") } },
                      { id = "2", ensure = { w:becomes("y", "1") } } },
                    { clusters = cluster })
  end
  t.equal(case:run(book()), 1)
  local exit, why = case:run(book())
  t.equal(exit, nil)
  t.match(why, "owns broker h:1")
  do
    local session <close> = assert(sessions.open(case.run_folder))
    session.operator = "tester@here"
    settling.give_up(session, "begun anew")
  end
  t.equal(case:run(book()), 0)
end)

-- Drift and others ----------------------------------------------------------------

test("drift: a done step that is no longer so stops the resume: 4", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("y", NO_RIGHT, 1)
  local book = toy.book { { id = "1", ensure = { w:becomes("x", "1") } },
                          { id = "2", ensure = { w:becomes("y", "1") } } }
  t.equal(case:run(book), 1)
  w:poke("x", "changed by hand")
  t.equal(case:resume(book), 4)
  t.match(case:talk(), "step 1 is no longer so: .*changed by hand")
  t.equal(w:raw "y", nil)
  w:poke("x", "1")
  t.equal(case:resume(book), 0)
end)

test("no drift: a later step about the same subject speaks for it", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("z", NO_RIGHT, 1)
  local book = toy.book {
    { id = "open", ensure = { w:becomes("road", "open") } },
    { id = "close", ensure = { w:becomes("road", "closed") } },
    { id = "z", ensure = { w:becomes("z", "1") } } }
  t.equal(case:run(book), 1)
  t.equal(case:resume(book), 0)
end)

test("no drift: a later step about a prefix of the subject, half done", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("b", NO_RIGHT, 1)
  local book = toy.book {
    { id = "1", ensure = { w:becomes("a", "1", nil, { subject = "app/x/a" }) } },
    { id = "2", ensure = { toy.goal { title = "both", subject = "app/x",
      check = function() return w:is("b", "1") end,
      apply = function() w:set("a", "2") return w:set("b", "1") end } } } }
  t.equal(case:run(book), 1)
  t.equal(case:resume(book), 0)
  t.equal(w:raw "a", "2")
end)

test("a run driven by another process is refused, and says by whom", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("x", NO_RIGHT, 1)
  local book = toy.book { { id = "1", ensure = { w:becomes("x", "1") } } }
  t.equal(case:run(book), 1)
  local session <close> = assert(sessions.open(case.run_folder))
  local exit, why = case:resume(book)
  t.equal(exit, nil)
  t.match(why, "is driven by .*@.* %(pid %d+")
  t.ok(session)
end)

test("two runs over the same clusters: the second is refused", function(t)
  local case <close> = cases.new()
  local w = case.world
  local function book(name, address)
    return toy.book({ { id = "1", ensure = { w:becomes("x", "1") } },
                      { id = "2", verify = { w:asks("never", "1") },
                        timeout_ms = 20 } },
                    { name = name, clusters = { { name = "c",
                                                  bootstrap = address } } })
  end
  t.equal(case:run(book("first", "h:1,h:2")), 1)
  local first = case.run_folder.id
  local exit, why = case:run(book("second", "h:2"))
  t.equal(exit, nil)
  t.equal(why.kind, "claimed")
  for _, part in ipairs { first, "first", "@", "step 2", "h:2", "resume" } do
    t.match(why, part)
  end
  t.equal(#runs.ids(case.root), 1)
  t.equal(case:run(book("third", "other:9")), 1)
end)

test("a run that changed nothing keeps nothing from others", function(t)
  local case <close> = cases.new()
  local w = case.world
  local function book()
    return toy.book({ { id = "1", verify = { w:asks("no", "1") },
                        timeout_ms = 20 } },
                    { clusters = { { name = "c", bootstrap = "h:1" } } })
  end
  t.equal(case:run(book()), 1)
  t.equal(case:run(book()), 1)
end)

test("another cluster than at the beginning is refused", function(t)
  local case <close> = cases.new()
  local w = case.world
  local id = "first-id"
  local book = toy.book({ { id = "1", ensure = { w:becomes("x", "1") } },
                          { id = "2", verify = { w:asks("no", "1") },
                            timeout_ms = 20 } },
    { clusters = { { name = "c", id = function() return id end } } })
  t.equal(case:run(book), 1)
  id = "other-id"
  local exit, why = case:resume(book)
  t.equal(exit, nil)
  t.match(why, "was first%-id when this run began and answers as other%-id")
end)

test("a cluster that does not answer refuses before anything", function(t)
  local case <close> = cases.new()
  local w = case.world
  local book = toy.book({ { id = "1", ensure = { w:becomes("x", "1") } } },
    { clusters = { { name = "c", id = function()
      return nil, err.new { kind = "unavailable", message = "no broker" }
    end } } })
  local exit, why = case:run(book)
  t.equal(exit, nil)
  t.match(why, "no broker")
  t.equal(#runs.ids(case.root), 0)
end)

test("a closed run is not gone on with", function(t)
  local case <close> = cases.new()
  local book = toy.book { { id = "1", ensure = { case.world:becomes("x", "1") } } }
  t.equal(case:run(book), 0)
  t.equal(case:undo(book), 5)
  for _, verb in ipairs { "resume", "undo" } do
    local exit, why = case[verb](case, book)
    t.equal(exit, nil)
    t.match(why, "is undone; there is nothing to go on with")
  end
  t.equal(case.world:all(), {})
end)

test("a tampered journal is refused and left as it is", function(t)
  local case <close> = cases.new()
  local w = case.world
  w:fail("y", NO_RIGHT, 1)
  local book = toy.book { { id = "1", ensure = { w:becomes("x", "1") } },
                          { id = "2", ensure = { w:becomes("y", "1") } } }
  t.equal(case:run(book), 1)
  local file = case.run_folder.journal
  local text = sys.read_file(file):gsub("x becomes 1", "x becomes 7")
  assert(sys.write_file(file, text))
  local exit, why = case:resume(book)
  t.equal(exit, nil)
  t.equal(why.kind, "tampered")
  t.equal(sys.read_file(file), text)
end)

test("an archive that was changed is refused", function(t)
  local case <close> = cases.new()
  t.equal(case:run(toy.book { { id = "1", ensure = {
    case.world:becomes("x", "1") } } }), 0)
  local archive = require "runbook.record.archive"
  local expected = case:state().open.archive
  t.ok(archive.load(case.run_folder.archive, expected))
  for _, name in ipairs(sys.list(case.run_folder.archive)) do
    local path = case.run_folder.archive .. "/" .. name
    local text = sys.read_file(path)
    assert(sys.write_file(path, text .. " "))
    t.fails("tampered", archive.load(case.run_folder.archive, expected))
    assert(sys.write_file(path, text))
  end
end)

test("the bridge is looked at on every exit", function(t)
  local case <close> = cases.new()
  local w = case.world
  local bridge = { name = "event-bus", status = function()
    return { alive = true, pid = 4711, lag = 14 }
  end }
  w:fail("x", NO_RIGHT, 1)
  local book = toy.book({ { id = "1", ensure = { w:becomes("x", "1") } } },
                        { bridges = { bridge } })
  t.equal(case:run(book), 1)
  t.match(case:talk(), "bridge event%-bus: still copying, pid 4711, lag 14")
  t.equal(case:of_kind("bridge")[1].lag, 14)
  bridge.status = function() return nil, err.new { message = "no answer" } end
  t.equal(case:resume(book), 0)
  t.match(case:talk(), "cannot be asked")
end)
