--- One of several engines: it copies the partitions that the bridge's group
-- gives to it. A partition changes hands through the bridge's topic. Who gives
-- it up writes its last position; who takes it writes, under a claim with a
-- higher number, that it has it, and reads that back before anything else. From
-- then on the one before can announce nothing about the partition, and what it
-- may still have in flight is refused or absorbed by the leg's sequences.

local log = require "vm.log"
local task = require "vm.task"
local flow = require "mirror.flow"
local group = require "mirror.engine.group"
local record = require "mirror.topic.record"
local side = require "mirror.side"

local M = {}

local HANDOVER_MS = 3000 -- the one before gets so long to write its last word
local LOOK_MS = 250

local function ids_of(map)
  local list = {}
  for id in pairs(map) do list[#list + 1] = id end
  table.sort(list)
  return list
end

--- What was copied here stays counted when the flow is gone.
local function remember(engine, one)
  local past = engine.counts.left[one.topic] or { records = 0, bytes = 0 }
  engine.counts.left[one.topic] = past
  past.records = past.records + one.copied_records
  past.bytes = past.bytes + one.copied_bytes
end

--- Takes flows out of the copier and writes their last positions, marked as
-- handed over unless somebody has them already.
local function release(engine, ids)
  for _, id in ipairs(ids) do
    engine.flows[id]:tell { kind = "leave" }
  end
  local list = {}
  for _, id in ipairs(ids) do
    local one = engine.flows[id]
    if one.task then one.task:join() end
    remember(engine, one)
    local at = one.at
    if at then one:say("handed over", at.text, at.reason, at.range) end
    engine.flows[id], engine.dirty[one] = nil, nil
    local some = one:records()
    table.move(some, 1, #some, #list + 1, list)
  end
  if #list == 0 then return true end
  return engine.topic:write(list)
end

--- Waits until nobody who is alive holds these any more, but not for ever.
local function await_handover(engine, ids)
  engine.topic:await(HANDOVER_MS, function(book)
    for _, id in ipairs(ids) do
      local known = engine.known[id]
      local part = book:partition(known.topic, known.partition)
      local at = part and part.at
      if at and at.claim and at.state ~= "handed over"
        and not book.gone[at.claim] then
        return false
      end
    end
    return true
  end)
end

--- Writes that these are ours now; gives those for which that is so.
local function take(engine, ids)
  local list = {}
  for _, id in ipairs(ids) do
    local known = engine.known[id]
    local part = engine.ledger:partition(known.topic, known.partition)
    local said = { state = "taken over" }
    for name, value in pairs(part and part.at or {}) do
      if name ~= "state" and name ~= "text" then said[name] = value end
    end
    said.claim = engine.generation
    list[#list + 1] = { record.key.at(known.topic, known.partition), said }
  end
  local ok, why = engine.topic:write(list, true)
  if not ok then return nil, why end
  for _, id in ipairs(ids) do
    local known = engine.known[id]
    local at = engine.ledger:partition(known.topic, known.partition).at
    if at.claim == engine.generation and not engine.flows[id] then
      engine:start_flow(flow.new(engine, known.topic, known.partition))
    end
  end
  return true
end

--- Makes what is copied here what the share says.
local function act_on(engine, share)
  local given_up, gained = {}, {}
  for id, one in pairs(engine.flows) do
    if not share[id] or one.lost then given_up[#given_up + 1] = id end
  end
  if #given_up > 0 then
    local ok, why = release(engine, given_up)
    if not ok then return nil, why end
  end
  for id in pairs(share) do
    if engine.known[id] and not engine.flows[id] then
      gained[#gained + 1] = id
    end
  end
  engine.has_share = #gained == 0
  if #gained == 0 then return true end
  table.sort(gained)
  await_handover(engine, gained)
  local ok, why = engine:claim()
  if not ok then return nil, why end
  ok, why = take(engine, gained)
  if not ok then return nil, why end
  log.info(("bridge %s: claim %d, copies %d partitions, took %d, gave up %d")
    :format(engine.name, engine.generation, #ids_of(engine.flows), #gained,
      #given_up))
  return true
end

--- Is something there that the leader has given to nobody?
local function is_undivided(engine, member)
  if not member.leads then return false end
  for id in pairs(engine.known) do
    if not member.divided[id] then return true end
  end
  return false
end

--- Works on the share until it has to be asked for again.
local function work(engine, member, share)
  repeat
    local ok, why = act_on(engine, share)
    if not ok then
      log.warn("share: " .. tostring(why))
      if why.fatal then return nil, why end
    end
    task.sleep(LOOK_MS)
  until member.is_stale or is_undivided(engine, member)
  return true
end

--- The engine's life as a member; runs in a task of its own.
---@async
function M.run(engine)
  engine.looked:wait()
  local member = group.new(side.new { name = engine.spec.to.name,
    bootstrap = engine.spec.to.bootstrap, login = engine.logins.to },
    engine.name)
  engine.member = member
  local _ <close> = task.spawn(function() return member:beat() end)
  while not engine.done:is_set() do
    local share, why = member:join(engine.topic.name,
      function() return ids_of(engine.flows) end,
      function() return ids_of(engine.known) end)
    if not share then return nil, why end
    log.info(("bridge %s: generation %d of group %s gives %d partitions")
      :format(engine.name, member.generation, member.id, #ids_of(share)))
    local ok
    ok, why = work(engine, member, share)
    if not ok then return nil, why end
  end
  return true
end

--- Hands everything over and leaves the group.
---@async
function M.leave(engine)
  engine.group_task:cancel()
  local ok, why = release(engine, ids_of(engine.flows))
  if not ok then log.error("not handed over: " .. tostring(why)) end
  if engine.member then engine.member:leave() end
end

return M
