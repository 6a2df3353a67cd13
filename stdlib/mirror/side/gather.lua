--- Questions about single partitions, gathered. Flows that begin ask a dozen each,
-- and a broker serves a connection one request at a time: while it answers one,
-- what is asked meanwhile waits, and goes to it in one request.

local task = require "vm.task"
local ask = require "mirror.side.ask"

local M = {}

local MOST = 1000 -- partitions in one request

--- Questions of one kind to one leader that wait, or are asked by a task.
local function line_of(self, kind, leader)
  local key = ("%s %s:%d"):format(kind.name, leader.host, leader.port)
  local line = self._lines[key]
  if not line then
    line = { leader = leader, kind = kind }
    self._lines[key] = line
  end
  return line
end

--- Takes questions that go into one request: no partition may be in it twice, and
-- all are asked in one way.
local function take(line)
  local batch, later, topics, known = {}, {}, {}, {}
  local way = line[1].way
  for _, one in ipairs(line) do
    local topic = known[one.topic]
    if not topic then
      topic = { asked = {}, items = {} }
      known[one.topic] = topic
    end
    if #batch == MOST or one.way ~= way or topic.asked[one.partition] then
      later[#later + 1] = one
    else
      if not topic.items[1] then
        topics[#topics + 1] = { Name = one.topic,
          [line.kind.inner] = topic.items }
      end
      topic.asked[one.partition] = one
      table.insert(topic.items, one.item)
      batch[#batch + 1] = one
    end
  end
  return batch, later, topics, known
end

local function ask_some(self, line)
  local batch, later, topics, known = take(line)
  for index = 1, math.max(#line, #later) do line[index] = later[index] end
  local kind = line.kind
  local answer, why = ask.at(self, line.leader.host, line.leader.port, kind.name,
    kind.body(topics, batch[1].way))
  for _, topic in ipairs(answer and answer.Topics or {}) do
    local asked = (known[topic.Name] or {}).asked or {}
    for _, part in ipairs(topic.Partitions) do
      local one = asked[part.PartitionIndex]
      if one then one.part = part end
    end
  end
  for _, one in ipairs(batch) do
    one.why = why
    one.answered:set()
  end
end

local function ask_all(self, line)
  while line[1] do ask_some(self, line) end
  line.is_asked = false
end

local function once(self, kind, topic, partition, item, way)
  local leader, why = self:leader(topic, partition)
  if not leader then return nil, why end
  local one = { topic = topic, partition = partition, item = item(leader),
    way = way, answered = task.flag() }
  local line = line_of(self, kind, leader)
  line[#line + 1] = one
  if not line.is_asked then
    line.is_asked = true
    task.spawn(ask_all, self, line)
  end
  one.answered:wait()
  if one.why then
    self:forget(topic)
    return nil, one.why
  end
  return ask.checked(self, topic, one.part, ("%s %s/%d"):format(kind.what, topic,
    partition))
end

--- What the leader of a partition answers about it. `kind` describes the request:
-- { name, inner, body(topics, way), what }; `item(leader)` is the partition's part
-- of it.
---@async
---@return table? part, tranship.Err?
function M.one(...) return ask.asked_anew(once, ...) end

--- Drops what waits, with those who ask.
function M.close(self)
  for _, line in pairs(self._lines) do
    for index = #line, 1, -1 do line[index] = nil end
  end
end

return M
