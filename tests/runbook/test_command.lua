--- The commands as a person types them, with real runbooks: exit codes, what
-- goes to stdout and what to stderr, archived scripts, approvals.

local test = ...

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local runs = require "runbook.record.runs"

local PLAIN = [[
runbook "plain" { version = "2.0" }
local p = params { yes = a.flag { default = true, help = "what to answer" } }
step "1. Look" { verify = function() return p.yes end, timeout = "300ms" }
step "2. Look again" { verify = function() return { ok = true, seen = 3 } end }
]]

local ASKING = [[
runbook "asking" {}
step "1. Look" { verify = function() return true end }
point_of_no_return "The line" { approve = { "Cross?", within = "1m" } }
step "3. After" { verify = function() return true end }
]]

local Bench = {}
Bench.__index = Bench
Bench.__close = function(self) runs.discard { path = self.path } end

local function bench(text)
  local path = assert(sys.temporary_folder "tranship-command")
  assert(sys.write_file(path .. "/book.lua", text))
  return setmetatable({ path = path, book = path .. "/book.lua",
                        root = path .. "/state" }, Bench)
end

function Bench:call(...)
  return assert(sys.run { args = { sys.executable(), ... }, stdin = "null",
                          env = { TRANSHIP_STATE = self.root } })
end

function Bench:id() return runs.ids(self.root)[1] end

test("run: done is 0, the report is the next thing to type", function(t)
  local at <close> = bench(PLAIN)
  local said = at:call("run", at.book, "--yes")
  t.equal(said.code, 0, said.stderr)
  t.match(said.stderr, "next:  tranship report")
  t.match(at:call("status").stdout, "plain%s+done")
end)

