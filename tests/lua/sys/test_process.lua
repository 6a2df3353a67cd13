-- Child processes: their streams, their end, what they inherit.
local test = ...
local sys = require "vm.sys"
local task = require "vm.task"

local function folder()
  local path = assert(sys.temporary_folder "tranship-test")
  return path, setmetatable({}, { __close = function()
    for _, name in ipairs(sys.list(path)) do sys.remove(path .. "/" .. name) end
    sys.remove(path)
  end })
end

test("run gives code, stdout and stderr", function(t)
  local r = t.ok(sys.run { "sh", "-c", "echo out; echo err >&2; exit 3" })
  t.equal(r, { code = 3, stdout = "out\n", stderr = "err\n" })
end)

test("run feeds stdin, also to one that does not read it all", function(t)
  local text = ("x"):rep(200000) .. "\n"
  t.equal(sys.run({ "wc", "-c", input = text }).stdout:match "%d+", "200001")
  t.equal(sys.run({ "true", input = text }).code, 0)
end)

test("a program that is not there is not found", function(t)
  t.fails("not found", sys.run { "/nowhere/at-all" })
end)

test("the environment is added to, and can be overridden", function(t)
  local r = sys.run { "sh", "-c", "echo $A $HOME ${PATH:+path}",
    env = { A = "1", HOME = "/h" } }
  t.equal(r.stdout, "1 /h path\n")
end)

test("the working folder is the one asked for", function(t)
  t.equal(sys.run({ "pwd", cwd = "/" }).stdout, "/\n")
  t.fails("not found", sys.run { "pwd", cwd = "/nowhere" })
end)

test("a signal ends it, and wait says which", function(t)
  local p <close> = t.ok(sys.spawn { args = { "sleep", "1000" } })
  t.ok(p.pid > 1)
  t.equal(sys.process(p.pid).state, "running")
  t.ok(p:kill "TERM")
  t.equal(p:wait(), { code = 0, signal = "TERM" })
  t.equal(p:wait(), { code = 0, signal = "TERM" })
  t.fails("not found", p:kill "TERM")
end)

test("lines go back and forth through pipes", function(t)
  local p <close> = t.ok(sys.spawn {
    args = { "cat" }, stdin = "pipe", stdout = "pipe" })
  for i = 1, 3 do
    t.ok(p:write(i .. "\n"))
    t.equal(p:read(), tostring(i))
  end
  p:write "no line feed"
  p:close_stdin()
  t.equal(p:read(), "no line feed")
  t.equal(p:read(), nil)
  t.equal(p:wait().code, 0)
end)

test("much output is not lost and not read ahead without bound", function(t)
  local p <close> = t.ok(sys.spawn {
    args = { "seq", "100000" }, stdout = "pipe" })
  task.sleep(30)
  local n, sum = 0, 0
  for line in function() return p:read() end do
    n, sum = n + 1, sum + tonumber(line)
  end
  t.equal({ n, sum }, { 100000, 100000 * 100001 // 2 })
  p:wait()
end)

test("output to a file is appended", function(t)
  local path, _ <close> = folder()
  local file = path .. "/log"
  for _ = 1, 2 do
    local p <close> = t.ok(sys.spawn { args = { "echo", "x" }, stdout = file })
    p:wait()
  end
  t.equal(sys.read_file(file), "x\nx\n")
end)

-- Waits for something that another process does.
local function wait_for(t, what, is_there)
  local give_up = task.now() + 20000
  while not is_there() do
    if task.now() > give_up then t.fail("no " .. what) end
    task.sleep(10)
  end
end

test("a cancelled run kills its program", function(t)
  local path, _ <close> = folder()
  local file, pid = path .. "/pid", nil
  local one = task.spawn(sys.run,
    { "sh", "-c", "echo $$ >" .. file .. "; exec sleep 1000" })
  wait_for(t, "pid", function()
    pid = tonumber((sys.read_file(file)))
    return pid
  end)
  one:cancel()
  t.fails("canceled", one:join())
  wait_for(t, "end", function()
    local p = sys.process(pid)
    return not p or p.state == "dead"
  end)
end)

test("a detached child has a session of its own", function(t)
  local p <close> = t.ok(sys.spawn {
    args = { "sh", "-c", "sleep 1000 & wait" }, detached = true })
  t.ok(sys.kill(-p.pid, "KILL"))
  t.equal(p:wait().signal, "KILL")
end)

test("a lock names its holder, and is handed to a child", function(t)
  local path, _ <close> = folder()
  local name = path .. "/lock"
  local lock = t.ok(sys.lock(name, "pid 7, since noon"))
  local why = t.fails("conflict", sys.lock(name, "me"))
  t.equal(why.holder, "pid 7, since noon")
  local child <close> = t.ok(sys.spawn {
    args = { "sleep", "1000" }, keep = { lock } })
  lock:close()
  t.fails("conflict", sys.lock(name, "me"))
  child:kill "KILL"
  child:wait()
  local again <close> = t.ok(sys.lock(name, "me"))
  t.equal(sys.read_file(name), "me")
  t.match(again, "sys.lock")
end)

test("other processes: found by pid, told apart by their birth", function(t)
  local me = t.ok(sys.process(sys.pid()))
  t.equal(me.state, "running")
  t.ok(me.start_time > 0)
  t.match(me.command, "tranship")
  t.fails("not found", sys.process(4194304 + 1))
end)

test("wrong options raise", function(t)
  t.raises("unknown option 'argv'", sys.spawn, { argv = { "x" } })
  t.raises("list of strings", sys.spawn, {})
  t.raises("no signal", sys.kill, 99999, "NOPE")
  t.raises("a process or a group", sys.kill, -1, "TERM")
end)
