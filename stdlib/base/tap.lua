--- The runner of `tranship --test FILE`: TAP on stdout.
-- A test file gets `test` as its argument and declares cases with it:
--
--     local test = ...
--     test("adds", function(t) t.equal(1 + 1, 2) end)
--
-- Each case runs as a task of its own. It also fails when it leaves anything
-- behind: open handles, live tasks, operations under way, or handles that only
-- the collector closed.

local host = require "vm.host"
local sys = require "vm.sys"
local task = require "vm.task"
local show = require "base.text".show

local M = {}

local function fail(message, level)
  error({ tap_failure = true, message = message,
    where = debug.traceback("", (level or 1) + 2) }, 0)
end

local function same(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then
    return a ~= a and b ~= b and type(a) == type(b)
  end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

local t = {}

--- Fails unless `value` is truthy; returns its arguments.
function t.ok(value, why, ...)
  if not value then
    fail(why ~= nil and tostring(why) or "not ok: " .. show(value))
  end
  return value, why, ...
end

--- Fails unless both are the same, tables field by field.
function t.equal(got, want, what)
  if not same(got, want) then
    fail(("%sgot %s, want %s"):format(what and what .. ": " or "",
      show(got), show(want)))
  end
end

--- Fails unless the text (or err, by tostring) contains the Lua pattern.
function t.match(value, pattern)
  local text = tostring(value)
  if not text:find(pattern) then
    fail(("%s does not match %s"):format(show(text), show(pattern)))
  end
end

--- Fails unless `fn(...)` raises something matching the pattern; returns it.
function t.raises(pattern, fn, ...)
  local ok, value = pcall(fn, ...)
  if ok then fail("nothing was raised, want " .. pattern) end
  if not tostring(value):find(pattern) then
    fail(("raised %s, want %s"):format(show(tostring(value)), pattern))
  end
  return value
end

--- Fails unless the call's results were nil and an err of that kind.
function t.fails(kind, value, why)
  if value ~= nil then fail("it succeeded with " .. show(value)) end
  if type(why) ~= "table" or why.kind ~= kind then
    fail(("failed with %s (kind %s), want kind %s"):format(tostring(why),
      type(why) == "table" and tostring(why.kind) or "none", kind))
  end
  return why
end

function t.fail(message) fail(message) end

--- A line of talk in the output.
function t.note(text) sys.out("# " .. tostring(text):gsub("\n", "\n# ") .. "\n") end

-- Things a case left behind, as one line, or nil. Pools and closing
-- operations get a moment to end.
local function remains()
  for attempt = 1, 50 do
    collectgarbage()
    collectgarbage()
    local now, left = host.census(), {}
    for class, n in pairs(now.open) do left[#left + 1] = n .. " open " .. class end
    for class, n in pairs(now.leaked) do
      if n > (M.leaked[class] or 0) then
        left[#left + 1] = n - (M.leaked[class] or 0) .. " leaked " .. class
      end
    end
    if now.tasks > 0 then left[#left + 1] = now.tasks .. " live tasks" end
    if now.pending > 0 then
      left[#left + 1] = now.pending .. " operations under way"
    end
    if #left == 0 then return nil end
    if attempt == 50 then
      M.leaked = now.leaked
      table.sort(left)
      return "left behind: " .. table.concat(left, ", ")
    end
    task.sleep(attempt < 10 and 1 or 20)
  end
end

local function explain(value)
  if type(value) ~= "table" then return tostring(value) end
  if value.tap_failure then return value.message .. value.where end
  local inner = value.kind == "bug" and value.value
  if type(inner) == "table" and inner.tap_failure then return explain(inner) end
  return tostring(value) .. (value.traceback and "\n" .. value.traceback or "")
end

local function run_case(case, number)
  local begin = task.now()
  local child = task.spawn(case.body, t)
  local ok, why = child:join()
  child = nil -- luacheck: ignore
  local problem = not ok and explain(why) or nil
  why = nil -- luacheck: ignore
  local left = remains()
  if left then problem = (problem and problem .. "\n" or "") .. left end
  sys.out(("%s %d - %s # %d ms\n"):format(problem and "not ok" or "ok",
    number, case.title, task.now() - begin))
  if problem then t.note(problem) end
  return problem == nil
end

--- Runs one test file: `tranship --test FILE [PATTERN]`.
---@async
---@return integer exit code
function M.run(words)
  local path, pattern = words[1], words[2]
  if not path then
    sys.errout "tranship: --test FILE [PATTERN]\n"
    return 3
  end
  local text, why = sys.read_file(path)
  if not text then error(why, 0) end
  local cases = {}
  local function test(title, body)
    cases[#cases + 1] = { title = title, body = body }
  end
  assert(load(text, "@" .. path, "t"))(test)
  M.leaked = host.census().leaked
  local passed, run = 0, 0
  for _, case in ipairs(cases) do
    if not pattern or case.title:find(pattern, 1, true) then
      run = run + 1
      if run_case(case, run) then passed = passed + 1 end
    end
  end
  sys.out(("1..%d\n# %d passed, %d failed\n"):format(run, passed,
    run - passed))
  -- A file without cases proves nothing, and must not look as if it did.
  return run > 0 and passed == run and 0 or 1
end

return M
