--- A real MirrorMaker 2 in a world of two clusters, and what can be expected of
-- it: computed from the records of both sides alone.
-- local mm2 <close> = loadfile(...)(...).start(t, world, { "key=value" })

local sys = require "vm.sys"
local task = require "vm.task"
local names = require "mirror.mm2.names"
local reading = require "mirror.mm2.reading"
local side = require "mirror.side"

local here = ...
local PROGRAM = here .. "/../../world/mm2"
local LIMIT_MS = 180000

local M = {}
M.__index = M

local function run(t, words)
  local done = t.ok(sys.run(words))
  t.equal(done.code, 0, table.concat(words, " ") .. ": " .. done.stderr)
  return done.stdout
end

--- Reads a flow that nobody of MirrorMaker's runs; as `start` otherwise.
function M.watch(t, world, flow)
  local spec = { source = "old", target = "new" }
  for key, value in pairs(flow or {}) do spec[key] = value end
  local self = setmetatable({ t = t, world = world, spec = spec,
    names = t.ok(names.new(spec)), dir = world.dir .. "/mm2", sides = {} }, M)
  for at, cluster in pairs { from = world.old, to = world.new } do
    self.sides[at] = side.new { name = cluster.name,
      bootstrap = cluster.bootstrap, read_only = true }
  end
  return self
end

--- Starts MirrorMaker from old to new; `flow` says how it was set up.
function M.start(t, world, flow, settings)
  local self = M.watch(t, world, flow)
  self.settings = { table.unpack(settings or {}) }
  if self.spec.policy == "identity" then
    self.settings[#self.settings + 1] = "replication.policy.class="
      .. "org.apache.kafka.connect.mirror.IdentityReplicationPolicy"
  end
  self:go_on()
  return self
end

--- Starts the process, anew.
function M:go_on()
  run(self.t, { PROGRAM, "up", self.dir, self.world.old.bootstrap,
    self.world.new.bootstrap, table.unpack(self.settings) })
end

--- Ends it: in order, or at once.
function M:stop() run(self.t, { PROGRAM, "stop", self.dir }) end
function M:kill() run(self.t, { PROGRAM, "kill", self.dir }) end

function M:__close()
  run(self.t, { PROGRAM, "kill", self.dir })
  for _, one in pairs(self.sides) do one:close() end
end

--- What it has written down now.
function M:flow()
  return self.t.ok(reading.flow(self.names, self.world.old:client "read",
    self.world.new:client "read"))
end

--- Waits until `is_so(flow)` is true.
function M:await(what, is_so)
  local deadline = task.now() + LIMIT_MS
  while true do
    local flow = self:flow()
    if is_so(flow) then return flow end
    if task.now() > deadline then
      local log = sys.read_file(self.dir .. "/mm2.log") or ""
      self.t.note(log:sub(-3000))
      for _, road in ipairs(self.world.bridges) do
        self.t.note(self.world:log(road))
      end
      self.t.fail("waited in vain: " .. what)
    end
    task.sleep(300)
  end
end

--- Waits until Connect says that partitions { "t/0" = position } are copied.
function M:await_copied(wanted)
  return self:await("copied", function(flow)
    for id, position in pairs(wanted) do
      local at = flow.offsets[id]
      if not at or at.offset ~= position - 1 then return false end
    end
    return true
  end)
end

--- The exact place of each of `positions` of a partition, from the records of
-- both sides: shares nothing with the code under test but the client.
-- `isolation` is what MirrorMaker reads the source with.
function M:places(topic, partition, positions, isolation)
  local world = self.world
  local mine = world:read(world.old, topic, partition, isolation)
  local there, _, stop = world:read(world.new, self.names:on_target(topic),
    partition)
  local places = {}
  for index, position in ipairs(positions) do
    places[index] = stop
    for n, record in ipairs(mine) do
      if record.offset >= position then
        places[index] = there[n] and there[n].offset or stop
        break
      end
    end
  end
  return places
end

return M
