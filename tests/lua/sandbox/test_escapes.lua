-- Attempts to get out of the sandbox, one case each. Each runs in a box of its
-- own and has to end as stated: refused, unreachable, or over a limit.
local test = ...
local sandbox = require "vm.sandbox"
local sys = require "vm.sys"
local task = require "vm.task"

local LIMITS = { memory = 16 << 20, instructions = 20000000, output = 1000 }

local function run(text, ...)
  local box = sandbox.new(LIMITS)
  local fn, why = box:load(text, "=attempt", box:environment())
  if not fn then return nil, why end
  return box:call(fn, ...)
end

-- The attempt ends with an error whose text matches.
local function refused(title, text, pattern)
  test(title, function(t)
    local value, why = run(text)
    t.equal(value, nil)
    t.ok(type(why) == "table", "it ended without an error")
    t.match(why, pattern)
    t.ok(why.kind ~= "limit", "it ran into a limit: " .. tostring(why))
  end)
end

-- The attempt is ended by a limit, however it holds on.
local function limited(title, text, which)
  test(title, function(t)
    local value, why = run(text)
    t.equal(value, nil)
    t.equal(why.kind, "limit")
    if which then t.match(why, which) end
  end)
end

-- The attempt finds nothing: it gives `want` (nothing, when left out).
local function harmless(title, text, want)
  test(title, function(t)
    local value, why = run(text)
    if why ~= nil then t.fail(tostring(why)) end
    t.equal(value, want)
  end)
end

-- What is not there.
for _, name in ipairs { "load", "loadstring", "loadfile", "dofile", "require",
  "debug", "io", "os", "package", "collectgarbage", "coroutine", "print",
  "getmetatable", "setmetatable", "rawget", "rawset", "rawequal", "rawlen",
  "_G", "warn", "arg" } do
  harmless("no " .. name, "return " .. name)
end
harmless("no string.dump", "return string.dump")
harmless("no dump as a method", "return (''):len() == 0 and (('').dump)")
harmless("no chance of its own", "return math.random or math.randomseed")
harmless("_ENV holds the safe library only",
  "for k, v in pairs(_ENV) do if type(v) == 'userdata' then return k end end")

-- Code from elsewhere.
test("bytecode is refused", function(t)
  local code = require "vm.host" and ("\27Lua" .. ("\0"):rep(40))
  local box = sandbox.new(LIMITS)
  local fn, why = box:load(code, "=x", {})
  t.fails("syntax", fn, why)
  t.match(why, "binary chunk")
end)

-- Shared tables.
refused("string cannot be changed", "string.upper = nil", "frozen")
refused("string cannot be added to", "string.evil = function() end", "frozen")
refused("table cannot be changed", "table.insert = nil", "frozen")
refused("math cannot be changed", "math.pi = 3", "frozen")
refused("table.insert into a library", "table.insert(string, 1)", "frozen")
refused("table.move onto a library", "table.move({1}, 1, 1, 1, utf8)", "frozen")
refused("table.sort on a library with numbers", "table.insert(math, 'x') "
  .. "table.sort(math)", "frozen")
refused("a method of strings cannot be set", "('').upper = 1", "attempt to index")
test("an environment of one is not the other's", function(t)
  run("pairs = nil evil = 1")
  t.equal(run("return type(pairs) .. type(evil)"), "functionnil")
end)
test("trusted code still has its own library", function(t)
  run("string = nil table = {} pcall = nil")
  t.equal(("x"):upper(), "X")
  t.ok(pcall ~= nil)
end)

-- Addresses and order.
harmless("tostring of a table", "return tostring({})", "table")
harmless("tostring of a function", "return tostring(pairs)", "function")
harmless("format of a table", "return ('%s'):format({})", "table")
harmless("format of a library", "return ('%s'):format(string)", "table")
refused("format with %p", "return ('%p'):format({})", "invalid conversion")
refused("format with %20p", "return string.format('%-20p', {})",
  "invalid conversion")
