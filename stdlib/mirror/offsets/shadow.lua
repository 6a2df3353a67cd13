--- Groups that have moved are shadowed: while the bridge is open the engine
-- commits, on the side they came from, the places of the positions they reach
-- where they are at home now. So a group that goes home reads nothing twice.
-- Each position is proven like one that is carried; nothing is committed for a
-- group that is live there, and none goes backwards: both are said instead.

local log = require "vm.log"
local sys = require "vm.sys"
local task = require "vm.task"
local groups = require "mirror.offsets.groups"
local moving = require "mirror.offsets.moves"
local record = require "mirror.topic.record"

local M = {}

local LEASE_MS = 400 -- how long a look at the bridge's topic counts

local OTHER = { from = "to", to = "from" }

--- The engine's two clusters as mirror.offsets.moves and mirror.offsets.groups see a bridge's.
local function view_of(engine)
  local ends = {}
  for _, at in ipairs { "from", "to" } do
    local client = engine.clients[at]
    ends[at] = { at = at, name = engine.spec[at].name or at,
      client = function() return client end }
  end
  return {
    names = engine.policy.names, topics = engine.policy.topics,
    except = engine.policy.except,
    cluster = function(_, at) return ends[at] end,
    side_of = function(_, cluster) return cluster.at end,
    other = function(_, cluster) return ends[OTHER[cluster.at]] end,
  }
end

--- Is nobody in the group there?
local function is_idle(cluster, group)
  local found, why = cluster:client():describe_groups { group }
  if not found then return nil, why end
  if found[1].err then return nil, found[1].err end
  return groups.IDLE[found[1].state] or false
end

--- May the engine commit for the group now? What it says of it first lies in
-- the bridge's topic behind every word of a run that it may have missed: a run
-- says that it carries a group home, waits for longer than LEASE_MS, and only
-- then commits itself.
local function may_commit(engine, group, idle)
  local ok, why = engine:announce { { record.key.shadow(group), {
    group = group, at = idle.at, time = sys.time(), state = "shadowing",
  } } }
  if not ok then return nil, why end
  local home = engine.ledger.groups[group]
  return home.at ~= idle.at and not home.held
end

--- Commits proven moves as long as that is allowed; how many.
local function commit(engine, group, idle, proven)
  local asked, count = nil, 0
  for _, move in ipairs(proven) do
    if not asked or task.now() - asked > LEASE_MS then
      asked = task.now()
      local may, why = may_commit(engine, group, idle)
      if why then return nil, why end
      if not may or task.now() - asked > LEASE_MS then break end
    end
    local done, why = moving.commit(idle, move)
    if not done then return nil, why end
    count = count + 1
    log.info(("group %s: %s/%d on %s shadowed at %d"):format(group,
      move.there.topic, move.partition, idle.name, move.there.offset))
  end
  return count
end

--- Commits what moved on and is proven; how many, and what is wrong.
local function follow(engine, view, group, idle)
  local moves, why = moving.gather(view, { group }, idle)
  if not moves then return nil, why end
  local problems = {}
  local function refused(move, reason)
    problems[#problems + 1] = moving.id(move) .. ": " .. reason
  end
  local placed = moving.place(view, engine.ledger, moves, idle,
    function() end) -- what is not copied yet has its turn later
  local ahead = {}
  for _, move in ipairs(placed) do
    if not move.already and move.standing ~= move.there.offset then
      ahead[#ahead + 1] = move
    end
  end
  local proven
  proven, why = moving.prove(view, ahead, idle, refused)
  if not proven then return nil, why end
  local count
  count, why = commit(engine, group, idle, proven)
  if not count then return nil, why end
  return { committed = count, positions = #moves,
    behind = #moves - #placed, problems = problems }
end

--- One round for one group: what status shall say of it.
local function attend(engine, view, group, home)
  local idle = view:cluster(OTHER[home])
  local said = { group = group, at = idle.at, time = sys.time() }
  local empty, why = is_idle(idle, group)
  local done
  if empty then done, why = follow(engine, view, group, idle) end
  if why then
    said.state, said.text = "waiting", tostring(why)
  elseif not empty then
    said.state = "live"
    said.text = ("group %s is live on %s too: it is not shadowed"):format(group,
      idle.name)
  else
    said.state = #done.problems > 0 and "not shadowed" or "shadowed"
    said.text = done.problems[1] and table.concat(done.problems, "; ") or nil
    said.positions, said.behind = done.positions, done.behind
    said.committed = done.committed > 0 and done.committed or nil
  end
  return said
end

--- Is it news?
local function differs(before, said)
  return not before or said.committed or before.state ~= said.state
    or before.text ~= said.text or before.behind ~= said.behind
    or before.at ~= said.at
end

--- One look at every group that was ever carried, whatever side it is on now.
---@async
function M.look(engine)
  local view, news = view_of(engine), {}
  local list = {}
  for group in pairs(engine.ledger.groups) do list[#list + 1] = group end
  table.sort(list)
  for _, group in ipairs(list) do
    local home = engine.ledger.groups[group]
    local said = not home.held and attend(engine, view, group, home.at)
    if said and differs(engine.ledger.shadows[group], said) then
      news[#news + 1] = { record.key.shadow(group), said }
      if said.text and said.state ~= "waiting" then
        log.warn("shadow: " .. said.text)
      end
    end
  end
  if #news == 0 then return true end
  return engine.topic:write(news)
end

return M
