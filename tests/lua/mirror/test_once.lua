--- "Once": when an engine has caught up. Its flows are tables here.

local task = require "vm.task"
local once = require "mirror.engine.once"

local test = ...

--- A flow whose source ends at offset 10.
local function flow_at(source, leg)
  return { topic = "t", partition = 0, leg = leg or { writer = "from" },
    at = source and { state = "copying", source = source },
    name_on = function() return "t" end, side = function()
      return { bounds = function()
        task.sleep(1)
        return { stable = 10 }
      end }
    end }
end

local function watched(flows)
  local engine = { flows = flows, looked = task.flag(), done = task.flag() }
  engine.looked:set()
  return engine, task.spawn(function() return once.watch(engine) end)
end

test("what is found while it copies is not waited for", function(t)
  local old = flow_at(3)
  local engine, work = watched { ["t/0"] = old }
  task.sleep(60) -- the goals are set
  engine.flows["t/1"] = flow_at(nil)
  task.sleep(60)
  engine.flows["t/1"].at = { state = "copying", source = 0 }
  task.sleep(60)
  t.ok(not engine.done:is_set())
  old.at = { state = "copying", source = 10 }
  t.ok(work:join())
  t.equal(engine.done:wait(), "caught up")
end)

test("a partition that has stopped is told of, and waited for when it goes on",
  function(t)
    local one = flow_at(3)
    one.at = { state = "stopped", text = "t/0 is broken" }
    local two = flow_at(3)
    local engine, work = watched { ["t/0"] = one, ["t/1"] = two }
    task.sleep(60)
    one.at = { state = "copying", source = 4 }
    two.at = { state = "copying", source = 10 }
    task.sleep(120)
    t.ok(not engine.done:is_set())
    one.at = { state = "stopped", text = "t/0 is broken" }
    local ran, done, why = work:join()
    t.ok(ran)
    t.fails("conflict", done, why)
    t.match(why, "1 partitions have stopped: t/0 is broken")
  end)
