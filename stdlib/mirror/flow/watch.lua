--- Looks after flows that have nothing to do: has somebody else written to their
-- target, or cut its log? Has filler come back? Is what stopped them cured? Leaders
-- are asked about many of them at once, and a flow is told ("check") only where
-- there is something to look at.

local ledger = require "mirror.topic.ledger"
local prepare = require "mirror.flow.prepare"

local M = {}

local MOST = 1000 -- flows in one look; where there are more, they take turns

--- Has it copied all that the source has shown?
local function is_idle(flow)
  local at = flow.at
  return at.source_end and at.source >= at.source_end
end

--- Flows to be looked at now: those in doubt, and the others in turns.
local function due(engine)
  local list = {}
  for _, flow in pairs(engine.flows) do
    if flow.run_id and (flow.cut_ms or is_idle(flow)) then
      list[#list + 1] = flow
    end
  end
  local turns = (#list + MOST - 1) // MOST
  if turns < 2 then return list end
  local now = {}
  engine.looks = (engine.looks or 0) + 1
  for _, flow in ipairs(list) do
    if flow.doubt or (flow.number + engine.looks) % turns == 0 then
      now[#now + 1] = flow
    end
  end
  return now
end

local function wish(flow, side, value)
  return { flow = flow, topic = flow:name_on(side), partition = flow.partition,
    value = value }
end

--- Their target's log ends by side, each with where the copy is now.
local function ends_of(list)
  local wishes = { from = {}, to = {} }
  for _, flow in ipairs(list) do
    local _, writes = ledger.sides(flow.leg)
    if is_idle(flow) then
      table.insert(wishes[writes], wish(flow, writes, flow.at.target))
    end
  end
  return wishes
end

--- The log starts that they gave to logs which they had filled.
local function starts_of(list)
  local wishes = { from = {}, to = {} }
  for _, flow in ipairs(list) do
    for _, leg in ipairs(prepare.filled(flow)) do
      local _, writes = ledger.sides(leg)
      table.insert(wishes[writes], wish(flow, writes, leg.start[writes]))
    end
  end
  return wishes
end

local function look_at_ends(engine, side, wishes)
  local ends = engine.sides[side]:log_ends(wishes)
  for index, one in ipairs(wishes) do
    local log_end = ends[index]
    if not log_end or log_end == one.value then
      one.flow.doubt = nil
    else
      one.flow:tell { kind = "check", log_end = log_end, target = one.value }
    end
  end
end

local function look_at_starts(engine, side, wishes)
  local starts = engine.sides[side]:log_starts(wishes)
  for index, one in ipairs(wishes) do
    if starts[index] and starts[index] < one.value then
      one.flow:tell { kind = "check" }
    end
  end
end

--- One look.
---@async
function M.look(engine)
  local list = due(engine)
  local ends, starts = ends_of(list), starts_of(list)
  for _, side in ipairs { "from", "to" } do
    if ends[side][1] then look_at_ends(engine, side, ends[side]) end
    if starts[side][1] then look_at_starts(engine, side, starts[side]) end
  end
  for _, flow in pairs(engine.flows) do
    if flow.may_be_cured then flow:tell { kind = "check" } end
  end
end

--- What a look saw of a flow's log end, `seen`, means if nothing was copied since
-- then: seen twice in a row like that, it is so.
---@param seen { log_end: integer, target: integer }
---@return "foreign"|"diverged"|nil
function M.suspect(flow, seen)
  local before, at = flow.doubt, flow.at
  flow.doubt = nil
  if not is_idle(flow) or at.target ~= seen.target then return end
  flow.doubt = seen
  if not before or before.target ~= seen.target then return end
  return seen.log_end > at.target and "foreign" or "diverged"
end

return M
