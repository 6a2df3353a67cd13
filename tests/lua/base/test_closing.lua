-- What ends together, and what ends when nobody needs it any more.
local test = ...
local closing = require "base.closing"
local outgoing = require "base.outgoing"
local task = require "vm.task"

test("everything in the list is closed, also what came later", function(t)
  local list, ended = {}, {}
  local function thing(name)
    return { close = function() ended[#ended + 1] = name end }
  end
  do
    local _ <close> = closing(list)
    list[1] = thing "a"
    list[2] = thing "b"
  end
  t.equal(ended, { "a", "b" })
  closing { thing "c" }:close()
  t.equal(ended[3], "c")
end)

test("tasks end with it", function(t)
  local woke = false
  local sleeper = task.spawn(function()
    task.sleep(600000)
    woke = true
  end)
  do local _ <close> = closing { sleeper } end
  sleeper:join()
  t.ok(not woke)
end)

test("what was replaced is closed when it is old enough", function(t)
  local all = outgoing.new()
  local function old(after_ms)
    local list = {}
    for thing in all:old(after_ms) do list[#list + 1] = thing end
    return list
  end
  all:add "first"
  t.equal(old(60000), {})
  task.sleep(20)
  all:add "second"
  all:add "third"
  t.equal(old(20), { "first" })
  t.equal(old(0), { "second", "third" })
  t.equal(old(0), {})
end)
