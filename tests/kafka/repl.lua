-- The REPL on a real broker: from a pipe, and at a terminal (tmux) with
-- completion of live names, history, Ctrl-C and the lock on writing.
local test = ...
local sys = require "vm.sys"
local task = require "vm.task"
local broker = dofile "tests/support/broker.lua"
local check = broker.check

local tranship = sys.executable()
local PATIENCE_MS = 60000

local world, folder

--- Runs lines through the REPL; results, talk and exit code.
local function repl(lines, ...)
  return check(sys.run {
    args = { tranship, "repl", "--cluster", "c=" .. world.address, ... },
    input = table.concat(lines, "\n") .. "\n",
    env = { TRANSHIP_STATE = folder .. "/state" },
  })
end

test("a broker starts", function()
  world = broker.start()
  folder = check(sys.run { "mktemp", "-d" }).stdout:gsub("%s+$", "")
end)

test("stdout of a pipe is results and nothing else", function(t)
  local out = repl { "1 + 1", "it * 2", "x = 'kept'", "x", "-- a comment", "",
    "c:brokers()[1].port", "for i = 1, 2 do", "  y = i", "end", "y" }
  t.equal(out.stdout, ("2\n4\nkept\n%d\n2\n"):format(world.port))
  t.equal({ out.code, out.stderr }, { 0, "" })
end)

test("-o json prints one value a line", function(t)
  local out = repl({ "c:brokers()", "{ 1, 2 }", "'x'" }, "-o", "json")
  local first = check(require "vm.json".decode(out.stdout:match "^(.-)\n"))
  t.equal(first[1].port, world.port)
  t.match(out.stdout, '%[1,2%]\n"x"\n$')
end)

test("what is wrong is said on stderr, and the rest goes on", function(t)
  local out = repl { "c:topicss()", "1 +", "", "nothing.at.all", ":nonsense", "3" }
  t.equal({ out.code, out.stdout }, { 1, "3\n" })
  t.match(out.stderr, "did you mean 'topics'")
  t.match(out.stderr, "no command ':nonsense'")
end)

test("it only reads: no effect, no unlocking from a pipe", function(t)
  local out = repl { ":write c", 'c:create_topic { name = "x", partitions = 1 }',
    ":last-error", "c:topic_shape 'x'", "#c:topics()" }
  t.match(out.stderr, "a person at a terminal must say yes")
  t.match(out.stderr, "E0507")
  t.match(out.stdout, "code +E0507")
  t.match(out.stdout, "0\n$")
  t.equal(out.code, 1)
end)

test("a loop that never waits ends by itself", function(t)
  local out = repl { "while true do end", "5" }
  t.match(out.stderr, "time without waiting")
  t.equal(out.stdout, "5\n")
end)

test("documents and explains", function(t)
  local out = repl { "?c", ":explain E0310", ":help", "?step" }
  for _, pattern in ipairs { "c  cluster: a Kafka cluster", ":topics",
    "instead of", ":write CLUSTER", "on_failure" } do
    t.match(out.stdout, pattern)
  end
  t.equal(out.code, 0)
end)

--- A terminal of 100 by 40, driven and read by tmux.
local Terminal = {}
Terminal.__index = Terminal

local function tmux(self, ...)
  return check(sys.run { "tmux", "-L", self.socket, "-f", "/dev/null", ... })
end

local terminals = 0

local function terminal(command)
  terminals = terminals + 1
  local self = setmetatable({
    socket = ("tranship-test-%d-%d"):format(sys.pid(), terminals) }, Terminal)
  -- By bash, whatever the user's shell: dash does not go on after a Ctrl-C that
  -- its child has survived.
  local out = tmux(self, "new-session", "-d", "-x", "100", "-y", "40", "bash", "-c",
    command)
  assert(out.code == 0, out.stderr)
  return self
end

function Terminal:keys(...) tmux(self, "send-keys", ...) end

function Terminal:screen() return tmux(self, "capture-pane", "-p").stdout end

--- Waits until the screen shows a plain text. Keys are sent after the prompt was
-- seen: between two lines the terminal takes Ctrl-D for itself.
function Terminal:see(text)
  local until_ms = task.now() + PATIENCE_MS
  while task.now() < until_ms do
    if self:screen():find(text, 1, true) then return end
    task.sleep(50)
  end
  error(("never saw %q on:\n%s"):format(text, self:screen()), 0)
