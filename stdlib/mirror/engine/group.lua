--- A member of a Kafka group on the bridge's target: joins, is given a share of
-- the partitions, stays alive, leaves. The member that Kafka makes the leader
-- divides. Nothing here copies: mirror.engine.share acts on what is given.

local task = require "vm.task"
local wire = require "vm.wire"
local err = require "base.err"
local division = require "mirror.engine.division"

local M = {}
M.__index = M
M.__name = "bridge.group"

local SESSION_MS, REBALANCE_MS = 10000, 10000
local BEAT_MS = 2000
local AGAIN_MS = 500
local TYPE, PROTOCOL = "consumer", "tranship"
local JOIN_TRIES = 60

--- Codes of a member that is not one any more.
local LOST = {
  UNKNOWN_MEMBER_ID = true, ILLEGAL_GENERATION = true,
  FENCED_INSTANCE_ID = true,
}

--- The group's name.
function M.name_of(bridge) return "__tranship." .. bridge end

--- A member to be; `side` is a connection of its own, since a join that waits
-- for the others holds up everything behind it.
---@param side table  a mirror.side to the target
---@param bridge string
function M.new(side, bridge)
  return setmetatable({
    side = side, id = M.name_of(bridge), member = "", generation = -1,
    is_stale = false,
  }, M)
end

--- nil, or what the code means.
local function trouble(code, what)
  if code == 0 then return nil end
  return wire.error(code, what)
end

local function call(self, name, body)
  body.GroupId = self.id
  return self.side:call_coordinator(self.id, name, body)
end

local function forget_membership(self)
  self.member, self.generation = "", -1
end

local function ask_to_join(self, subscription)
  local answer, why = call(self, "JoinGroup", {
    SessionTimeoutMs = SESSION_MS, RebalanceTimeoutMs = REBALANCE_MS,
    MemberId = self.member, ProtocolType = TYPE,
    Protocols = { { Name = PROTOCOL, Metadata = subscription } },
  })
  if not answer then return nil, why end
  local name = wire.error_name(answer.ErrorCode)
  if name == "MEMBER_ID_REQUIRED" then
    self.member = answer.MemberId
    return ask_to_join(self, subscription)
  end
  if LOST[name] then forget_membership(self) end
  why = trouble(answer.ErrorCode, "join group " .. self.id)
  if why then return nil, why end
  return answer
end

--- The leader's word to all: everybody's share.
local function divided(joined, ids)
  local members, said = {}, {}
  for index, one in ipairs(joined.Members) do
    members[index] = { id = one.MemberId,
      owned = division.owned(one.Metadata or "") }
  end
  for member, share in pairs(division.divide(ids, members)) do
    said[#said + 1] = { MemberId = member,
      Assignment = division.assignment(share) }
  end
  return said
end

--- One round: joins and learns this member's share, a set of ids.
local function round(self, subscription, all)
  local joined, why = ask_to_join(self, subscription)
  if not joined then return nil, why end
  self.member, self.generation = joined.MemberId, joined.GenerationId
  self.is_stale = false
  self.leads = joined.Leader == joined.MemberId
  local ids = all()
  local answer
  answer, why = call(self, "SyncGroup", {
    GenerationId = self.generation, MemberId = self.member,
    ProtocolType = TYPE, ProtocolName = PROTOCOL,
    Assignments = self.leads and divided(joined, ids) or {},
  })
  if not answer then return nil, why end
  if LOST[wire.error_name(answer.ErrorCode)] then forget_membership(self) end
  why = trouble(answer.ErrorCode, "share of group " .. self.id)
  if why then return nil, why end
  self.divided = {} -- what the leader has given out
  for _, id in ipairs(self.leads and ids or {}) do self.divided[id] = true end
  self.members = self.leads and #joined.Members or nil
  return division.share(answer.Assignment or "")
end

--- Joins, or joins again, until a share is given.
---@async
---@param topic string  the bridge's topic
---@param owned fun(): string[]  what is copied now
---@param all fun(): string[]  all partitions of the bridge
---@return table<string, true>? share, tranship.Err?
function M:join(topic, owned, all)
  local share, why
  for _ = 1, JOIN_TRIES do
    self.is_stale = true -- and no beat: it would be answered behind the join
    share, why = round(self, division.subscription(topic, owned()), all)
    if share then return share end
    if why.kind == "denied" then return nil, why end
    task.sleep(AGAIN_MS)
  end
  return nil, err.wrap(why, "group " .. self.id)
end

--- Stays alive, for as long as it runs; `is_stale` is set when the share has to
-- be asked for again.
---@async
function M:beat()
  while true do
    task.sleep(BEAT_MS)
    if self.generation >= 0 and not self.is_stale then
      local answer = call(self, "Heartbeat", {
        GenerationId = self.generation, MemberId = self.member })
      local code = answer and answer.ErrorCode or 0
      if code ~= 0 then
        if LOST[wire.error_name(code)] then forget_membership(self) end
        self.is_stale = true
      end
    end
  end
end

--- Leaves at once, so that the others need not wait for it.
---@async
function M:leave()
  if self.member == "" then return true end
  local member = self.member
  forget_membership(self)
  return call(self, "LeaveGroup", { Members = { { MemberId = member } } })
end

function M:close() self.side:close() end

return M
