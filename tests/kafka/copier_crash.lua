-- The copier is interrupted: stopped anywhere, run twice at once, its target
-- broker killed. One copy must come of it, in order, nothing missing.
--
-- The owner is played as simply as can be: it keeps the positions told last,
-- or older ones, reads the target's log end, and starts the flow again.
local test = ...
local copying = dofile "tests/world/copying.lua"
local task = require "vm.task"
local check = copying.check

local world
local begun = {} -- flow = it was started once
math.randomseed(20261123)

local function fill(pair, topic, partitions, batches)
  for p = 0, partitions - 1 do
    for i = 0, batches - 1 do
      local codec = ({ "none", "lz4", "zstd" })[i % 3 + 1]
      pair.a:produce(topic, p, copying.records(i * 200, 200),
        { ["compression.codec"] = codec, ["batch.num.messages"] = "7" })
    end
  end
end

-- Starts the flow from its checkpoint, wherever the target's log ends.
local function start(pair, copier, flow)
  flow.log_end = pair.b:offset(flow.target.topic, flow.target.partition, "end")
  flow.sequence = flow.target_offset -- one per record, from 0
  begun[flow] = true
  return copier:start(flow)
end

local function checkpoint(flow, event)
  flow.source_offset, flow.target_offset = event.source_offset,
    event.target_offset
end

-- Owns a flow until all is copied: every interruption the world makes is met
-- by starting again.
local function own(pair, copier, flow, log_end, on_stop)
  check(start(pair, copier, flow))
  local reasons = {}
  while true do
    for _, event in ipairs(check(copier:next())) do
      checkpoint(flow, event)
      if event.kind == "stopped" then
        local reason = event.reason
        reasons[reason] = (reasons[reason] or 0) + 1
        if reason ~= "leader" and reason ~= "sequence" then
          error(("stopped: %s %s %s %s"):format(reason, event.err or "",
            event.expected, event.got), 0)
        end
        if on_stop then on_stop(event) end
        check(start(pair, copier, flow))
      elseif event.source_offset == log_end then
        check(copier:stop(flow.id))
        return reasons
      end
    end
  end
end

local function one_copy(t, pair, topic, partitions)
  for p = 0, partitions - 1 do
    t.equal(copying.difference(pair.a:read(topic, p), pair.b:read(topic, p)),
      nil, "partition " .. p)
  end
end

test("two clusters start", function() world = copying.world() end)

test("stopped at random moments, started from old positions", function(t)
  local pair <close> = world.open()
  local topic = copying.name("stops")
  pair.a:topic(topic)
  pair.b:topic(topic)
  fill(pair, topic, 1, 20)
  local copier <close> = check(copying.open { progress_ms = 1 })
  local flow = copying.flow(pair, topic, 0)
  local stops, longest = 0, 10
  while flow.target_offset < 4000 do
    check(start(pair, copier, flow))
    task.sleep(math.random(0, longest))
    local event = check(copier:stop(flow.id))
    t.equal(event.reason, "asked")
    t.equal(event.source_offset, event.target_offset)
    stops, longest = stops + 1, longest + 1
    if event.target_offset == 4000 or math.random(3) > 1 then
      checkpoint(flow, event) -- else it is walked again
    end
  end
  t.note(stops .. " stops")
  one_copy(t, pair, topic, 1)
end)

test("copiers thrown away with requests in flight", function(t)
  local pair <close> = world.open()
  local topic = copying.name("thrown")
  pair.a:topic(topic)
  pair.b:topic(topic)
  fill(pair, topic, 1, 20)
  local flow = copying.flow(pair, topic, 0)
  for _ = 1, 25 do
    local copier <close> = check(copying.open {})
    check(start(pair, copier, flow))
    task.sleep(math.random(0, 15))
  end
  local copier <close> = check(copying.open {})
  local reasons = own(pair, copier, flow, 4000)
  t.note(("sequence %d, leader %d"):format(reasons.sequence or 0,
    reasons.leader or 0))
  one_copy(t, pair, topic, 1)
end)

test("two at once, by mistake, with one producer id", function(t)
  local pair <close> = world.open()
  local topic = copying.name("both")
  pair.a:topic(topic)
  pair.b:topic(topic)
  fill(pair, topic, 1, 30)
  local first = copying.flow(pair, topic, 0)
  local second = copying.flow(pair, topic, 0, {
    producer_id = first.producer_id, producer_epoch = first.producer_epoch })
  local one <close> = check(copying.open {})
  local two <close> = check(copying.open {})
  local results = check(task.together {
    function() return own(pair, one, first, 6000) end,
    function() return own(pair, two, second, 6000) end,
  })
  for _, reasons in ipairs(results) do
    t.note(("sequence %d, leader %d"):format(reasons.sequence or 0,
      reasons.leader or 0))
  end
  one_copy(t, pair, topic, 1)
end)

test("the target broker is killed under load and comes back", function(t)
  local pair <close> = world.open()
  local topic = copying.name("killed")
  pair.a:topic(topic, 4)
  pair.b:topic(topic, 4)
  fill(pair, topic, 4, 30)
  local copiers, flows = {}, {}
  for p = 0, 3 do
    flows[p] = copying.flow(pair, topic, p)
    copiers[p] = check(copying.open { timeout_ms = 5000 })
  end
  local killed, leaders = false, 0
  local killer = task.spawn(function()
    for p = 0, 3 do
      while not begun[flows[p]] do task.sleep(1) end
    end
    task.sleep(40)
    world.cluster("kill", "b")
    killed = true
    world.cluster("up", "b")
  end)
  local owners = {}
  for p = 0, 3 do
    owners[p + 1] = function()
      return own(pair, copiers[p], flows[p], 6000, function()
        leaders = leaders + 1
        killer:join()
      end)
    end
  end
  check(task.together(owners))
  check(killer:join())
  for p = 0, 3 do copiers[p]:close() end
  t.ok(killed)
  t.note(leaders .. " flows were interrupted")
  one_copy(t, pair, topic, 4)
end)

test("the clusters go", function() world.down() end)
