--- Helpers of the copier's tests: two real clusters, topics, flows, records.
-- Loaded by path: `local copying = dofile "tests/world/copying.lua"`.

local kafka = require "vm.kafka"
local mirror = require "vm.mirror"
local offsets = require "vm.offsets"
local sys = require "vm.sys"
local task = require "vm.task"
local wire = require "vm.wire"

local M = {}

local function check(value, why)
  if value == nil then error(why, 0) end
  return value
end
M.check = check

local function run(words)
  local done = check(sys.run(words))
  if done.code ~= 0 then error(table.concat(words, " ") .. ": " .. done.stderr, 0) end
  return (done.stdout:gsub("%s+$", ""))
end

local Side = {}
Side.__index = Side

local function side(name, bootstrap, dir)
  local host, port = bootstrap:match("^(.*):(%d+)$")
  return setmetatable({
    name = name, host = host, port = math.tointeger(port), dir = dir,
    client = check(kafka.open { bootstrap = bootstrap, name = name }),
  }, Side)
end

local function cluster(verb, ...) return run { "tests/world/cluster", verb, ... } end

--- Starts two clusters; clients are opened per case with `world:open()`. The
--- variable COPYING_PAIR ("host:port,host:port") names two that run already.
function M.world(...)
  local world = { address = {} }
  local given = sys.env("COPYING_PAIR")
  if given and select("#", ...) == 0 then
    world.address.a, world.address.b = given:match("^(.-),(.*)$")
  else
    world.dir = run { "mktemp", "-d" }
    local settings = { ... }
    local function start(name)
      return function()
        world.address[name] = cluster("up", world.dir .. "/" .. name,
          table.unpack(settings))
      end
    end
    check(task.together { start "a", start "b" })
  end
  --- A pair of sides { a =, b = } with open clients; close it with the case.
  function world.open()
    local function close(pair)
      pair.a.client:close()
      pair.b.client:close()
    end
    local dir = world.dir or ""
    return setmetatable({ a = side("a", world.address.a, dir .. "/a"),
      b = side("b", world.address.b, dir .. "/b") }, { __close = close })
  end
  --- "kill", "up" or "stop" of one cluster.
  function world.cluster(verb, name)
    return cluster(verb, world.dir .. "/" .. name)
  end
  function world.down()
    if not world.dir then return end
    for _, name in ipairs { "a", "b" } do
      cluster("down", world.dir .. "/" .. name)
    end
    run { "rm", "-rf", world.dir }
  end
  return world
end

local counter = 0
--- A topic name that no other test of this process or another uses.
function M.name(what)
  counter = counter + 1
  return ("%s-%d-%d"):format(what, sys.pid(), counter)
end

--- Creates a topic and waits until every partition of it answers.
function Side:topic(name, partitions, configs)
  check(self.client:create_topics { { name = name,
    partitions = partitions or 1, replication = 1, configs = configs } })
  local wanted = {}
  for p = 1, partitions or 1 do
    wanted[p] = { topic = name, partition = p - 1, at = "start" }
  end
  for _ = 1, 250 do
    local ready = true
    for _, one in ipairs(self.client:offsets(wanted) or { {} }) do
      ready = ready and not one.err and (one.offset or -1) >= 0
    end
    if ready then return end
    task.sleep(20)
  end
  error("topic " .. name .. " does not answer", 0)
end

--- Produces records { {key, value, ...}, ... } to one partition.
function Side:produce(topic, partition, records, settings)
  local producer <close> = check(self.client:producer { settings = settings })
  for _, record in ipairs(records) do
    record.topic, record.partition = topic, partition
  end
  return check(producer:produce(records))
end

--- `count` numbered records from `from` on, with all that a record may have.
function M.records(from, count, size)
  local list = {}
  for i = from, from + count - 1 do
    list[#list + 1] = {
      key = i % 7 ~= 0 and ("key %d"):format(i % 100) or nil,
      value = i % 11 ~= 0 and ("value %d %s"):format(i,
        string.rep("x", size or i % 50)) or nil,
      timestamp = 1700000000000 + i * 10,
      headers = i % 3 == 0 and { { name = "n", value = tostring(i) },
        { name = "n", value = "" } } or nil,
    }
  end
  return list
end

--- "start", "end" or "stable" offset of a partition.
function Side:offset(topic, partition, at)
  local list = check(self.client:offsets { { topic = topic,
    partition = partition, at = at } })
  return list[1].offset
end

--- All committed records of [from, to) as comparable lines, offset first.
function Side:read(topic, partition, from, to)
  local lines = {}
  local reader <close> = check(self.client:reader {
    partitions = { { topic = topic, partition = partition,
      from = from or self:offset(topic, partition, "start"),
      to = to or self:offset(topic, partition, "stable") } },
    isolation = "committed" })
  while true do
    local list = check(reader:read(1000))
    if #list == 0 then return lines end
    for _, r in ipairs(list) do
      local headers = {}
      for _, h in ipairs(r.headers or {}) do
        headers[#headers + 1] = ("%s=%s"):format(h.name, h.value or "<null>")
      end
      lines[#lines + 1] = { offset = r.offset, line = ("%d|%s|%s|%s"):format(
        r.timestamp, r.key or "<null>", r.value or "<null>",
        table.concat(headers, ",")) }
    end
  end
end

