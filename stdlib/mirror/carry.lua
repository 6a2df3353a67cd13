--- Carries a group's positions across the bridge, each one proven by content
-- before it is committed: the first committed record at or after the position
-- it had, and the one at or after the position it shall get, are the same; or
-- both sides have none. What cannot be proven is not committed, and named.

local effect = require "base.effect"
local err = require "base.err"
local answer = require "mirror.answer"
local certificate = require "mirror.certificate"
local map = require "mirror.map"
local names = require "mirror.names"
local proof = require "mirror.proof"

local M = {}

local SETTLE_MS = 3000 -- for progress that is made but not yet written down

local function refuse(kind, format, ...)
  return nil, err.new {
    kind = kind, origin = "bridge", message = format:format(...),
  }
end

--- A group with members cannot be moved; says who they are.
local function must_be_empty(cluster, name)
  local group = cluster:group(name)
  local idle, why = group:is_idle()
  if idle == nil then return nil, why end
  if idle then return true end
  local members = {}
  for _, member in ipairs(group:members() or {}) do
    members[#members + 1] = ("%s at %s"):format(member.client_id
      or member.member_id, tostring(member.host))
  end
  return refuse("conflict", "group %s is live on %s: %s", name, cluster.name,
    #members > 0 and answer.some(members) or tostring(group:state()))
end

--- Positions on the way: what the group has where it was, topic names on both
-- sides, what it has where it goes.
local function positions(bridge, group, to)
  local from = bridge:other(to)
  local here, there = bridge:side_of(from), bridge:side_of(to)
  local list, why = from:client("read"):group_offsets(group, { stable = true })
  if not list then return nil, why end
  local already
  already, why = to:client("read"):group_offsets(group, { stable = true })
  if not already then return nil, why end
  local known = {}
  for _, one in ipairs(already) do
    known[one.topic .. "/" .. one.partition] = one
  end
  local moves = {}
  for _, one in ipairs(list) do
    local source = here == "from" and one.topic
      or names.on_source(bridge.names, one.topic)
    if one.err then return nil, one.err end
    if source and one.offset >= 0 and names.carries(bridge, source) then
      local name = there == "from" and source
        or names.on_target(bridge.names, source)
      local at = known[name .. "/" .. one.partition]
      moves[#moves + 1] = {
        source = source, partition = one.partition, metadata = one.metadata,
        here = { topic = one.topic, partition = one.partition,
          offset = one.offset },
        there = { topic = name, partition = one.partition },
        standing = at and at.offset >= 0 and at.offset or nil,
      }
    end
  end
  table.sort(moves, function(a, b)
    if a.source ~= b.source then return a.source < b.source end
    return a.partition < b.partition
  end)
  return moves
end

--- Gives each move its place; those without one are named in `problems`.
local function place(bridge, book, moves, to, problems)
  local at = bridge:side_of(bridge:other(to))
  local placed = {}
  for _, move in ipairs(moves) do
    local exact <close>, problem = map.of(book, move.source, move.partition)
    local offset, why = nil, problem or "no leg yet"
    if exact then
      offset, why = exact:lookup(move.here.offset, at)
      move.here.floor = exact.start[at]
      move.there.floor = exact.start[at == "from" and "to" or "from"]
    end
    if offset then
      move.there.offset = offset
      placed[#placed + 1] = move
    else
      problems[#problems + 1] = ("%s/%d: %s"):format(move.source,
        move.partition, tostring(why))
    end
  end
  return placed
end

--- Places, once the engine has written down how far it is.
local function translate(bridge, book, moves, to, problems)
  local placed = place(bridge, book, moves, to, {})
  if #placed == #moves then return placed end
  bridge:hurry()
  bridge:topic():await(SETTLE_MS, function(now)
    placed = place(bridge, now, moves, to, {})
    return #placed == #moves
  end)
  return place(bridge, bridge:topic().ledger, moves, to, problems)
end

--- Keeps the moves that are proven; the others are named in `problems`.
local function prove(bridge, group, moves, to, problems)
  local from = bridge:other(to)
  local ok, why = proof.compare(moves, from:client "read", to:client "read")
  if not ok then return nil, why end
  local proven = {}
  for _, move in ipairs(moves) do
    if not move.same then
      problems[#problems + 1] = ("%s/%d: position %d is not proven at %d: %s")
        :format(move.source, move.partition, move.here.offset,
          move.there.offset, move.why)
    elseif move.standing and move.standing > move.there.offset then
      problems[#problems + 1] = ("%s/%d: the group stands at %d already, "
        .. "beyond the proven position %d"):format(move.source,
          move.partition, move.standing, move.there.offset)
    else
      move.certificate = certificate.make(group, move, from, to)
      proven[#proven + 1] = move
    end
  end
  return proven
end

local function commit(group, to, move, planned)
  local after = move.there.offset
  if planned then
    after = effect.unknown("where the group stops")
  elseif move.standing == after then
    return true
  end
  return effect.perform {
    primitive = "kafka.alter_group_offsets", resume = "set",
    target = ("cluster/%s/group/%s/offset/%s/%d"):format(to.name, group,
      move.there.topic, move.partition),
    summary = planned
      and ("carry %s %s/%d (now at %d)"):format(group, move.there.topic,
        move.partition, move.here.offset)
      or ("carry %s %s/%d: %d is %d"):format(group, move.there.topic,
        move.partition, move.here.offset, after),
    args = { group = group, topic = move.there.topic,
      partition = move.partition, source_position = move.here.offset,
      position = not planned and after or nil,
      certificate = move.certificate },
    before = move.standing or "none",
    after = after,
    undo = move.standing and ("commit %d again"):format(move.standing)
      or "delete the position",
    send = function()
      local done, why = to:client("write"):alter_group_offsets(group, { {
        topic = move.there.topic, partition = move.partition, offset = after,
        metadata = move.metadata,
      } })
      if not done then return nil, why end
      if done[1] and done[1].err then return nil, done[1].err end
      return after
    end,
  }
end

local function plan_group(bridge, group, to)
  local moves, why = positions(bridge, group, to)
  if not moves then return nil, why end
  for _, move in ipairs(moves) do commit(group, to, move, true) end
  return true
end

local function carry_group(bridge, group, to, book)
  for _, cluster in ipairs { to, bridge:other(to) } do
    local ok, why = must_be_empty(cluster, group)
    if not ok then return nil, why end
  end
  local moves, why = positions(bridge, group, to)
  if not moves then return nil, why end
  local problems = {}
  local proven
  proven, why = prove(bridge, group, translate(bridge, book, moves, to,
    problems), to, problems)
  if not proven then return nil, why end
  if #problems > 0 then
    return refuse("conflict", "group %s is not carried to %s: %s", group,
      to.name, table.concat(problems, "; "))
  end
  for _, move in ipairs(proven) do
    local ok
    ok, why = commit(group, to, move)
    if not ok then return nil, why end
  end
  return { group = group, exactly = #proven }
end

--- Does every group stand on `to` where its positions are proven to be?
---@async
---@return tranship.Answer?, tranship.Err?
function M.is_carried(bridge, groups, to)
  local problems, certificates = {}, {}
  for _, group in ipairs(names.list(groups)) do
    local book, why = bridge:ledger()
    if book == nil then return nil, why end
    local moves
    moves, why = positions(bridge, group, to)
    if not moves then return nil, why end
    local proven = {}
    if book and book.bridge then
      proven, why = prove(bridge, group, translate(bridge, book, moves, to,
        problems), to, problems)
      if not proven then return nil, why end
    elseif #moves > 0 then
      problems[#problems + 1] = group .. ": the bridge is not open"
    end
    for _, move in ipairs(proven) do
      certificates[#certificates + 1] = move.certificate
      if move.standing ~= move.there.offset then
        problems[#problems + 1] = ("%s %s/%d: %s, not %d"):format(group,
          move.there.topic, move.partition, tostring(move.standing
          or "not committed"), move.there.offset)
      end
    end
  end
  return {
    ok = #problems == 0, seen = { positions = #certificates,
      problems = problems, certificates = certificates }, want = "every position carried",
    text = #problems == 0
      and ("%d positions stand on %s"):format(#certificates, to.name)
      or answer.some(problems),
  }
end

--- Carries `groups` (a name, a list, or nil: nothing) to cluster `to`.
---@async
---@return table[]|nil carried { group, exactly } each, tranship.Err?
function M.carry(bridge, groups, to)
  local carried = {}
  for _, group in ipairs(names.list(groups)) do
    local done, why
    if answer.is_planning() then
      done, why = plan_group(bridge, group, to)
    else
      local book
      book, why = bridge:open_ledger()
      if not book then return nil, why end
      done, why = carry_group(bridge, group, to, book)
    end
    if not done then return nil, why end
    carried[#carried + 1] = done
  end
  return carried
end

return M
