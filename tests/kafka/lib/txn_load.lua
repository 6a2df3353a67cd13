--- Transactional writers for tests: several producers with ids of their own,
-- whose transactions overlap, end either way, and mix with plain records.
-- local load = loadfile(...)() ; local writers <close> = load.open(world, at, n)

local sys = require "vm.sys"
local task = require "vm.task"

local M = {}
M.__index = M

local CODECS = { "none", "gzip", "snappy", "lz4", "zstd" }

--- Random numbers below `most`, the same for the same seed.
local function random(self, most)
  self.seed = (self.seed * 1103515245 + 12345) & 0x7fffffff
  return (self.seed >> 8) % most
end

--- `count` producers, each with a codec of its own.
function M.open(world, at, count, seed, settings)
  local self = setmetatable({
    world = world, at = at, list = {}, seed = seed or 7, serial = 0,
    commits = 0, aborts = 0, records = 0,
  }, M)
  for n = 1, count do
    local own = {
      ["compression.type"] = CODECS[n % #CODECS + 1], ["linger.ms"] = "1",
      ["batch.num.messages"] = "50",
    }
    for name, value in pairs(settings or {}) do own[name] = value end
    local producer = world.t.ok(at:client("write"):producer {
      transactional_id = "app-" .. sys.hex(sys.random(6)), settings = own,
    })
    world.t.ok(producer:init())
    self.list[n] = { producer = producer, open = false }
  end
  return self
end

function M:__close()
  for _, one in ipairs(self.list) do one.producer:close() end
end

--- Some records of producer `n` to a random one of `partitions`.
function M:write(n, partitions, count)
  local one, t = self.list[n], self.world.t
  local place = partitions[random(self, #partitions) + 1]
  if not one.open then
    t.ok(one.producer:begin())
    one.open = true
  end
  local answers = t.ok(one.producer:produce(self.world.records(place[1],
    place[2], self.serial, count)))
  for _, answer in ipairs(answers) do t.ok(not answer.err, answer.err) end
  t.ok(one.producer:flush())
  self.serial, self.records = self.serial + count, self.records + count
end

--- Ends the transaction of producer `n`, if one is open.
function M:finish(n, verdict)
  local one = self.list[n]
  if not one.open then return end
  self.world.t.ok(one.producer[verdict](one.producer))
  one.open = false
  self[verdict .. "s"] = self[verdict .. "s"] + 1
end

--- One random step of a random producer.
function M:step(partitions)
  local n = random(self, #self.list) + 1
  local dice = random(self, 10)
  if dice < 6 then
    self:write(n, partitions, 1 + random(self, 40))
  else
    self:finish(n, dice == 9 and "abort" or "commit")
  end
end

function M:steps(partitions, count)
  for _ = 1, count do self:step(partitions) end
end

function M:finish_all(verdict)
  for n = 1, #self.list do self:finish(n, verdict or "commit") end
end

--- Goes on in the background; gives a function that stops it.
function M:run(partitions, pause_ms)
  local stopping = false
  local work = task.spawn(function()
    while not stopping do
      self:step(partitions)
      task.sleep(pause_ms or 1)
    end
    return true
  end)
  return function()
    stopping = true
    self.world.t.ok(work:join())
  end
end

return M
