--- A world for tests of the bridge: two real clusters, one bridge, helpers.
-- local world <close> = new(t [, settings])

local sys = require "vm.sys"
local task = require "vm.task"
local wire = require "vm.wire"
local bridge = require "mirror.bridge"
local place = require "mirror.engine.place"
local context = require "base.context"
local cluster = require "kafka.cluster"

local here = ...

local function make_folder(path) assert(sys.mkdir(path, { parents = true })) end

local M = {}
M.__index = M

--- Starts the clusters; they end with the world.
function M.new(t, settings)
  local dir = "/tmp/tranship-test-" .. sys.hex(sys.random(6))
  local keeper = assert(sys.spawn {
    args = { here .. "/mirror_world.sh", dir,
      table.unpack(settings or {}) },
    stdin = "pipe", stdout = "pipe", stderr = "inherit",
  })
  local self = setmetatable({ t = t, dir = dir, keeper = keeper,
    bridges = {} }, M)
  local old, new = keeper:read(), keeper:read()
  if not new then
    keeper:wait()
    t.fail("the clusters did not start")
  end
  self.old = cluster.new { name = "old", bootstrap = old }
  self.new = cluster.new { name = "new", bootstrap = new }
  self.state = dir .. "/state"
  context.get().state = self.state
  return self
end

function M:__close()
  for _, one in ipairs(self.bridges) do
    self:kill_engine(one)
    one:close()
  end
  if self.old then
    self.old:close()
    self.new:close()
  end
  self.keeper:close_stdin()
  self.keeper:wait()
  self.keeper:close()
  context.get().state = nil
end

