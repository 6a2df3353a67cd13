--- The bridge's topic itself: read whole, follow, write.
-- One partition, compacted, on the target. Everything run and engine tell
-- each other goes through it, and it is all a successor needs.

local log = require "vm.log"
local task = require "vm.task"
local err = require "base.err"
local record = require "mirror.topic.record"
local ledger = require "mirror.topic.ledger"

local M = {}
M.__index = M
M.__name = "bridge.topic"

local READ_AT_ONCE = 1000 -- records
local LEADER_TRIES, LEADER_WAIT_MS = 50, 100
local AGAIN_MS = 500
local AT_REST_MS = 5000
local PASSING = {
  unavailable = true, timeout = true, auth = true, denied = true,
}

--- What the topic is created with. Its records bear the broker's time: one from
-- an engine whose clock is more than an hour ahead would be refused.
function M.shape(name, brokers)
  return {
    name = record.topic_name(name), partitions = 1,
    replication = math.min(3, brokers),
    configs = { ["cleanup.policy"] = "compact",
      ["message.timestamp.type"] = "LogAppendTime" },
  }
end

--- A handle on bridge `name`; nothing is asked of the cluster yet.
---@param name string
---@param reader_of fun(): userdata  gives the vm.kafka client for reading
---@param writer_of fun(): userdata  gives the one for writing
function M.new(name, reader_of, writer_of)
  return setmetatable({
    name = record.topic_name(name), ledger = ledger.new(),
    _reader_of = reader_of, _writer_of = writer_of,
    _moved = task.flag(), _following = false, _renewals = 0,
  }, M)
end

--- Is the topic there?
---@async
---@return boolean?, tranship.Err?
function M:exists()
  local found, why = self._reader_of():describe_topics { self.name }
  if not found then return nil, why end
  return found[self.name] ~= nil
end

local function ends_now(self)
  local list, why = self._reader_of():offsets {
    { topic = self.name, partition = 0, at = "end" },
  }
  if not list then return nil, why end
  if list[1].err then return nil, list[1].err end
  return list[1].offset
end

--- The topic's end. A topic made a moment ago has no leader yet, and the broker
-- that is asked may not have heard of it.
local function ends(self)
  local stop, why = ends_now(self)
  for _ = 1, LEADER_TRIES do
    if stop or not (why.retriable or why.kind == "not found") then break end
    task.sleep(LEADER_WAIT_MS)
    stop, why = ends_now(self)
  end
  return stop, why
end

local function reader(self)
  if not self._reader then
    local made, why = self._reader_of():reader {
      partitions = {
        { topic = self.name, partition = 0, from = self.ledger.position },
      },
      isolation = "uncommitted",
    }
    if not made then return nil, why end
    self._reader = made
  end
  return self._reader
end

local function forget_reader(self)
  if self._reader then self._reader:close() end
  self._reader = nil
end

--- Waits for records and folds them in.
---@async
function M:pull()
  local from, why = reader(self)
  if not from then return nil, why end
  local records
  records, why = from:read(READ_AT_ONCE)
  if not records then return nil, why end
  for _, rec in ipairs(records) do self.ledger:fold(rec) end
  if #records > 0 then
    local moved = self._moved
    self._moved = task.flag()
    moved:set(true)
  end
  return self.ledger
end

--- Waits until the ledger may have moved. One task reads at a time, and whoever
-- else waits is woken when that read ends: what it brought may be what they wait
-- for, and nothing need come after it. A read that was cut off may have taken
-- records with it: the next one begins anew.
local function next_records(self)
  if self._following then
    self._moved:wait()
    return true
  elseif self._reading then
    self._reading:wait()
    return true
  end
  local reading, is_whole = task.flag(), false
  self._reading = reading
  local _ <close> = setmetatable({}, { __close = function()
    if not is_whole then forget_reader(self) end
    self._reading = nil
    reading:set(true)
  end })
  local renewals = self._renewals
  local ok, why = self:pull()
  is_whole = true
  if not ok and renewals ~= self._renewals then return true end -- it was cut off
  return ok, why
end

local function reach(self, position)
  while self.ledger.position < position do
    local ok, why = next_records(self)
    if not ok then return nil, why end
  end
  return self.ledger
end

--- The ledger with everything that was in the topic when this was called.
---@async
---@return table? ledger, tranship.Err?
function M:refresh()
  local position, why = ends(self)
  if not position then return nil, why end
  return reach(self, position)
end

--- Waits until `is_so(ledger)` gives a value.
---@async
---@param within_ms integer
function M:await(within_ms, is_so)
  local ledger_now, why = self:refresh()
  if not ledger_now then return nil, why end
  local value = is_so(self.ledger)
  if value then return value end
  return task.deadline(within_ms, function()
    repeat
      local ok, trouble = next_records(self)
      if not ok then return nil, trouble end
      value = is_so(self.ledger)
    until value
    return value
  end)
end

--- Keeps pulling until closed; `told()` after each batch. Runs in its own task.
-- A broker that is away for a while is waited for.
---@async
function M:follow(told)
  self._following = true
  while not self._closed do
    local renewals = self._renewals
    local ok, why = self:pull()
    if ok then
      told()
    elseif renewals == self._renewals and (why.retriable or PASSING[why.kind]) then
      log.warn("the bridge's topic cannot be read: " .. tostring(why))
      if why.kind == "auth" then self:renew() end
      task.sleep(AGAIN_MS)
    elseif renewals == self._renewals then
      return nil, why
    end
  end
  return true
end

local function producer(self)
  if not self._producer then
    local made, why = self._writer_of():producer {}
    if not made then return nil, why end
    self._producer = made
  end
  return self._producer
end

local function write(self, list, read_back)
  local to, why = producer(self)
  if not to then return nil, why end
  local batch = {}
  for index, item in ipairs(list) do
    batch[index] = record.encode(item[1], item[2])
    batch[index].topic = self.name
  end
  local answers
  answers, why = to:produce(batch)
  if not answers then return nil, why end
  local last = -1
  for _, answer in ipairs(answers) do
    why = err.is(answer) and answer or answer.err
    if why then return nil, err.wrap(why, "write to " .. self.name) end
    last = math.max(last, answer.offset)
  end
  if read_back then return reach(self, last + 1) end
  return true
end

--- Writes records { key, value } in order and waits until all are in the log;
-- with `read_back`, also until they and all before them are in the ledger. Cut off
-- by a renewal it writes them again: the last of a key counts.
---@async
---@param list { [1]: string, [2]: table }[]
function M:write(list, read_back)
  local renewals = self._renewals
  local done, why = write(self, list, read_back)
  if not done and renewals ~= self._renewals then return write(self, list, read_back) end
  return done, why
end

--- Goes on with fresh connections, which log in anew; a read under way ends first.
---@async
function M:renew()
  local reading = self._reading
  if reading then task.deadline(AT_REST_MS, reading.wait, reading) end
  self._renewals = self._renewals + 1
  forget_reader(self)
  if self._producer then self._producer:close() end
  self._producer = nil
end

function M:close()
  self._closed = true
  forget_reader(self)
  if self._producer then self._producer:close() end
  self._producer = nil
end

return M
