--- Positions of groups on their way across a bridge: what there is to move,
-- where each one belongs, and the proof of it. Used by the run to carry groups,
-- and by the engine to shadow those that have moved. `view` is a bridge, or
-- anything with its side_of, other, cluster, names, topics and except.

local task = require "vm.task"
local certificate = require "mirror.offsets.certificate"
local map = require "mirror.offsets.map"
local names = require "mirror.names"
local proof = require "mirror.offsets.proof"

local M = {}

local AT_ONCE = 8

---@class tranship.Move
---@field group string
---@field source string     the topic, as the source calls it
---@field partition integer
---@field here table        topic, partition, offset; `stood` where that is
---                         below the log start
---@field there table       topic, partition; offset once it has a place
---@field standing? integer what the group has there already

local function by_partition(list)
  local known = {}
  for _, one in ipairs(list) do known[one.topic .. "/" .. one.partition] = one end
  return known
end

--- What one group has where it was, with topic names on both sides, and what it
-- has where it goes.
local function of_group(view, group, to, moves)
  local from = view:other(to)
  local here, there = view:side_of(from), view:side_of(to)
  local list, why = from:client("read"):group_offsets(group, { stable = true })
  if not list then return nil, why end
  local already
  already, why = to:client("read"):group_offsets(group, { stable = true })
  if not already then return nil, why end
  local known = by_partition(already)
  for _, one in ipairs(list) do
    local source = here == "from" and one.topic
      or names.on_source(view.names, one.topic)
    if one.err then return nil, one.err end
    if source and one.offset >= 0 and names.carries(view, source) then
      local name = there == "from" and source
        or names.on_target(view.names, source)
      local at = known[name .. "/" .. one.partition]
      moves[#moves + 1] = {
        group = group, source = source, partition = one.partition,
        metadata = one.metadata,
        here = { topic = one.topic, partition = one.partition,
          offset = one.offset },
        there = { topic = name, partition = one.partition },
        standing = at and at.offset >= 0 and at.offset or nil,
      }
    end
  end
  return true
end

--- A position that retention has overtaken goes on at the log's start.
local function mind_log_starts(client, moves)
  local sides = {}
  for index, move in ipairs(moves) do sides[index] = move.here end
  if #sides == 0 then return true end
  local ok, why = proof.bounds(client, sides, "start")
  if not ok then return nil, why end
  for _, here in ipairs(sides) do
    if here.offset < here.start then
      here.stood, here.offset = here.offset, here.start
    end
  end
  return true
end

local function in_order(a, b)
  if a.source ~= b.source then return a.source < b.source end
  if a.partition ~= b.partition then return a.partition < b.partition end
  return a.group < b.group
end

--- Everything that `groups` have to move to cluster `to`, by partition.
---@async
---@return tranship.Move[]?, tranship.Err?
function M.gather(view, groups, to)
  local moves, work = {}, {}
  for index, group in ipairs(groups) do
    work[index] = function() return of_group(view, group, to, moves) end
  end
  local ok, why = task.together(work, { at_once = AT_ONCE })
  if ok then
    ok, why = mind_log_starts(view:other(to):client "read", moves)
  end
  if not ok then return nil, why end
  table.sort(moves, in_order)
  return moves
end

--- How a move is named in what is said about it.
function M.id(move, several)
  local id = ("%s/%d"):format(move.source, move.partition)
  return several and move.group .. " " .. id or id
end

--- Gives each move its place. `refused(move, why)` for those without one.
---@return tranship.Move[] placed
function M.place(view, book, moves, to, refused)
  local at = view:side_of(view:other(to))
  local placed, last, exact, problem = {}, nil, nil, nil
  for _, move in ipairs(moves) do
    local id = M.id(move)
    if id ~= last then
      if exact then exact:close() end
      last, exact, problem = id, map.of(book, move.source, move.partition)
    end
    local offset, why = nil, problem or "no leg yet"
    if exact then
      offset, why = exact:lookup(move.here.offset, at)
      move.here.floor = exact.start[at]
      move.there.floor = exact.start[at == "from" and "to" or "from"]
      move.already = move.standing and exact:lookup(move.standing,
        at == "from" and "to" or "from") == move.here.offset
    end
    if offset then
      move.there.offset = offset
      placed[#placed + 1] = move
    else
      refused(move, tostring(why))
    end
  end
  if exact then exact:close() end
  return placed
end

--- Proves by content that places are right: gives each proven move its
-- certificate. `refused(move, why)` for the others.
---@async
---@return tranship.Move[]? proven, tranship.Err?
function M.prove(view, moves, to, refused)
  local from = view:other(to)
  local ok, why = proof.compare(moves, from:client "read", to:client "read")
  if not ok then return nil, why end
  local proven = {}
  for _, move in ipairs(moves) do
    local place = move.there.offset
    if not move.same then
      refused(move, ("position %d is not proven at %d: %s"):format(
        move.here.offset, place, move.why))
    elseif move.standing and move.standing > place then
      refused(move, ("the group stands at %d already, beyond the proven "
        .. "position %d"):format(move.standing, place))
    else
      move.certificate = certificate.make(move.group, move, from, to)
      proven[#proven + 1] = move
    end
  end
  return proven
end

--- Commits one position of a group that nobody is in.
---@async
function M.commit(cluster, move)
  local done, why = cluster:client("write"):alter_group_offsets(move.group, { {
    topic = move.there.topic, partition = move.partition,
    offset = move.there.offset, metadata = move.metadata,
  } })
  if not done then return nil, why end
  if done[1] and done[1].err then return nil, done[1].err end
  return move.there.offset
end

return M
