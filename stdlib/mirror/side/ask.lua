--- Questions to brokers, and what their answers mean: to one, to any of them,
-- to the leader of a partition. Connections are kept by address.

local wire = require "vm.wire"
local err = require "base.err"

local M = {}

M.TIMEOUT_MS = 15000

--- Codes after which another broker, or the same one later, may answer well:
-- unknown topic, leader not there, not leader, timed out, replica not there,
-- network, coordinator loading, not there, moved, epochs in motion, a leader
-- that is too new to know its end.
M.MOVED = {
  [3] = true, [5] = true, [6] = true, [7] = true, [9] = true, [13] = true,
  [14] = true, [15] = true, [16] = true, [74] = true, [75] = true,
  [78] = true,
}
local FENCED_LEADER_EPOCH = 74
M.DENIED = { [29] = true, [30] = true, [31] = true, [53] = true }

--- An err for a broker's code.
function M.refused(self, code, what)
  return err.new {
    kind = M.DENIED[code] and "denied" or M.MOVED[code] and "unavailable"
      or "conflict",
    origin = "kafka", code = code, retriable = M.MOVED[code] or false,
    message = ("%s on %s: %s"):format(what, self.name, wire.error_name(code)),
  }
end

local function connect(self, host, port)
  local address = host .. ":" .. port
  local conn = self._conns[address]
  if conn and conn:is_open() then return conn end
  if conn then conn:close() end
  local why
  conn, why = wire.connect {
    host = host, port = port, login = self.login,
    read_only = self.read_only or false,
    timeout_ms = M.TIMEOUT_MS,
  }
  if not conn then return nil, why end
  self._conns[address] = conn
  return conn
end

--- Others may have opened the next one there already: that is theirs.
local function drop(self, host, port, conn)
  local address = host .. ":" .. port
  if self._conns[address] == conn then self._conns[address] = nil end
  conn:close()
end

--- Asks one broker; `options` are those of a call, and so is what comes back.
function M.at(self, host, port, name, body, options)
  local conn, why = connect(self, host, port)
  if not conn then return nil, why end
  local answer, more = conn:call(name, body, options)
  if answer == nil then drop(self, host, port, conn) end
  return answer, more
end

--- Asks a broker of the bootstrap list, the one that answered last before the
-- others; or any other that was known last, for a list may have aged.
function M.any(self, name, body, options)
  local answer, why
  local list = {}
  for host, port in self.bootstrap:gmatch "%[?([^,%s%[%]]+)%]?:(%d+)" do
    list[#list + 1] = { host = host, port = math.tointeger(port) }
  end
  for turn = self._asked, self._asked + #list - 1 do
    local broker = list[(turn - 1) % #list + 1]
    answer, why = M.at(self, broker.host, broker.port, name, body, options)
    if answer ~= nil then
      self._asked = turn
      return answer, why
    end
  end
  for _, broker in pairs(why and self.brokers or {}) do
    local more
    answer, more = M.at(self, broker.host, broker.port, name, body, options)
    if answer ~= nil then return answer, more end
  end
  return nil, why or err.new {
    kind = "invalid", origin = "bridge",
    message = ("%s has no address in %q"):format(self.name, self.bootstrap),
  }
end

--- Asks the leader of a partition; `body` may be a function of its epoch.
function M.leader(self, topic, partition, name, body)
  local leader, why = self:leader(topic, partition)
  if not leader then return nil, why end
  local answer
  answer, why = M.at(self, leader.host, leader.port, name,
    type(body) == "function" and body(leader.epoch) or body)
  if not answer then self:forget(topic) end
  return answer, why
end

--- What a broker says of a partition, or the err that it means.
function M.checked(self, topic, part, what)
  if not part then
    return nil, err.new {
      kind = "protocol", origin = "kafka",
      message = what .. " on " .. self.name .. ": answer without a partition",
    }
  elseif part.ErrorCode ~= 0 then
    if M.MOVED[part.ErrorCode] then self:forget(topic) end
    return nil, M.refused(self, part.ErrorCode, what)
  end
  return part
end

--- The one partition of an answer that lists topics and partitions.
function M.only(self, topic, list, inner, what)
  return M.checked(self, topic,
    list and list[1] and list[1][inner] and list[1][inner][1], what)
end

--- Asks again, once, where an epoch of ours has aged: it is looked up anew.
local function asked_anew(once, ...)
  local part, why = once(...)
  if not part and why.code == FENCED_LEADER_EPOCH then return once(...) end
  return part, why
end
M.asked_anew = asked_anew

--- Asks the leader about its one partition; an epoch of ours that has aged is
-- looked up anew, once.
---@param inner? string  where the answer's topics list partitions: Partitions
---@param list? string  where it lists topics: Topics
function M.part(self, topic, partition, name, body, what, inner, list)
  local function once()
    local answer, why = M.leader(self, topic, partition, name, body)
    if not answer then return nil, why end
    return M.only(self, topic, answer[list or "Topics"], inner or "Partitions",
      ("%s %s/%d"):format(what, topic, partition))
  end
  return asked_anew(once)
end

return M