end

--- Drops the line that ends with `text`; keys typed before the next prompt
-- would be the terminal's, not the REPL's.
function Terminal:drop(text)
  self:keys "C-c"
  self:see(text .. "^C\nro c>")
end

--- Ctrl-D at the prompt; one that came before the prompt listened is lost.
function Terminal:leave()
  for _ = 1, PATIENCE_MS // 2000 do
    self:keys "C-d"
    local until_ms = task.now() + 2000
    repeat
      local screen = self:screen()
      local code = screen:match "ended (%d+)"
      if code == "0" then return end
      if code then error("it ended badly:\n" .. screen, 0) end
      task.sleep(50)
    until task.now() > until_ms
  end
  self:see "ended 0"
end

Terminal.__close = function(self) tmux(self, "kill-server") end

local function at_terminal()
  return terminal(("env XDG_STATE_HOME=%s NO_COLOR=1 TRANSHIP_STATE=%s/state "
    .. "%s repl --cluster c=%s; echo ended $?; sleep 60"):format(folder, folder,
    tranship, world.address))
end

test("writing is unlocked by a person, shown, asked for, journalled", function(t)
  local screen <close> = at_terminal()
  screen:see "ro c>"
  screen:keys(":write c", "Enter")
  screen:see "[y/N]"
  screen:keys("y", "Enter")
  screen:see "RW c>"
  screen:keys('c:create_topic { name = "apps.greetings", partitions = 3 }', "Enter")
  screen:see "create topic apps.greetings"
  screen:keys("y", "Enter")
  screen:see "true\nRW c>"
  screen:keys('c:create_topic { name = "apps.refused", partitions = 3 }', "Enter")
  screen:see "create topic apps.refused"
  screen:keys("n", "Enter")
  screen:see "not done"
  screen:keys(":write", "Enter")
  screen:keys("#c:topics()", "Enter")
  screen:see "ro c> #c:topics()\n1\nro c>"
  screen:leave()
  local journal = check(sys.read_file(folder .. "/state/repl.jsonl"))
  t.match(journal, '"repl.effect".-create topic apps.greetings')
  t.ok(not journal:find "apps.refused")
end)

test("TAB completes names, fields and live topics", function()
  local screen <close> = at_terminal()
  screen:see "ro c>"
  screen:keys("c:bro", "Tab")
  screen:see "ro c> c:brokers"
  screen:drop "c:brokers"
  screen:keys('c:topic "app', "Tab")
  screen:see 'c:topic "apps.greetings'
  screen:drop "apps.greetings"
  screen:keys(":he", "Tab")
  screen:see ":help"
  screen:drop ":help"
  screen:keys("c:topi", "Tab", "Tab")
  screen:see "topic_shape"
  screen:keys "C-u"
  screen:leave()
end)

test("Ctrl-C drops a line or ends an expression, never the session", function()
  local screen <close> = at_terminal()
  screen:see "ro c>"
  screen:keys("this is not finis")
  screen:see "this is not finis"
  screen:drop "finis"
  screen:keys("while true do c:topics() end", "Enter")
  task.sleep(500)
  screen:keys("C-c")
  screen:see "cancelled\nro c>"
  screen:keys("for i = 1, 2 do", "Enter")
  screen:see "\n..\n"
  screen:drop ".. "
  screen:keys("40 + 2", "Enter")
  screen:see "\n42\nro c>"
  screen:leave()
end)

test("history comes back, without lines that touched secrets", function(t)
  local screen <close> = at_terminal()
  screen:see "ro c>"
  screen:keys("'my password is hunter2'", "Enter")
  screen:see "\nmy password is hunter2\nro c>"
  screen:keys("6 * 7", "Enter")
  screen:see "\n42\nro c>"
  screen:keys("Up")
  screen:see "ro c> 6 * 7\n42\nro c> 6 * 7"
  screen:drop "6 * 7"
  screen:leave()
  local path = folder .. "/tranship/history"
  t.ok(not check(sys.read_file(path)):find "hunter2")
  t.match(check(sys.read_file(path)), "6\\040%*\\0407")
end)

test("the broker stops", function()
  world:stop()
  check(sys.run { "rm", "-rf", folder })
end)
