--- Workloads without Kafka: the drivers for processes and hooks, what each
-- refuses, and that a crash of the launcher never makes two of one.

local test = ...

local context = require "base.context"
local sys = require "vm.sys"
local task = require "vm.task"
local workload = require "app.workload"

local SLEEPER = { "/bin/sh", "-c", "echo started; exec sleep 60" }

--- A state folder of its own, and two clusters that are only names.
local function place()
  local dir = "/tmp/tranship-test-" .. sys.hex(sys.random(6))
  assert(sys.mkdir(dir))
  local self = {
    dir = dir, old = { name = "old", bootstrap = "127.0.0.1:1" },
    new = { name = "new", bootstrap = "127.0.0.1:2" },
  }
  context.get().state = dir
  return setmetatable(self, { __close = function()
    for _, name in ipairs(sys.list(dir .. "/workloads") or {}) do
      local text = sys.read_file(dir .. "/workloads/" .. name)
      local pid = name:find "%.lock$" and text:match "\n(%d+)"
      if pid and not sys.process(math.tointeger(pid)) then pid = nil end
      if pid then sys.kill(-math.tointeger(pid), "KILL") end
    end
    sys.run { "rm", "-rf", dir }
  end })
end

local function app(fields)
  fields.name = fields.name or "app"
  return workload.new(fields)
end

local function log_of(here) return sys.read_file(here.dir
  .. "/workloads/app@old.log") or "" end

test("a process starts once, is seen running, stops", function(t)
  local here <close> = place()
  local w = app { process = SLEEPER }
  t.ok(not t.ok(w:runs_on(here.old)).ok)
  t.ok(w:start { on = here.old })
  local seen = t.ok(w:status(here.old))
  t.ok(seen.running)
  t.ok(sys.process(seen.pid), "no such process")
  t.match(seen.command, "sleep 60")
  t.ok(w:runs_on(here.old).ok)
  t.ok(not w:stopped_on(here.old).ok)
  t.ok(w:start { on = here.old })
  t.equal(t.ok(w:status(here.old)).pid, seen.pid)
  t.ok(w:stop { on = here.old, within = "5s" })
  t.ok(w:stopped_on(here.old).ok)
  t.ok(w:stop { on = here.old })
end)

test("start refuses a held lock", function(t)
  local here <close> = place()
  local w = app { process = SLEEPER }
  local driver = require "app.driver.process"
  t.ok(driver.start(w, here.old))
  local why = t.fails("conflict", driver.start(w, here.old))
  t.match(why, "runs on old already %(pid %d+%)")
  t.ok(w:stop { on = here.old })
end)

test("never on both sides", function(t)
  local here <close> = place()
  local w = app { process = SLEEPER }
  w:known_clusters { here.old, here.new }
  t.ok(w:start { on = here.old })
  t.match(t.fails("conflict", w:start { on = here.new }), "still runs on old")
  t.equal(w:where().name, "old")
  t.equal(w:baseline().clusters.new.running, false)
  t.ok(w:stop { on = here.old })
  local why = t.fails("unavailable", w:where())
  t.match(why, "does not run")
end)

test("an application that ends at once has not started", function(t)
  local here <close> = place()
  local w = app { process = { "/bin/sh", "-c",
    "echo 'no configuration' >&2; exit 7" } }
  local why = t.fails("unavailable", w:start { on = here.old })
  t.match(why, "ended at once with code 7")
  t.match(why, "no configuration")
  t.ok(not w:status(here.old).running)
end)

test("a command that is not there has not started", function(t)
  local here <close> = place()
  local w = app { process = { "/no/such/program" } }
  t.match(t.fails("unavailable", w:start { on = here.old }), "code 127")
end)

test("an application that does not stop is killed, and that is an error",
  function(t)
    local here <close> = place()
    local w = app { process = { "/bin/sh", "-c",
      "trap '' TERM; echo deaf; while :; do sleep 0.1; done" } }
    t.ok(w:start { on = here.old })
    local why = t.fails("timeout", w:stop { on = here.old, within = "300ms" })
    t.match(why, "did not stop on old within 300ms")
    t.match(why, "it was killed, and what it had in flight is unknown")
    t.match(why, "deaf")
    t.ok(not w:status(here.old).running)
  end)

test("stopping reaches the children of the application", function(t)
  local here <close> = place()
  local w = app { process = { "/bin/sh", "-c", "sleep 60 & echo $!; wait" } }
  t.ok(w:start { on = here.old })
  local child
  for _ = 1, 100 do
    child = math.tointeger(tonumber(log_of(here):match "^%d+"))
    if child then break end
    task.sleep(10)
  end
  t.ok(sys.process(child), "the child does not run")
  t.ok(w:stop { on = here.old, within = "5s" })
  local left = sys.process(child)
  t.ok(not left or left.state == "dead", "the child still runs")
end)