--- The records of one partition on both sides, nil or the first difference.
-- `map` gives the target offset of a source offset; nothing means the same.
function M.difference(source, target, map)
  if #source ~= #target then
    return ("%d records on the source, %d on the target"):format(#source,
      #target)
  end
  for i, s in ipairs(source) do
    local offset = map and map(s.offset) or s.offset
    if target[i].offset ~= offset or target[i].line ~= s.line then
      return ("source %d %s\ntarget %d %s (want offset %s)"):format(s.offset,
        s.line:sub(1, 200), target[i].offset, target[i].line:sub(1, 200),
        tostring(offset))
    end
  end
end

--- A fresh producer id of the target.
function Side:producer_id()
  local conn <close> = check(wire.connect { host = self.host,
    port = self.port })
  local answer
  repeat
    answer = check(conn:call("InitProducerId", { TransactionalId = nil,
      TransactionTimeoutMs = 60000 }))
  until answer.ErrorCode ~= 14 and answer.ErrorCode ~= 15
  assert(answer.ErrorCode == 0, answer.ErrorCode)
  return answer.ProducerId, answer.ProducerEpoch
end

--- The table copier:start takes, with the positions that a fresh pair has.
function M.flow(pair, topic, partition, more)
  local told = check(pair.a.client:describe_topics { topic })[topic]
  local flow = {
    id = topic .. "/" .. partition,
    source = { host = pair.a.host, port = pair.a.port, topic = topic,
      partition = partition, topic_id = told.id },
    target = { host = pair.b.host, port = pair.b.port, topic = topic,
      partition = partition },
    source_offset = pair.a:offset(topic, partition, "start"),
    target_offset = 0, log_end = 0, sequence = 0,
    max_batch_bytes = 1048588, -- as brokers have it
  }
  for key, value in pairs(more or {}) do flow[key] = value end
  if not flow.producer_id and not flow.no_producer_id then
    flow.producer_id, flow.producer_epoch = pair.b:producer_id()
  end
  return flow
end

--- Follows flows until `done(state)`: state[id] has the newest positions, all
-- segments, counts and the stop, if one came.
function M.follow(copier, state, done, within_ms)
  return task.deadline(within_ms or 30000, function()
    while not done(state) do
      for _, event in ipairs(check(copier:next())) do
        local of = state[event.id] or { segments = {}, records = 0, bytes = 0,
          holes = {} }
        state[event.id] = of
        M.note(of, event)
      end
    end
    return state
  end)
end

--- Adds one event to what is known of a flow.
function M.note(of, event)
  for _, key in ipairs { "source_offset", "target_offset", "sequence",
    "source_epoch", "source_end" } do
    of[key] = event[key]
  end
  of.records = of.records + (event.records or 0)
  of.bytes = of.bytes + (event.bytes or 0)
  table.move(event.segments or {}, 1, #(event.segments or {}),
    #of.segments + 1, of.segments)
  if event.kind == "hole" then
    of.hole = event
    of.holes[#of.holes + 1] = event
  elseif event.kind == "stopped" then
    of.stop = event
  end
end

--- Runs flows until all have stopped; returns state[id].
function M.run_all(copier, flows, within_ms)
  for _, flow in ipairs(flows) do check(copier:start(flow)) end
  return check(M.follow(copier, {}, function(state)
    for _, flow in ipairs(flows) do
      if not (state[flow.id] and state[flow.id].stop) then return false end
    end
    return true
  end, within_ms))
end

--- Runs one flow until it stops.
function M.run_one(copier, flow, within_ms)
  return M.run_all(copier, { flow }, within_ms)[flow.id]
end

--- The difference between both sides of a partition, by the segments told.
function M.mapped_difference(pair, topic, partition, segments)
  local map <close> = check(offsets.load(segments))
  return M.difference(pair.a:read(topic, partition),
    pair.b:read(topic, partition), function(offset)
      local target, how = map:lookup(offset)
      return how == "exact" and target or how
    end)
end

--- Writes control markers of a producer id at a partition's log end.
function Side:markers(topic, partition, count, producer_id, epoch)
  local conn <close> = check(wire.connect { host = self.host,
    port = self.port })
  local markers = {}
  for i = 1, count do
    markers[i] = { ProducerId = producer_id, ProducerEpoch = epoch,
      TransactionResult = true, CoordinatorEpoch = 0,
      Topics = { { Name = topic, PartitionIndexes = { partition } } } }
  end
  local answer = check(conn:call("WriteTxnMarkers", { Markers = markers }))
  for _, marker in ipairs(answer.Markers) do
    local code = marker.Topics[1].Partitions[1].ErrorCode
    if code ~= 0 then error("marker: " .. wire.error_name(code), 0) end
  end
end

--- Appends one batch of `count` empty records.
function Side:filler(topic, partition, count)
  local conn <close> = check(wire.connect { host = self.host,
    port = self.port })
  local answer = check(conn:call("Produce", { Acks = -1, TimeoutMs = 30000,
    TopicData = { { Name = topic, PartitionData = { { Index = partition,
      Records = check(mirror.filler { count = count, keyed = true }) } } } } }))
  local code = answer.Responses[1].PartitionResponses[1].ErrorCode
  if code ~= 0 then error("filler: " .. wire.error_name(code), 0) end
end

--- Runs one flow of a `same` partition until it stops, filling its holes.
function M.run_filling(pair, copier, flow, within_ms)
  local filled = 0
  check(copier:start(flow))
  local of = check(M.follow(copier, {}, function(state)
    local seen = state[flow.id]
    if not seen then return false end
    for i = filled + 1, #seen.holes do
      local hole = seen.holes[i]
      assert(pair.b:offset(flow.target.topic, flow.target.partition, "end") ==
        hole.from, "the data before a hole has landed")
      pair.b:markers(flow.target.topic, flow.target.partition,
        hole.to - hole.from, flow.producer_id, flow.producer_epoch)
      check(copier:resume(flow.id, { target_offset = hole.to }))
      filled = i
    end
    return seen.stop
  end, within_ms))[flow.id]
  return of
end

M.open = mirror.open

return M