test("run: without --yes and terminal nothing begins: 6", function(t)
  local at <close> = bench(PLAIN)
  local said = at:call("run", at.book)
  t.equal(said.code, 6)
  t.equal(#runs.ids(at.root), 0)
end)

test("run: a failed step is 1, and can be resumed", function(t)
  local at <close> = bench(PLAIN)
  t.equal(at:call("run", at.book, "--yes", "-p", "yes=false").code, 1)
  local said = at:call("resume", at:id())
  t.equal(said.code, 1)                      -- the parameters are the run's
  t.match(said.stderr, "tranship resume")
end)

test("run: scripts and parameters that are wrong are 3", function(t)
  local at <close> = bench(PLAIN .. 'stpe "x" {}\n')
  t.equal(at:call("run", at.book, "--yes").code, 3)
  t.equal(at:call("plan", at.book).code, 3)
  t.equal(at:call("run", at.path .. "/absent.lua", "--yes").code, 3)
  t.equal(at:call("run").code, 3)
  t.equal(at:call("run", "--colour").code, 3)
  local other <close> = bench(PLAIN)
  t.equal(other:call("run", other.book, "--yes", "-p", "nope=1").code, 3)
  t.equal(#runs.ids(other.root), 0)
end)

test("where there is no run, a run is next", function(t)
  local at <close> = bench(PLAIN)
  for _, words in ipairs { { "resume" }, { "undo" }, { "resume", "7f3a" } } do
    local said = at:call(table.unpack(words))
    t.equal(said.code, 4)
    t.match(said.stderr, "next:  tranship run FILE, or the same with %-%-state DIR\n")
  end
end)

test("a refusal ends with what to type next", function(t)
  local at <close> = bench(PLAIN)
  at:call("run", at.book, "--yes", "-p", "yes=false")
  local id = at:id()
  local because = { "--as", "done", "--because", "x" }
  for _, words in ipairs {
    { "tranship status", "status", "ffff" },
    { "tranship status", "journal", "ffff" },
    { "tranship status", "resume", "ffff" },
    { "tranship status", "undo", "ffff" },
    { "tranship status " .. id, "undo", id, "--to", "nowhere" },
    { "tranship status", "approve", "ffff", "1" },
    { "tranship status " .. id, "approve", id, "1" },
    { "tranship status " .. id, "deny", id, "nowhere" },
    { "tranship status", "settle", "ffff", "1", table.unpack(because) },
    { "tranship status " .. id, "settle", id, "9", table.unpack(because) },
    { "tranship status", "report", "ffff" },
  } do
    local said = at:call(table.unpack(words, 2))
    local what = table.concat(words, " ", 2) .. "\n" .. said.stderr
    t.equal(said.code, 4, what)
    t.ok(said.stderr:find("next:  " .. words[1] .. "\n", 1, true), what)
  end
end)

test("resume executes the archived copy, and mentions what changed", function(t)
  local at <close> = bench(PLAIN)
  local part = at:call("run", at.book, "--yes", "--until", "1")
  t.equal(part.code, 0)
  t.match(part.stderr, "next:  tranship resume")
  assert(sys.write_file(at.book, (PLAIN:gsub("seen = 3", "seen = 99"))))
  local said = at:call("resume", at:id())
  t.equal(said.code, 0, said.stderr)
  t.match(said.stderr, "differs from the copy this run executes")
  local text = at:call("journal", at:id(), "export").stdout
  t.match(text, '"seen":3')
  t.equal(text:find('"seen":99', 1, true), nil)
end)

test("recipes of another folder are archived too", function(t)
  local at <close> = bench [[
runbook "with-recipe" {}
local look = require "own/looks".look
step "1. Look" { ensure = look {} }
step "2. Look" { ensure = look {} }
]]
  assert(sys.mkdir(at.path .. "/elsewhere/own", { parents = true }))
  local recipe = at.path .. "/elsewhere/own/looks.lua"
  assert(sys.write_file(recipe, [[
local looks = {}
looks.look = goal "it is so" { takes = {}, check = function() return true end,
                               irreversible = "it only looks" }
return looks
]]))
  local said = at:call("run", at.book, "--yes", "--until", "1", "--recipes",
                       at.path .. "/elsewhere")
  t.equal(said.code, 0, said.stderr)
  assert(sys.remove(recipe))
  said = at:call("resume", at:id())
  t.equal(said.code, 0, said.stderr)
end)

test("an approval is asked in spite of --yes; another shell answers", function(t)
  local at <close> = bench(ASKING)
  local waiting = at:call("run", at.book, "--yes", "--no-wait")
  t.equal(waiting.code, 6)
  t.match(waiting.stderr, "tranship approve %x+ the%-line")
  local id = at:id()
  t.match(at:call("status", id).stdout, "asks: Cross%?")
  t.equal(at:call("approve", id, "1").code, 4)
  t.equal(at:call("approve", id, "the-line").code, 0)
  t.equal(at:call("resume", id, "--no-wait").code, 0)
end)

test("piped words are no answer", function(t)
  local at <close> = bench(ASKING)
  local said = assert(sys.run {
    args = { "/bin/sh", "-c", "echo the-line | \"$0\" run \"$1\" --yes --no-wait",
             sys.executable(), at.book },
    env = { TRANSHIP_STATE = at.root } })
  t.equal(said.code, 6)
end)

test("approve --wait waits for the question; a denial stops with 1", function(t)
  local at <close> = bench(ASKING)
  local run = task.spawn(function()
    return at:call("run", at.book, "--yes").code
  end)
  while not at:id() do task.sleep(20) end
  t.equal(at:call("approve", at:id(), "nonsense", "--wait").code, 4)
  t.equal(at:call("deny", at:id(), "the-line", "--wait").code, 0)
  local _, exit = run:join()
  t.equal(exit, 1)
end)

test("approve --wait --within gives up in time, and wants a unit", function(t)
  local at <close> = bench(ASKING)
  t.equal(at:call("run", at.book, "--yes", "--until", "1").code, 0)
  local said = at:call("approve", at:id(), "the-line", "--wait", "--within", "200ms")
  t.equal(said.code, 6)
  t.match(said.stderr, "did not ask about step the%-line within 200ms")
  said = at:call("approve", at:id(), "the-line", "--wait", "--within", "30")
  t.equal(said.code, 3)
  t.match(said.stderr, '%-%-within: 30 needs a unit: "30s"')
end)

test("translate: all that is wrong with a command line is said at once", function(t)
  local at <close> = bench(PLAIN)
  local said = at:call("translate", "road", "--rows", "csv", "--no-head",
    "--topic", "a", "--offset-field", "pos", "--delimiter", "ab", "t/0/99999999999999999999")
  t.equal(said.code, 3)
  local lines = {}
  for line in said.stderr:gmatch "translate: ([^\n]+)" do lines[#lines + 1] = line end
  t.equal(lines, {
    "t/0/99999999999999999999 is no topic/partition/offset",
    "--rows reads positions from stdin, and stands alone",
    "--no-head: --partition-field is the number of a column",
    "--no-head: --offset-field is the number of a column",
    "--delimiter is one character, or tab" })
end)

test("plan: 0, and 2 with --exit-code only when something changes", function(t)
  local at <close> = bench(PLAIN)
  t.equal(at:call("plan", at.book).code, 0)
  t.equal(at:call("plan", at.book, "--exit-code").code, 0)
  local made = json.decode(at:call("plan", at.book, "-o", "json").stdout)
  t.equal(made.format, 1)
  t.equal(#made.steps, 2)
end)

test("run -o jsonl: stdout is the journal, word for word", function(t)
  local at <close> = bench(PLAIN)
  local said = at:call("run", at.book, "--yes", "-o", "jsonl")
  t.equal(said.code, 0)
  local count = 0
  for line in said.stdout:gmatch "[^\n]+" do
    count = count + 1
    local record = json.decode(line)
    t.equal(record.seq, count)
  end
  t.ok(count > 8)
end)

test("undo of a run that changed nothing closes it: 5", function(t)
  local at <close> = bench(PLAIN)
  t.equal(at:call("run", at.book, "--yes", "-p", "yes=false").code, 1)
  t.equal(at:call("undo", at:id()).code, 6)   -- nobody said yes
  t.equal(at:call("undo", at:id(), "--yes").code, 5)
  t.equal(at:call("resume", at:id()).code, 4)
end)

test("undo behind the line is refused: 4", function(t)
  local at <close> = bench(ASKING)
  t.equal(at:call("run", at.book, "--yes", "--no-wait").code, 6)
  t.equal(at:call("approve", at:id(), "the-line").code, 0)
  t.equal(at:call("resume", at:id(), "--until", "the-line").code, 0)
  local said = at:call("undo", at:id(), "--yes")
  t.equal(said.code, 4)
  t.match(said.stderr, "nothing behind it is taken back")
end)

test("settle wants a reason, and a check that agrees", function(t)
  local at <close> = bench(PLAIN)
  t.equal(at:call("run", at.book, "--yes", "-p", "yes=false").code, 1)
  t.equal(at:call("settle", at:id(), "1", "--as", "done").code, 3)
  t.equal(at:call("settle", at:id(), "nope", "--as", "done", "--because",
                  "x").code, 4)
  t.equal(at:call("settle", at:id(), "1", "--as", "done", "--because",
                  "seen by eye").code, 0)
  t.equal(at:call("resume", at:id()).code, 0)
  t.match(at:call("journal", at:id()).stdout, "seen by eye")
end)

test("settle --give-up closes a run", function(t)
  local at <close> = bench(PLAIN)
  t.equal(at:call("run", at.book, "--yes", "-p", "yes=false").code, 1)
  t.equal(at:call("settle", at:id(), "--give-up", "--because", "no more").code, 0)
  t.match(at:call("status").stdout, "given up")
end)

test("runs are found by the beginning of their id; others are refused", function(t)
  local at <close> = bench(PLAIN)
  t.equal(at:call("run", at.book, "--yes").code, 0)
  t.equal(at:call("status", at:id():sub(1, 2)).code, 0)
  t.equal(at:call("status", "zzzz").code, 4)
  t.equal(at:call("journal", "zzzz").code, 4)
  local shown = json.decode(at:call("status", at:id(), "-o", "json").stdout)
  t.equal({ shown.format, shown.state, #shown.steps }, { 1, "done", 2 })
end)

test("secrets of parameters are fingerprints in journal and archive", function(t)
  local at <close> = bench([[
runbook "hiding" {}
local p = params { pass = a.secret { from = "env:HIDDEN_PASS", help = "it" } }
step "1. Look" { verify = function() return tostring(p.pass) ~= nil end }
]])
  local said = assert(sys.run {
    args = { sys.executable(), "run", at.book, "--yes" }, stdin = "null",
    env = { TRANSHIP_STATE = at.root, HIDDEN_PASS = "sesame-open-now" } })
  t.equal(said.code, 0, said.stderr)
  local found = assert(sys.run { "grep", "-r", "sesame-open-now", at.root })
  t.equal(found.stdout, "")
  t.equal(said.stdout:find("sesame", 1, true), nil)
  t.match(at:call("journal", at:id(), "export").stdout, '"secret":"%x+"')
end)
