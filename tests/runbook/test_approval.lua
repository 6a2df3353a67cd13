--- Approvals: given, denied and expired, at the terminal and from another
-- process; nothing else answers.

local test = ...

local sys = require "vm.sys"
local task = require "vm.task"
local approval = require "runbook.drive.approval"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/toy/case.lua")),
                          "@" .. here .. "/toy/case.lua"))()
local toy = cases.toy
local books = assert(load(assert(sys.read_file(here .. "/toy/books.lua")),
                          "@" .. here .. "/toy/books.lua"))(toy)

-- A person who types these lines, one after the other.
local function typist(lines)
  local at = 0
  return {
    line = function()
      at = at + 1
      if lines[at] then return lines[at] end
      task.flag():wait()
    end,
    close = function() end,
  }
end

test("typing the step's short name approves; who and when are kept", function(t)
  local case <close> = cases.new()
  local person = typist { "y", "yes", "8" }
  t.equal(case:run(books.ask(case.world), { terminal = person }), 0)
  local given = case:of_kind "approval.given"
  t.equal(#given, 1)
  t.equal(given[1].how, "terminal")
  t.match(given[1].who, "@")
  t.ok(given[1].time > 0)
  t.ok(given[1].seq < case:of_kind("effect.intent")[1].seq)
end)

test("deny at the terminal stops: 1, nothing sent", function(t)
  local case <close> = cases.new()
  t.equal(case:run(books.ask(case.world), { terminal = typist { "deny" } }), 1)
  t.equal(case.world:all(), {})
  t.equal(case:state().steps["8"].state, "stopped")
end)

test("an approval that nobody answers expires: 6", function(t)
  local case <close> = cases.new()
  t.equal(case:run(books.ask(case.world, 80)), 6)
  t.equal(#case:of_kind "approval.expired", 1)
  t.equal(case.world:all(), {})
end)

test("--no-wait leaves with 6; the question stays open", function(t)
  local case <close> = cases.new()
  t.equal(case:run(books.ask(case.world, 60000), { no_wait = true }), 6)
  t.match(case:talk(), "tranship approve %x+ 8")
  t.equal(#case:of_kind "approval.asked", 1)
end)

local function answer_from_outside(case, verb, ...)
  return sys.run { sys.executable(), verb, "--state", case.root,
                   case.run_folder.id, ... }
end

test("approve from a second process, while the run waits", function(t)
  local case <close> = cases.new()
  local process <close> = assert(sys.spawn {
    args = { sys.executable(), "--lua", here .. "/toy/drive.lua", case.folder,
             "ask", "run" },
    stdin = "null", stdout = "null", stderr = case.folder .. "/talk" })
  while not case:adopt() do task.sleep(20) end
  local said = assert(answer_from_outside(case, "approve", "8", "--wait",
                                          "--comment", "CHG7"))
  t.equal(said.code, 0, said.stderr)
  t.equal(assert(process:wait()).code, 0)
  t.equal(case.world:raw "x", "1")
  local given = case:of_kind("approval.given")[1]
  t.equal(given.how, "inbox")
  t.equal(given.comment, "CHG7")
end)

test("deny from a second process", function(t)
  local case <close> = cases.new()
  local process <close> = assert(sys.spawn {
    args = { sys.executable(), "--lua", here .. "/toy/drive.lua", case.folder,
             "ask", "run" },
    stdin = "null", stdout = "null", stderr = case.folder .. "/talk" })
  while not case:adopt() do task.sleep(20) end
  t.equal(assert(answer_from_outside(case, "deny", "8", "--wait")).code, 0)
  t.equal(assert(process:wait()).code, 1)
  t.equal(case.world:all(), {})
end)

test("an answer given while nobody drives counts on resume", function(t)
  local case <close> = cases.new()
  local book = books.ask(case.world, 60000)
  t.equal(case:run(book, { no_wait = true }), 6)
  local said = assert(answer_from_outside(case, "approve", "8"))
  t.equal(said.code, 0)
  t.match(said.stderr, "nobody drives the run")
  t.equal(case:resume(book, { no_wait = true }), 0)
  t.equal(#case:of_kind "approval.asked", 1)
end)

test("an answer for a plan that changed does not count", function(t)
  local case <close> = cases.new()
  local book = books.ask(case.world, 60000)
  t.equal(case:run(book, { no_wait = true }), 6)
  t.equal(assert(answer_from_outside(case, "approve", "8")).code, 0)
  local w = case.world
  local other = toy.book { { id = "8", approve = { question = "Go?" },
                             ensure = { w:becomes("x", "2") } } }
  t.equal(case:resume(other, { no_wait = true }), 6)
  t.equal(#case:of_kind "approval.void", 1)
  t.equal(#case:of_kind "approval.asked", 2)
  t.equal(w:all(), {})
end)

test("approve refuses what is not asked: 4", function(t)
  local case <close> = cases.new()
  t.equal(case:run(toy.book { { id = "1", ensure = {
    case.world:becomes("x", "1") } } }), 0)
  local said = assert(answer_from_outside(case, "approve", "1"))
  t.equal(said.code, 4)
  t.match(said.stderr, "does not ask")
end)

test("a note in the inbox counts only for its question", function(t)
  local case <close> = cases.new()
  local book = books.ask(case.world, 60000)
  t.equal(case:run(book, { no_wait = true }), 6)
  local asked = case:of_kind("approval.asked")[1]
  for _, change in ipairs { { "plan", "0" }, { "asked", 1 }, { "step", "9" } } do
    local other = {}
    for name, value in pairs(asked) do other[name] = value end
    other.seq = asked.seq
    if change[1] == "asked" then other.seq = change[2]
    else other[change[1]] = change[2] end
    assert(approval.leave(case.run_folder, other, "given", "me@here"))
  end
  assert(sys.write_file(case.run_folder.inbox .. "/broken.json", "{"))
  t.equal(approval.in_inbox(case.run_folder, asked), nil)
  t.equal(case:resume(book, { no_wait = true }), 6)
end)

test("no approval is asked for a step that is so already", function(t)
  local case <close> = cases.new()
  case.world:poke("x", "1")
  t.equal(case:run(books.ask(case.world)), 0)
  t.equal(#case:of_kind "approval.asked", 0)
end)

test("--yes and the environment answer no approval", function(t)
  local case <close> = cases.new()
  t.equal(case:run(books.ask(case.world, 60), { yes = true }), 6)
  t.equal(#case:of_kind "approval.given", 0)
end)

test("the line waits for its approval", function(t)
  local case <close> = cases.new()
  local book = toy.book { { kind = "ponr", id = "line", title = "The line",
                            approve = { question = "Cross?" } } }
  t.equal(case:run(book, { no_wait = true }), 6)
  t.equal(case:state().crossed, nil)
  t.equal(case:resume(book, { terminal = typist { "line" } }), 0)
  t.ok(case:state().crossed)
end)