--- A bridge from old to new; closed with the world.
function M:bridge(spec)
  spec.name = spec.name or "road"
  spec.from, spec.to = spec.from or self.old, spec.to or self.new
  spec.topics = spec.topics or { "*" }
  local made = bridge.new(spec)
  self.bridges[#self.bridges + 1] = made
  return made
end

--- Runs a goal as the engine of runbooks would: apply, then check.
function M:reach(goal)
  local done, why = goal:apply {}
  if not done then
    for _, one in ipairs(self.bridges) do self.t.note(self:log(one)) end
    self.t.fail(tostring(why))
  end
  local answer = self.t.ok(goal:check({}))
  self.t.ok(answer.ok, answer.text)
end

--- Topics { name, partitions, configs } on a cluster.
function M:create(at, list)
  for _, one in ipairs(list) do
    one.replication = one.replication or self.replication or 1
    one.partitions = one.partitions or 1
  end
  local done = self.t.ok(at:client("write"):create_topics(list))
  for _, one in ipairs(done) do self.t.ok(not one.err, one.err) end
end

--- Makes the target's partitions of a topic end past the source's start, so that
-- offsets cannot be kept: the target's topic, a record in each, or so many, removed
-- again.
-- What lay there was never committed: a broker that is killed within a minute
-- has its old log start again.
function M:make_mapped(topic, partitions, count)
  self:create(self.new, { { name = topic, partitions = partitions } })
  for partition = 0, (partitions or 1) - 1 do
    self:append(self.new, M.records(topic, partition, 0, count or 1),
      { transaction = "abort" })
    local done = self.t.ok(self.new:client("write"):delete_records {
      { topic = topic, partition = partition,
        before = self:ends(self.new, topic, partition).stop },
    })
    self.t.ok(not done[1].err, done[1].err)
  end
end

--- Makes `count` records for a topic: keys, headers, nulls, old timestamps.
function M.records(topic, partition, first, count, spec)
  local list = {}
  spec = spec or {}
  for n = first, first + count - 1 do
    list[#list + 1] = {
      topic = topic, partition = partition,
      key = (n % 7 ~= 0 or spec.keyed)
        and ("key-%d"):format(n % (spec.keys or 50)) or nil,
      value = n % 11 ~= 0 and ("value %d of %s/%d "):format(n, topic,
        partition) .. ("x"):rep(n % 60) or nil,
      headers = n % 3 == 0 and {
        { name = "n", value = tostring(n) }, { name = "empty", value = "" },
      } or {},
      timestamp = 1700000000000 + n * 1000,
    }
  end
  return list
end

--- Appends records; `spec.codec`, `spec.transaction` ("commit" or "abort"),
-- `spec.settings` of the producer.
function M:append(at, records, spec)
  spec = spec or {}
  local t = self.t
  local settings = {
    ["compression.type"] = spec.codec or "none",
    ["batch.num.messages"] = spec.batch or "200", ["linger.ms"] = "5",
  }
  for name, value in pairs(spec.settings or {}) do settings[name] = value end
  local producer <close> = t.ok(at:client("write"):producer {
    transactional_id = spec.transaction and sys.hex(sys.random(6)) or nil,
    settings = settings,
  })
  if spec.transaction then
    t.ok(producer:init())
    t.ok(producer:begin())
  end
  local answers = t.ok(producer:produce(records))
  for _, answer in ipairs(answers) do t.ok(not answer.err, answer.err) end
  t.ok(producer:flush())
  if spec.transaction then t.ok(producer[spec.transaction](producer)) end
end

--- Commits positions { topic, partition, offset } of a group. A young broker
-- makes its offsets topic with the first call, which may be lost.
function M:commit(at, group, list)
  local done, why
  for _ = 1, 10 do
    done, why = at:client("write"):alter_group_offsets(group, list)
    if done then break end
    task.sleep(500)
  end
  for _, one in ipairs(self.t.ok(done, why)) do
    self.t.ok(not one.err, one.err)
  end
end

--- Every record of a partition from the log start to the end of what can be
-- read: the last stable offset, or the log end.
function M:read(at, topic, partition, isolation)
  local client = at:client "read"
  local bounds = self.t.ok(client:offsets {
    { topic = topic, partition = partition, at = "start" },
    { topic = topic, partition = partition,
      at = isolation == "uncommitted" and "end" or "stable" },
  })
  local list = {}
  if bounds[1].offset == bounds[2].offset then return list, bounds[1].offset,
    bounds[2].offset end
  local reader <close> = self.t.ok(client:reader {
    partitions = { { topic = topic, partition = partition,
      from = bounds[1].offset, to = bounds[2].offset } },
    isolation = isolation or "committed",
  })
  while true do
    local some = self.t.ok(reader:read(5000))
    if #some == 0 then return list, bounds[1].offset, bounds[2].offset end
    table.move(some, 1, #some, #list + 1, list)
  end
end

--- Log start, end and last stable offset.
function M:ends(at, topic, partition)
  local list = self.t.ok(at:client("read"):offsets {
    { topic = topic, partition = partition, at = "start" },
    { topic = topic, partition = partition, at = "end" },
    { topic = topic, partition = partition, at = "stable" },
  })
  for _, one in ipairs(list) do self.t.ok(not one.err, one.err) end
  return { start = list[1].offset, stop = list[2].offset,
    stable = list[3].offset }
end

local function same_headers(a, b)
  if #(a or {}) ~= #(b or {}) then return false end
  for index, one in ipairs(a or {}) do
    if one.name ~= b[index].name or one.value ~= b[index].value then
      return false
    end
  end
  return true
end

--- Fails unless both sides hold the same records, with `offsets` at the same
-- places: an audit that shares nothing with the engine but the client. The
-- topic may be called `on_new` on the new side.
function M:must_be_same(topic, partition, offsets, on_new, isolation)
  local a, a_start, a_end = self:read(self.old, topic, partition, isolation)
  local b, b_start, b_end = self:read(self.new, on_new or topic, partition,
    isolation)
  local id = topic .. "/" .. partition
  self.t.equal(#b, #a, id .. ": number of records")
  for index, one in ipairs(a) do
    local other = b[index]
    if one.key ~= other.key or one.value ~= other.value
      or one.timestamp ~= other.timestamp
      or not same_headers(one.headers, other.headers)
      or offsets and one.offset ~= other.offset then
      self.t.fail(("%s: record %d differs (offsets %d, %d)"):format(id, index,
        one.offset, other.offset))
    end
  end
  if offsets then
    self.t.equal(b_end, a_end, id .. ": log end")
    self.t.equal(b_start, a_start, id .. ": log start")
  end
  return #a
end

--- Waits until the bridge has nothing left to copy.
function M:settle(road, within_ms)
  local deadline = task.now() + (within_ms or 60000)
  while true do
    local answer = self.t.ok(road:lag { at_most = 0 })
    if answer.ok then return end
    if task.now() > deadline then
      self.t.fail("not settled: " .. answer.text .. "\n" .. self:log(road))
    end
    task.sleep(100)
  end
end

--- The engine's log.
function M:log(road)
  return sys.read_file(self.state .. "/bridges/" .. road.name .. ".log") or ""
end

function M:engine_pid(road)
  local holder = place.holder(road.name)
  return holder and holder.pid
end

--- Starts the engine as `open` does.
function M:start_engine(road)
  return self.t.ok(place.launch(road.name))
end

--- Another engine of the same bridge, as on a machine of its own (a state
-- folder of its own); close what it gives after waiting for its end.
function M:rival_engine(road, name, env)
  local state = self.dir .. "/state-" .. name
  make_folder(state)
  return self.t.ok(sys.spawn {
    args = { sys.executable(), "mirror", "--config",
      place.path(road.name, "json"), "--state", state },
    env = env, stdin = "null", stdout = state .. "/log",
    stderr = state .. "/log", detached = true,
  })
end

--- Keeps appending to partitions { topic, partition } of a cluster until it is
-- stopped; gives a function that stops it and says how many it appended.
function M:load(at, partitions, per_batch)
  local producer = self.t.ok(at:client("write"):producer {
    settings = { ["linger.ms"] = "1" },
  })
  local stopping, count = false, 0
  local work = task.spawn(function()
    local first = 1000000
    while not stopping do
      for _, one in ipairs(partitions) do
        assert(producer:produce(M.records(one[1], one[2], first, per_batch)))
        count = count + per_batch
      end
      first = first + per_batch
      task.sleep(20)
    end
  end)
  return function()
    stopping = true
    self.t.ok(work:join())
    producer:close()
    return count
  end
end

--- Ends the engine at once.
function M:kill_engine(road)
  local pid = self:engine_pid(road)
  if not pid then return end
  sys.kill(pid, "KILL")
  while self:engine_pid(road) do task.sleep(5) end
end

--- Waits until `is_so()` gives a value, and gives it.
function M:await(what, is_so, within_ms)
  local deadline = task.now() + (within_ms or 60000)
  repeat
    local value = is_so()
    if value then return value end
    task.sleep(100)
  until task.now() > deadline
  for _, one in ipairs(self.bridges) do self.t.note(self:log(one)) end
  self.t.fail("never so: " .. what)
end

--- Bytes a second that clients may produce to a cluster; nil: as they like. Of
-- one client id alone, or what they may fetch, where `of` or `key` say so.
function M:quota(at, bytes, of, key)
  local host, port = at.bootstrap:match "^(.*):(%d+)$"
  local conn <close> = self.t.ok(wire.connect { host = host,
    port = math.tointeger(port), timeout_ms = 20000 })
  local done = self.t.ok(conn:call("AlterClientQuotas", { Entries = { {
    Entity = { { EntityType = "client-id", EntityName = of } },
    Ops = { { Key = key or "producer_byte_rate", Value = bytes or 0,
      Remove = not bytes } },
  } }, ValidateOnly = false }))
  self.t.equal(done.Entries[1].ErrorCode, 0)
end

--- One partition's row of the bridge's progress.
function M:row(road, id)
  for _, row in ipairs(self.t.ok(road:progress())) do
    if row.topic .. "/" .. row.partition == id then return row end
  end
end

--- What the bridge says of each partition: "same", "mapped", by id.
function M:kinds(road)
  local kinds = {}
  for _, row in ipairs(self.t.ok(road:progress())) do
    kinds[row.topic .. "/" .. row.partition] = row.offsets
  end
  return kinds
end

return M
