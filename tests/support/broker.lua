--- A broker of its own for a test file, with a raw connection to it.
-- Loaded by path: `local broker = dofile "tests/support/broker.lua"`. The
-- variable WIRE_BROKER (host:port) names one that runs already.

local sys = require "vm.sys"
local wire = require "vm.wire"
local kafka = require "vm.kafka"
local task = require "vm.task"

local M = {}

local function check(value, why)
  if value == nil then error(why, 0) end
  return value
end
M.check = check

local function run(words)
  local done = check(sys.run(words))
  if done.code ~= 0 then
    error(table.concat(words, " ") .. ": " .. done.stderr, 0)
  end
  return (done.stdout:gsub("%s+$", ""))
end

local Broker = {}
Broker.__index = Broker

--- Starts one; settings as tests/world/cluster takes them ("KEY=VALUE").
---@async
function M.start(...)
  local address, dir = sys.env "WIRE_BROKER", nil
  if not address then
    dir = run { "mktemp", "-d" }
    local settings = { ... }
    address = run { "tests/world/cluster", "up", dir .. "/b",
      table.unpack(settings) }
  end
  local host, port = address:match "^(.*):(%d+)$"
  return setmetatable({ host = host, port = math.tointeger(port), dir = dir,
    address = address }, Broker)
end

--- A case with a broker that is stopped however the case ends.
---@async
function M.with(body, ...)
  local broker = M.start(...)
  local ok, why = pcall(body, broker)
  broker:stop()
  if not ok then error(why, 0) end
end

function Broker:stop()
  if not self.dir then return end
  run { "tests/world/cluster", "down", self.dir .. "/b" }
  run { "rm", "-rf", self.dir }
end

function Broker:connect(options)
  local all = { host = self.host, port = self.port, timeout_ms = 20000 }
  for k, v in pairs(options or {}) do all[k] = v end
  return check(wire.connect(all))
end

function Broker:client(options)
  local all = { bootstrap = self.address, name = "test" }
  for k, v in pairs(options or {}) do all[k] = v end
  return check(kafka.open(all))
end

--- A topic, waited for until its partitions have a leader.
---@async
function Broker:topic(name, partitions, configs)
  local client <close> = self:client()
  local made = check(client:create_topics { { name = name,
    partitions = partitions, replication = 1, configs = configs } })
  for _, item in ipairs(made) do if item.err then error(item.err, 0) end end
  local conn <close> = self:connect()
  for _ = 1, 200 do
    local answer = check(conn:call("Metadata", { Topics = { { Name = name } } }))
    local topic, ready = answer.Topics[1], true
    for _, part in ipairs(topic.Partitions) do
      ready = ready and part.ErrorCode == 0 and part.LeaderId >= 0
    end
    if topic.ErrorCode == 0 and #topic.Partitions == partitions and ready then
      return topic
    end
    task.sleep(20)
  end
  error("topic " .. name .. " has no leaders", 0)
end

-- A record batch written by hand. -------------------------------------------

local crc_table
local function crc32c(bytes)
  if not crc_table then
    crc_table = {}
    for i = 0, 255 do
      local c = i
      for _ = 1, 8 do c = c & 1 == 1 and c >> 1 ~ 0x82F63B78 or c >> 1 end
      crc_table[i] = c
    end
  end
  local crc = 0xffffffff
  for i = 1, #bytes do
    crc = crc >> 8 ~ crc_table[(crc ~ bytes:byte(i)) & 255]
  end
  return crc ~ 0xffffffff
end

local function varint(n)
  local z, out = n << 1 ~ n >> 63, {}
  while z > 127 do
    out[#out + 1] = string.char(z & 127 | 128)
    z = z >> 7
  end
  out[#out + 1] = string.char(z)
  return table.concat(out)
end

local function sized(text)
  return text and varint(#text) .. text or "\1" -- varint of -1
end

--- One uncompressed batch of { key, value, timestamp? } items, base offset 0.
-- `o.pid`, `o.epoch`, `o.sequence`, `o.transactional` as in the format.
function M.batch(records, o)
  o = o or {}
  local body, base_time, max_time = {}, records[1].timestamp or 1000, 0
  for i, record in ipairs(records) do
    local time = record.timestamp or 1000
    max_time = math.max(max_time, time)
    local inner = "\0" .. varint(time - base_time) .. varint(i - 1)
      .. sized(record.key) .. sized(record.value) .. "\0"
    body[i] = varint(#inner) .. inner
  end
  local sealed = (">i2 i4 i8 i8 i8 i2 i4 i4"):pack(
    o.transactional and 16 or 0, #records - 1, base_time, max_time,
    o.pid or -1, o.epoch or -1, o.sequence or -1, #records)
    .. table.concat(body)
  return (">i8 i4 i4 i1 I4"):pack(0, #sealed + 9, -1, 2, crc32c(sealed))
    .. sealed
end

return M
