-- Tasks: spawn, join, cancel, deadlines, and what is woken by whom.
local test = ...
local task = require "vm.task"
local err = require "base.err"

test("join gives the results, and they can be had twice", function(t)
  local one = task.spawn(function(a, b) return a + b, "x" end, 1, 2)
  t.equal({ one:join() }, { true, 3, "x" })
  t.equal({ one:join() }, { true, 3, "x" })
end)

test("sleep waits about as long as asked", function(t)
  local begin = task.now()
  task.sleep(30)
  local took = task.now() - begin
  t.ok(took >= 30 and took < 500, "took " .. took)
end)

test("an err value passes through join as it is", function(t)
  local mine = err.new { kind = "exists", message = "there" }
  local ok, why = task.spawn(function() task.sleep(1) error(mine, 0) end):join()
  t.equal(ok, nil)
  t.ok(rawequal(why, mine))
end)

test("a string error becomes a bug with its traceback", function(t)
  local function inner() local x = nil; return x.y end
  local _, why = task.spawn(function() inner() return 1 end):join()
  t.equal(why.kind, "bug")
  t.match(why.traceback, "inner")
end)

test("cancel: pcall cannot catch it, closers run, join says so", function(t)
  local closed, after = false, false
  local one = task.spawn(function()
    local _ <close> = setmetatable({}, { __close = function() closed = true end })
    while true do
      pcall(task.sleep, 100000)
      after = true
    end
  end)
  task.sleep(1)
  one:cancel()
  t.ok(closed)
  t.fails("canceled", one:join())
  task.sleep(1)
  t.equal(after, false)
end)

test("a task may be cancelled before it ran", function(t)
  local ran = false
  local one = task.spawn(function() ran = true end)
  one:cancel()
  task.sleep(1)
  t.equal(ran, false)
  t.fails("canceled", one:join())
end)

test("a task that cancels itself ends at its next wait", function(t)
  local steps = {}
  local one
  one = task.spawn(function()
    one:cancel()
    steps[#steps + 1] = "on"
    pcall(task.sleep, 1)
    steps[#steps + 1] = "after"
  end)
  t.fails("canceled", one:join())
  t.equal(steps, { "on" })
end)

test("a closer cannot wait when its task is cancelled", function(t)
  local said
  local one = task.spawn(function()
    local _ <close> = setmetatable({}, { __close = function()
      local _, why = pcall(task.sleep, 1)
      said = why
    end })
    task.sleep(100000)
  end)
  task.sleep(1)
  one:cancel()
  t.match(said, "nothing can wait here")
end)

test("a closer may wait when its block ends by itself", function(t)
  local one = task.spawn(function()
    do
      local _ <close> = setmetatable({}, { __close = function()
        task.sleep(2)
      end })
    end
    return "done"
  end)
  t.equal({ one:join() }, { true, "done" })
end)

test("a deadline passes, and what it watched is cancelled", function(t)
  local closed = false
  local value, why = task.deadline(10, function()
    local _ <close> = setmetatable({}, { __close = function() closed = true end })
    task.sleep(100000)
  end)
  t.fails("timeout", value, why)
  t.ok(closed)
end)

test("within its deadline a function's results come through", function(t)
  t.equal({ task.deadline(1000, function(x) task.sleep(1) return x, 2 end, 1) },
    { 1, 2 })
  t.fails("exists", task.deadline(1000, function()
    err.raise { kind = "exists", message = "x" }
  end))
end)

test("together keeps order, bounds how many run, cancels on failure", function(t)
  local running, most = 0, 0
  local function work(n)
    return function()
      running = running + 1
      most = math.max(most, running)
      task.sleep(5 * (5 - n))
      running = running - 1
      return n
    end
  end
  local list = {}
  for i = 1, 5 do list[i] = work(i) end
  t.equal(task.together(list, { at_once = 2 }), { 1, 2, 3, 4, 5 })
  t.equal(most, 2)
  local cut = true
  t.fails("exists", task.together {
    function() task.sleep(1) err.raise { kind = "exists", message = "x" } end,
    function() task.sleep(100000) cut = false end,
  })
  t.ok(cut)
  t.equal(task.together {}, {})
end)

test("cancelling who waits in together cancels what runs there", function(t)
  local closed = 0
  local one = task.spawn(function()
    local function wait()
      local _ <close> = setmetatable({}, { __close = function()
        closed = closed + 1
      end })
      task.sleep(100000)
    end
    task.together { wait, wait }
  end)
  task.sleep(2)
  one:cancel()
  t.equal(closed, 2)
end)

test("flags wake all who wait, and late comers at once", function(t)
  local flag, seen = task.flag(), {}
  local list = {}
  for i = 1, 3 do
    list[i] = task.spawn(function() seen[i] = flag:wait() end)
  end
  task.sleep(1)
  t.equal(flag:is_set(), false)
  flag:set("now")
  for i = 1, 3 do list[i]:join() end
  t.equal(seen, { "now", "now", "now" })
  t.equal(flag:wait(), "now")
  flag:clear()
  t.equal(flag:is_set(), false)
end)

test("queues hand values over in order, and end", function(t)
  local queue, got = task.queue(), {}
  local reader = task.spawn(function()
    for value in function() return queue:pop() end do got[#got + 1] = value end
  end)
  t.ok(queue:is_empty())
  for i = 1, 100 do queue:push(i) end
  t.ok(not queue:is_empty())
  task.sleep(1)
  t.ok(queue:is_empty())
  queue:push(101)
  queue:close()
  reader:join()
  t.equal(#got, 101)
  t.equal(got[101], 101)
end)

test("a value meant for a cancelled reader reaches the next one", function(t)
  local queue, got = task.queue(), nil
  local first = task.spawn(function() queue:pop() end)
  local second = task.spawn(function() got = queue:pop() end)
  task.sleep(1)
  queue:push("v") -- wakes the first, which has not run when it is cancelled
  first:cancel()
  t.ok(task.deadline(1000, function() return second:join() end))
  t.equal(got, "v")
end)

test("a child gets a copy of its maker's locals", function(t)
  task.locals().x = 1
  local seen
  task.spawn(function()
    seen = task.locals().x
    task.locals().x = 2
  end):join()
  t.equal(seen, 1)
  t.equal(task.locals().x, 1)
end)

test("waiting outside a task's own coroutine is refused", function(t)
  local co = coroutine.create(function() task.sleep(1) end)
  local ok, why = coroutine.resume(co)
  t.equal(ok, false)
  t.match(why, "only a task may wait")
  t.raises("nothing can wait here", table.sort, { 2, 1, 3 }, function()
    task.sleep(1)
  end)
end)

test("a bare yield in a task ends it", function(t)
  t.fails("invalid", task.spawn(function() coroutine.yield() end):join())
end)

test("many tasks, many wake-ups", function(t)
  local list, sum = {}, 0
  for i = 1, 2000 do
    list[i] = task.spawn(function()
      task.sleep(i % 7)
      sum = sum + i
    end)
  end
  for i = 1, #list do list[i]:join() end
  t.equal(sum, 2000 * 2001 // 2)
end)

test("a task cannot join itself", function(t)
  local one
  one = task.spawn(function() return one:join() end)
  local _, why = one:join()
  t.match(why, "cannot wait for itself")
end)
