--- What there is to copy: looks at both clusters again and again, makes what is
-- missing on the copying side, and gives every partition a flow.

local log = require "vm.log"
local names = require "mirror.names"
local settings = require "mirror.engine.settings"
local watch = require "mirror.flow.watch"

local M = {}

local function create(engine, name, shape)
  local configs, why, notes = settings.for_copy(engine, name)
  if not configs then return nil, why end
  local brokers = 0
  for _ in pairs(engine.sides.to.brokers) do brokers = brokers + 1 end
  local replicas = shape.partitions[0] and #shape.partitions[0].replicas or 1
  local target = engine:on_target(name)
  local done
  done, why = engine.clients.to:create_topics { {
    name = target, partitions = shape.count,
    replication = math.min(replicas, brokers), configs = configs,
  } }
  local problem = why or done[1] and done[1].err
  if problem and problem.kind ~= "exists" then return nil, problem end
  log.info(("created %s with %d partitions"):format(target, shape.count))
  for _, note in ipairs(notes) do log.info(note) end
  return true
end

local function grow(engine, side, name, total)
  local done, why = engine.clients[side]:add_partitions {
    { name = name, total = total },
  }
  local problem = why or done[1] and done[1].err
  if problem then return nil, problem end
  log.info(("%s on %s grew to %d partitions"):format(name,
    engine.sides[side].name, total))
  return true
end

--- One topic: both sides shaped alike, a flow for each partition.
local function attend(engine, name, from, to)
  local writer = engine.ledger:writer(name)
  -- A topic that turns is not grown now; one that is gone where it is written is
  -- not made there: whoever deleted it meant it. Flows go on, and say so.
  local is_gone = writer == "to" and not to and engine.ledger:leg(name, 0)
  if writer == "turning" or is_gone then
    for _, number in ipairs(engine.ledger:numbers(name)) do
      engine:ensure_flow(name, number)
    end
    return true
  end
  local target = engine:on_target(name)
  local ok, why = true, nil
  if not to then
    ok, why = create(engine, name, from)
  elseif writer == "from" and to.count < from.count then
    ok, why = grow(engine, "to", target, from.count)
  elseif writer == "to" and from.count < to.count then
    ok, why = grow(engine, "from", name, to.count)
  end
  if not ok then return nil, why end
  local copied = writer == "to" and to or from
  for number = 0, copied.count - 1 do engine:ensure_flow(name, number) end
  return true
end

--- One look at everything.
---@async
function M.look(engine)
  local from, why = engine.sides.from:describe()
  if not from then return nil, why end
  local to
  to, why = engine.sides.to:describe()
  if not to then return nil, why end
  local nothing = names.match_nothing(engine.policy, engine.sides.from.name)
  for name, shape in pairs(from) do
    if names.carries(engine.policy, name) then
      nothing = nil
      local ok, problem = attend(engine, name, shape,
        to[engine:on_target(name)])
      if not ok then log.warn(("%s: %s"):format(name, tostring(problem))) end
    end
  end
  if nothing and not engine.nothing and not engine.spec.once then log.warn(nothing) end
  engine.nothing = nothing
  watch.look(engine)
  return true
end

return M
