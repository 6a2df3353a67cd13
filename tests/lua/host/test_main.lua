-- The command from outside: exit codes, what goes where, signals.
local test = ...
local sys = require "vm.sys"
local host = require "vm.host"
local task = require "vm.task"

local function tranship(...)
  return assert(sys.run { sys.executable(), ... })
end

-- Runs `text` as a trusted file in a program of its own.
local function script(text, ...)
  local folder = assert(sys.temporary_folder "tranship-test")
  local path = folder .. "/script.lua"
  assert(sys.write_file(path, text))
  local result = tranship("--lua", path, ...)
  sys.remove(path)
  sys.remove(folder)
  return result
end

test("exit codes and arguments pass through", function(t)
  t.equal(script("return 7").code, 7)
  t.equal(script("return 0").code, 0)
  t.equal(script("").code, 0)
  t.equal(script("local a, b = ... return #a + #b", "four", "x").code, 5)
end)

test("an err is one line, a mistake of ours has a traceback", function(t)
  local r = script [[
    require "base.err".raise { kind = "exists", origin = "kafka", message = "topic x" }
  ]]
  t.equal(r, { code = 1, stdout = "", stderr = "tranship: kafka: topic x\n" })
  r = script "local function deep() local x = nil; return x.y end deep() return 1"
  t.equal(r.code, 1)
  t.match(r.stderr, "attempt to index a nil value")
  t.match(r.stderr, "in local 'deep'")
end)

test("the command line: version, help, unknown words", function(t)
  t.equal(tranship("--version").stdout, "tranship " .. host.version .. "\n")
  t.equal(tranship("--help").code, 0)
  t.match(tranship("--help").stdout, "  check ")
  t.equal(tranship().code, 3)
  local r = tranship "chekc"
  t.equal(r.code, 3)
  t.equal(r.stdout, "")
  t.match(r.stderr, "no command 'chekc'; did you mean check")
  r = tranship("check", "--no-such-option")
  t.equal(r.code, 3)
  t.match(r.stderr, "unknown option %-%-no%-such%-option")
end)

test("every command that --help lists can be loaded and explained", function(t)
  for name in tranship("--help").stdout:gmatch "\n  (%l+) " do
    local r = tranship(name, "--help")
    t.equal(r.code, 0, name .. ": " .. r.stderr)
    t.match(r.stdout, "Usage: tranship " .. name)
  end
end)

test("without anybody asking, a signal ends the program", function(t)
  local p <close> = t.ok(sys.spawn {
    args = { sys.executable(), "--lua", "/dev/stdin" }, stdin = "pipe",
    stdout = "pipe" })
  p:write "require 'vm.sys'.out 'up\\n' require 'vm.task'.sleep(100000)"
  p:close_stdin()
  t.equal(p:read(), "up")
  p:kill "INT"
  t.equal(p:wait().signal, "INT")
end)

test("who asks for signals gets them, and decides", function(t)
  local p <close> = t.ok(sys.spawn {
    args = { sys.executable(), "--lua", "/dev/stdin" }, stdin = "pipe",
    stdout = "pipe" })
  p:write [[
    local sys = require "vm.sys"
    local signals <close> = sys.signals { "INT", "TERM" }
    sys.out "up\n"
    for _ = 1, 2 do sys.out(signals:next() .. "\n") end
    return 130
  ]]
  p:close_stdin()
  t.equal(p:read(), "up")
  p:kill "INT"
  t.equal(p:read(), "INT")
  p:kill "TERM"
  t.equal(p:read(), "TERM")
  t.equal(p:wait(), { code = 130 })
end)

test("standard input comes line by line, from a pipe and from a file", function(t)
  local text = [[
    local lines <close> = require "vm.sys".stdin_lines()
    local n, last = 0, nil
    for line in function() return lines:next() end do n, last = n + 1, line end
    require "vm.sys".out(n .. " " .. tostring(last) .. "\n")
  ]]
  local folder = t.ok(sys.temporary_folder "tranship-test")
  local path, data = folder .. "/script.lua", folder .. "/data"
  sys.write_file(path, text)
  sys.write_file(data, ("line\n"):rep(3000) .. "the last")
  local args = { sys.executable(), "--lua", path }
  for _, options in ipairs { { input = sys.read_file(data) },
    { stdin = data } } do
    options.args = args
    t.equal(sys.run(options).stdout, "3001 the last\n")
  end
  t.equal(sys.run({ args = args, stdin = "null" }).stdout, "0 nil\n")
  sys.remove(path)
  sys.remove(data)
  sys.remove(folder)
end)

test("a program ends although tasks and handles are left", function(t)
  local r = script [[
    local task, sys = require "vm.task", require "vm.sys"
    for _ = 1, 10 do task.spawn(task.sleep, 100000) end
    signals = sys.signals { "USR1" }
    child = sys.spawn { args = { "sleep", "0.1" } }
    task.sleep(1)
    return 4
  ]]
  t.equal(r.code, 4)
  t.equal(r.stderr, "")
end)

test("a task nobody joins says in the log that it failed", function(t)
  local r = script [[
    local task = require "vm.task"
    task.spawn(function() error "oh" end)
    task.sleep(1)
    collectgarbage()
    return 0
  ]]
  t.match(r.stderr, "error: uncaught in a task nobody joined: .*oh")
end)

test("a handle left to the collector is a leak, and said so", function(t)
  local r = script [[
    require "vm.sys".append "/dev/null"
    collectgarbage()
    return require "vm.host".census().leaked["sys.file"]
  ]]
  t.equal(r.code, 1)
  t.match(r.stderr, "warn: leaked sys.file")
end)

test("the library can come from a folder, for children too", function(t)
  local folder = t.ok(sys.temporary_folder "tranship-test")
  sys.write_file(folder .. "/main.lua", [[
    return require "answer" + #require "vm.host".stdlib
  ]])
  sys.write_file(folder .. "/answer.lua", "return 0")
  local r = t.ok(sys.run { sys.executable(), "--stdlib", folder })
  t.equal(r.code, #folder)
  t.equal(sys.run({ sys.executable(), env = { TRANSHIP_STDLIB = folder } }).code,
    #folder)
  for _, name in ipairs(sys.list(folder)) do sys.remove(folder .. "/" .. name) end
  sys.remove(folder)
  t.equal(tranship("--stdlib", folder, "--version").code, 3)
end)

test("the embedded library has its text and its own chunk names", function(t)
  t.match(host.source "main.lua", "^%-%-%- The program")
  t.equal(host.source "no/such.lua", nil)
  local _, why = task.spawn(function()
    return require "base.options".parse(nil, nil)
  end):join()
  t.match(why.message, "^stdlib/base/options%.lua:%d+:")
end)