refused("joining a table", "return {} .. ''", "attempt to concatenate")
harmless("the order of pairs is the keys'", [[
  local t, seen = {}, {}
  for _, k in ipairs { "q", 3, "a", true, 1.5, "z", 2, 1, false } do t[k] = 1 end
  for k in pairs(t) do seen[#seen + 1] = tostring(k) end
  return table.concat(seen, " ")
]], "1 1.5 2 3 a q z false true")
harmless("so is that of next", [[
  local t, seen, k = { b = 1, a = 2, [1] = 3 }, {}, nil
  repeat k = next(t, k) seen[#seen + 1] = tostring(k) until k == nil
  return table.concat(seen, " ")
]], "1 a b nil")
refused("keys without an order", "for _ in pairs { [{}] = 1, [{}] = 2 } do end",
  "have no order")
harmless("keys may be set to nil on the way", [[
  local t, n = { a = 1, b = 2, c = 3 }, 0
  for k in pairs(t) do t.b = nil n = n + 1 end
  return n
]], 2)

-- Going on for ever.
limited("an empty loop", "while true do end")
limited("a loop of pcall", "while true do pcall(error) end")
limited("pcall around the loop", "pcall(function() while true do end end) "
  .. "return 'out'")
limited("pcall in a loop of pcalls around a loop",
  "while true do pcall(function() while true do end end) end")
limited("xpcall whose handler loops",
  "xpcall(error, function() while true do end end) return 'out'")
limited("xpcall in a loop", "while true do xpcall(error, error) end")
limited("a comparator that loops",
  "table.sort({ 3, 2, 1 }, function() while true do end end)")
limited("pcall within a comparator", "pcall(table.sort, { 3, 2, 1 }, function() "
  .. "while true do pcall(function() while true do end end) end end) return 1")
limited("a gsub callback that loops",
  "('x'):gsub('.', function() while true do end end)")
limited("pcall around such a callback", "while true do pcall(string.gsub, 'x', "
  .. "'.', function() while true do end end) end")
limited("recursion through pcall",
  "local function f() return pcall(f) end while true do f() end")
limited("tail calls", "local function f() return f() end f()")
limited("goto", "::again:: goto again")
limited("plain recursion", "local function f() return 1 + f() end f()")
limited("an iterator that never ends",
  "for _ in function() return 1 end do end")

-- Memory.
limited("a string that doubles", "local s = 'x' while true do s = s .. s end",
  "memory")
limited("one huge string", "return ('x'):rep(1 << 30)", "memory")
limited("a table that grows",
  "local t = {} while true do t[#t + 1] = {} end")
limited("memory errors in pcall",
  "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1 << 20) "
  .. ".. #t end) end", "memory")
limited("many values", "return table.unpack({}, 1, 1 << 19), ('x'):rep(1 << 28)",
  "memory")
limited("table.concat of a huge list",
  "local t = {} for i = 1, 100000 do t[i] = ('x'):rep(1000) end "
  .. "return table.concat(t)")
test("memory given back may be had again", function(t)
  t.equal(run("local s for i = 1, 40 do s = ('x'):rep(1 << 20) .. i end "
    .. "return #s"), (1 << 20) + 2)
end)
test("what a program's text takes counts too", function(t)
  local box = sandbox.new { memory = 1 << 20 }
  local fn, why = box:load("return { " .. ("'x', "):rep(500000) .. "}", "=x", {})
  t.fails("limit", fn, why)
end)

-- Output.
test("output is bounded", function(t)
  local box = sandbox.new(LIMITS)
  local env = box:environment()
  local lines = {}
  env.say = function(text)
    box:output(text)
    lines[#lines + 1] = text
  end
  local fn = t.ok(box:load(
    "while true do pcall(say, ('x'):rep(100)) end", "=x", env))
  local _, why = box:call(fn)
  t.equal(why.kind, "limit")
  t.match(why, "output")
  t.equal(#lines, 10)
end)

-- Sharing limits, and waiting.
test("children share the limits of their box", function(t)
  local box = sandbox.new(LIMITS)
  local env = box:environment()
  env.together = task.together
  local fn = t.ok(box:load([[
    local function burn() for i = 1, 4000000 do end return 1 end
    return together { burn, burn, burn, burn, burn, burn, burn, burn, burn }
  ]], "=x", env))
  local _, why = box:call(fn)
  t.equal(why.kind, "limit")
end)
test("waiting is not counted as running", function(t)
  local box = sandbox.new { slice_ms = 20 }
  local env = box:environment()
  env.sleep = task.sleep
  local fn = t.ok(box:load("for i = 1, 5 do sleep(20) end return 'ok'", "=x", env))
  t.equal(box:call(fn), "ok")
end)
test("cancelling the caller ends the script, whatever it catches", function(t)
  local box = sandbox.new {}
  local env = box:environment()
  local count = 0
  env.sleep = function(ms) count = count + 1 task.sleep(ms) end
  local fn = t.ok(box:load("while true do pcall(sleep, 1) end", "=x", env))
  t.fails("timeout", task.deadline(20, function() return box:call(fn) end))
  local seen = count
  task.sleep(20)
  t.equal(count, seen)
end)
test("a limit ends one box, not the program", function(t)
  t.equal(select(2, run("while true do end")).kind, "limit")
  t.equal(run("return 1"), 1)
end)
test("closers of trusted code run when a limit ends a script", function(t)
  local box = sandbox.new { instructions = 100000 }
  local env, closed = box:environment(), false
  env.with = function(fn)
    local _ <close> = setmetatable({}, { __close = function() closed = true end })
    return fn()
  end
  local fn = t.ok(box:load("with(function() while true do end end)", "=x", env))
  t.equal(select(2, box:call(fn)).kind, "limit")
  t.ok(closed)
end)
test("a script cannot stay alive in a closer", function(t)
  local box = sandbox.new { instructions = 100000 }
  local env = box:environment()
  env.with = function(closer, fn)
    local _ <close> = setmetatable({}, { __close = closer })
    return fn()
  end
  local fn = t.ok(box:load(
    "with(function() while true do pcall(function() while true do end end) end end,"
    .. " function() while true do end end)", "=x", env))
  local begin = task.now()
  t.equal(select(2, box:call(fn)).kind, "limit")
  t.ok(task.now() - begin < 3000)
end)

-- Secrets, errors, frozen values.
test("a secret in a script shows nothing", function(t)
  local secret <close> = require "vm.secret".new("hunter22", "p")
  local box = sandbox.new(LIMITS)
  local env = box:environment()
  env.secret = secret
  for text, pattern in pairs {
    ["return #secret"] = "not compared",
    ["return secret < 'i'"] = "not compared",
    ["return secret:byte()"] = "nil value",
    ["return table.concat { secret }"] = "invalid value",
    ["return secret.bytes.x"] = "nil value",
  } do
    local value, why = box:call(t.ok(box:load(text, "=x", env)))
    t.equal(value, nil)
    t.match(why, pattern)
  end
  for _, text in ipairs { "return tostring(secret)", "return ('%s'):format(secret)",
    "return tostring('a' .. secret)" } do
    local value = t.ok(box:call(t.ok(box:load(text, "=x", env))))
    t.equal(value:find "hunter", nil)
  end
end)
test("freeze is deep, keeps objects, and shows what is behind", function(t)
  local object = setmetatable({}, { __tostring = function() return "obj" end })
  local frozen = sandbox.freeze { a = { b = 1 }, 2, 3, o = object }
  t.raises("frozen", function() frozen.a.b = 2 end)
  t.raises("frozen", function() frozen.x = 2 end)
  t.equal({ frozen.a.b, #frozen, frozen[2] }, { 1, 2, 3 })
  t.ok(rawequal(frozen.o, object))
  local loop = {}
  loop.self = loop
  local again = sandbox.freeze(loop)
  t.ok(rawequal(again.self, again))
  local n = 0
  for _ in pairs(frozen) do n = n + 1 end
  t.equal(n, 4)
end)
test("locked metatables stay locked", function(t)
  t.equal(getmetatable(""), "string")
  t.equal(getmetatable(sandbox.freeze {}), "frozen")
  t.raises("protected", setmetatable, sandbox.freeze {}, {})
end)

-- Fresh states.
test("a fresh state shares nothing", function(t)
  string.leak = "here" -- luacheck: ignore
  local said = t.ok(sandbox.fresh([[
    local a, b = ...
    return a .. tostring(string.leak) .. b .. require "vm.json".encode { x = 1 }
  ]], "<", ">"))
  string.leak = nil -- luacheck: ignore
  t.equal(said, '<nil>{"x":1}')
end)
test("a fresh state runs tasks, and its errors come back", function(t)
  t.equal(sandbox.fresh [[
    local task = require "vm.task"
    task.sleep(1)
    return "slept"
  ]], "slept")
  t.match(select(2, sandbox.fresh "error('no', 0)"), "no")
  t.match(select(2, sandbox.fresh "return 1 +"), "unexpected symbol")
  t.match(select(2, sandbox.fresh "return {}"), "returned no string")
  t.match(select(2, sandbox.fresh [[require "vm.task".flag():wait()]]),
    "deadlock")
end)
test("two fresh states say the same", function(t)
  local text = [[
    local keys = {}
    local box = require "vm.sandbox".new {}
    local fn = box:load("local s = '' for k in pairs { z = 1, y = 2, x = 3 } do "
      .. "s = s .. k end return s .. tostring({}) .. tostring(pairs)", "=x",
      box:environment())
    return (box:call(fn))
  ]]
  t.equal(sandbox.fresh(text), sandbox.fresh(text))
  t.equal(sandbox.fresh(text), "xyztablefunction")
end)
test("the program is still sound", function(t)
  t.ok(sys.time() > 0)
  t.equal(("%d"):format(3), "3")
end)
