--- Ctrl-C once, twice, three times; SIGTERM; all in processes of their own.

local test = ...

local sys = require "vm.sys"
local task = require "vm.task"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/toy/case.lua")),
                          "@" .. here .. "/toy/case.lua"))()

local function start(case, book)
  return assert(sys.spawn {
    args = { sys.executable(), "--lua", here .. "/toy/drive.lua", case.folder,
             book, "run" },
    stdin = "null", stdout = "null", stderr = case.folder .. "/talk",
  })
end

-- Waits until the run has written its first intent.
local function wait_for_intent(case)
  for _ = 1, 200 do
    task.sleep(20)
    local folder = case:adopt()
    local text = folder and sys.read_file(folder.journal) or ""
    if text:find('"effect.intent"', 1, true) then return end
  end
  error "the run never began to act"
end

local function signalled(case, book, signals)
  local process <close> = start(case, book)
  wait_for_intent(case)
  for at, name in ipairs(signals) do
    if at > 1 then task.sleep(100) end
    sys.kill(process.pid, name)
  end
  local result = assert(process:wait())
  case:adopt()
  return result.code, result.signal
end

test("once: the effect in flight ends, then the run stops: 6", function(t)
  local case <close> = cases.new()
  t.equal(signalled(case, "long", { "INT" }), 6)
  t.equal(case.world:all(), { a = "1" })
  t.equal(#case:state():in_doubt(), 0)
  t.equal(#case:of_kind "signal", 1)
end)

test("SIGTERM is like once", function(t)
  local case <close> = cases.new()
  t.equal(signalled(case, "long", { "TERM" }), 6)
  t.equal(case.world:all(), { a = "1" })
end)

test("once inside a gap, without a terminal: the gap is closed first", function(t)
  local case <close> = cases.new()
  t.equal(signalled(case, "slow", { "INT" }), 6)
  t.equal(case.world:all(), { a = "1", b = "1" })
  t.equal(#case:state():debts(), 0)
end)

test("twice: the effect is cancelled and in doubt", function(t)
  local case <close> = cases.new()
  t.equal(signalled(case, "long", { "INT", "INT" }), 6)
  t.equal(case.world:all(), {})
  t.equal(#case:state():in_doubt(), 1)
end)

test("twice inside a gap: the gap is owed: 7", function(t)
  local case <close> = cases.new()
  t.equal(signalled(case, "slow", { "INT", "INT" }), 7)
  t.equal(#case:state():debts "gap", 1)
end)

test("three times: exit at once with 130, the journal sound", function(t)
  local case <close> = cases.new()
  local process <close> = start(case, "slow")
  wait_for_intent(case)
  local ended = task.spawn(function() return assert(process:wait()) end)
  repeat -- signals that nobody has taken yet are one: three may not be enough
    sys.kill(process.pid, "INT")
    task.sleep(5)
  until ended:is_done()
  local _, result = ended:join()
  -- It may have ended by the second already, and be gone by the third.
  t.ok(result.code == 130 or result.code == 7 or result.signal == "INT",
       ("code %s, signal %s"):format(result.code, result.signal))
  case:adopt()
  t.ok(case:state())
end)