-- A launcher that dies the moment its child is there.
local CRASHING = [[
  local sys = require "vm.sys"
  local context = require "base.context"
  context.get().state = %q
  local spawn = sys.spawn
  sys.spawn = function(options)
    spawn(options)
    sys.kill(sys.pid(), "KILL")
  end
  require("app.workload").new { name = "app", process = { "/bin/sh", "-c",
    "echo started; exec sleep 60" } }:start {
      on = { name = "old", bootstrap = "127.0.0.1:1" } }
]]

test("a crash of the launcher after the fork makes no second one", function(t)
  local here <close> = place()
  local script = here.dir .. "/crash.lua"
  t.ok(sys.write_file(script, CRASHING:format(here.dir)))
  local ended = t.ok(sys.run { sys.executable(), "--lua", script })
  t.equal(ended.signal, "KILL", ended.stderr)
  local w = app { process = SLEEPER }
  t.ok(t.ok(w:status(here.old)).running)
  t.fails("conflict", require "app.driver.process".start(w, here.old))
  t.ok(w:start { on = here.old }, "a running one is what start wanted")
  for _ = 1, 200 do
    if log_of(here) ~= "" then break end
    task.sleep(10)
  end
  t.ok(w:stop { on = here.old, within = "5s" })
  local _, starts = log_of(here):gsub("started", "")
  t.equal(starts, 1)
end)

test("commands get names filled in, and an environment", function(t)
  local here <close> = place()
  local w = app { process = { "/bin/sh", "-c",
    "echo $0 $TRANSHIP_CLUSTER $TRANSHIP_BOOTSTRAP $COLOUR; exec sleep 60",
    "{name}-on-{cluster}-at-{bootstrap}", env = { COLOUR = "blue" } } }
  t.ok(w:start { on = here.old })
  for _ = 1, 100 do
    if log_of(here) ~= "" then break end
    task.sleep(10)
  end
  t.match(log_of(here),
    "app%-on%-old%-at%-127%.0%.0%.1:1 old 127%.0%.0%.1:1 blue")
  t.ok(w:stop { on = here.old })
end)

test("hooks start, stop and ask", function(t)
  local here <close> = place()
  local flag = here.dir .. "/flag-{cluster}"
  local w = app { hook = {
    start = { "touch", flag }, stop = { "rm", flag },
    status = "test -e " .. flag .. " || exit 3",
  } }
  t.ok(not w:status(here.old).running)
  t.ok(w:start { on = here.old })
  t.ok(sys.stat(here.dir .. "/flag-old"))
  t.ok(w:status(here.old).running)
  t.ok(w:stop { on = here.old, within = "5s" })
  t.ok(not w:status(here.old).running)
end)

test("a hook that fails is named, with what it said", function(t)
  local here <close> = place()
  local w = app { hook = { start = "echo no licence >&2; exit 9",
    stop = { "true" }, status = { "sh", "-c", "exit 3" } } }
  local why = t.fails("unavailable", w:start { on = here.old })
  t.match(why, "hook start for old ended with code 9")
  t.match(why, "no licence")
  local odd = app { hook = { start = { "true" }, stop = { "true" },
    status = { "sh", "-c", "exit 1" } } }
  t.match(t.fails("unavailable", odd:status(here.old)), "status")
end)

test("a hook whose start ends well without an application", function(t)
  local here <close> = place()
  local w = app { hook = { start = { "true" }, stop = { "sleep", "60" },
    status = { "true" } } }
  local why = t.fails("timeout", w:stop { on = here.old, within = "200ms" })
  t.match(why, "hook stop for old: no end within 200ms")
end)

test("what a declaration may get wrong", function(t)
  t.raises("needs a command", workload.new, { name = "a", process = {} })
  t.raises("needs a command", workload.new, { name = "a", process = 7 })
  t.raises("there are {bootstrap}, {cluster}, {name}, {state}", workload.new,
    { name = "a", process = { "x", "{broker}" } })
  t.raises("has no field 'user'", workload.new,
    { name = "a", process = { "x", user = "root" } })
  t.raises("needs 'status'", workload.new,
    { name = "a", hook = { start = "x", stop = "y" } })
  t.raises("has no field 'restart'", workload.new, { name = "a", hook = {
    start = "x", stop = "y", status = "z", restart = "r" } })
  local w = app { process = SLEEPER }
  t.raises("takes no 'at'", w.start, w, { at = {} })
  t.raises("needs on = a cluster", w.start, w, {})
  t.raises("names no group", w.lag, w, { at_most = 1 })
end)
