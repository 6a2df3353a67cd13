--- Makes a bridge: its topic on the target and the record that says what it
-- is. Nothing copies yet. A bridge that is there is known by its cluster ids
-- and goes on with all it has.

local effect = require "base.effect"
local err = require "base.err"
local lazy = require "base.lazy"
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local beginning = lazy "mirror.offsets.beginning"
local names = require "mirror.names"
local mirrormaker2 = lazy "mirror.mm2.stopped"
local neighbours = require "mirror.bridge.neighbours"
local operators = lazy "mirror.bridge.operators"
local rates = require "mirror.engine.rates"
local record = require "mirror.topic.record"
local topic = require "mirror.topic"

local M = {}

local FOUNDER_MS = 10000 -- from the topic's creation to its first record
local LOOK_MS = 200
local NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA" -- of brokers before 2.8

--- Partition counts of all topics the bridge carries.
function M.carried(bridge)
  local all, why = bridge.from:client("read"):topics()
  if not all then return nil, why end
  local shapes = {}
  for _, one in ipairs(all) do
    if names.carries(bridge, one.name) then
      shapes[one.name] = one.partitions
    end
  end
  return shapes
end

local function create_topic(bridge)
  local there, why = bridge:topic():exists()
  if there == nil then return nil, why end
  if there then return true end
  local brokers
  brokers, why = bridge.to:client("read"):cluster()
  if not brokers then return nil, why end
  local shape = topic.shape(bridge.name, #brokers.brokers)
  return effect.perform {
    primitive = "kafka.create_topics", resume = "create",
    target = ("cluster/%s/topic/%s"):format(bridge.to.name, shape.name),
    summary = ("create %s on %s, the bridge's topic"):format(shape.name,
      bridge.to.name),
    args = shape, after = shape, undo = "stays, as the bridge's memory",
    send = function()
      local done, problem = bridge.to:client("write"):create_topics { shape }
      if not done then return nil, problem end
      if done[1] and done[1].err then return nil, done[1].err end
      return true
    end,
  }
end

--- What holds of a bridge until it is opened otherwise.
local POLICY = { "topics", "except", "names", "offsets", "configs", "defaults",
  "acls", "start" }

local function policy_of(bridge)
  local said = { rate = bridge.rate, mirrormaker2 = bridge.mirrormaker2 }
  for _, field in ipairs(POLICY) do said[field] = bridge[field] end
  return said
end

--- What the bridge is; id and clusters never change once written.
local function describe(bridge)
  local sides = {}
  for _, at in ipairs { "from", "to" } do
    local cluster = bridge:cluster(at)
    local id, why = cluster:id()
    if not id then return nil, why end
    sides[at] = {
      id = id, name = cluster.name, bootstrap = cluster.bootstrap,
      never = cluster.never,
    }
  end
  local said = policy_of(bridge)
  said.id, said.name = sys.hex(sys.random(8)), bridge.name
  said.from, said.to = sides.from, sides.to
  return said
end

--- Is every partition of the topic written by the source, and its leg made for
-- another topic on the target than the one with this id?
local function is_of_another(book, name, id)
  for _, number in ipairs(book:numbers(name)) do
    local leg = book:leg(name, number)
    if not leg or leg.writer ~= "from" or leg.ids.to == id then return false end
  end
  return book:leg(name, 0) ~= nil
end

local function is_empty(client, name, partitions)
  local ends = {}
  for i, one in ipairs(partitions) do
    ends[i] = { topic = name, partition = one.partition, at = "end" }
  end
  local list, why = client:offsets(ends)
  if not list then return nil, why end
  for _, one in ipairs(list) do
    if one.err then return nil, one.err end
    if one.offset > 0 then return false end
  end
  return true
end

--- Topics of a bridge that was closed which were made again on the target since
-- and hold nothing: { [name] = id }. These are copied from their start. Of one
-- that holds records, or was made again while the bridge is open, the engine
-- says so and stops.
---@async
local function made_again(bridge)
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  local again, on_target, list = {}, {}, {}
  if not book or not book.wanted or book.wanted.state ~= "closed" then
    return again
  end
  for _, name in ipairs(book:names()) do
    on_target[name] = names.on_target(bridge.names, name)
    list[#list + 1] = on_target[name]
  end
  if #list == 0 then return again end
  local client = bridge.to:client "read"
  local there
  there, why = client:describe_topics(list)
  if not there then return nil, why end
  for name, its_name in pairs(on_target) do
    local found, empty = there[its_name], false
    if found and is_of_another(book, name, found.id) then
      empty, why = is_empty(client, its_name, found.partitions)
      if empty == nil then return nil, why end
    end
    if empty then again[name] = found.id end
  end
  return again
end

local function send_record(bridge, again)
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  local said
  said, why = describe(bridge)
  if not said then return nil, why end
  if book and book.bridge then said.id = book.bridge.id end
  local shapes, list
  shapes, why = M.carried(bridge)
  if not shapes then return nil, why end
  list, why = beginning.records(bridge, book, shapes)
  if not list then return nil, why end
  list[#list + 1] = { record.key.bridge, said }
  list[#list + 1] = { record.key.wanted, { state = "open", time = sys.time(),
    again = again } }
  local ok
  ok, why = bridge:say(list)
  if not ok then return nil, why end
  return { id = said.id }
end

local function told_again(again)
  local list = {}
  for name in pairs(again) do list[#list + 1] = name end
  table.sort(list)
  return #list == 0 and "" or ("; anew, since it was made again "
    .. "there: %s"):format(table.concat(list, ", "))
end

local function write_record(bridge)
  local again, why = made_again(bridge)
  if not again then return nil, why end
  local shapes
  shapes, why = M.carried(bridge)
  if not shapes then return nil, why end
  local args = policy_of(bridge)
  args.again = again
  return effect.perform {
    primitive = "bridge.open", resume = "set", target = "bridge/" .. bridge.name,
    summary = ("open bridge %s from %s to %s: %s%s, offsets %s%s%s%s"):format(
      bridge.name, bridge.from.name, bridge.to.name,
      table.concat(bridge.topics, ", "), next(shapes) and ""
      or " (which match no topic now)", bridge.offsets,
      bridge.start == "latest" and ", only what is written from then on" or "",
      rates.told(bridge.rate), told_again(again)),
    args = args, before = "closed",
    after = { ok = true, seen = "opened above" },
    undo = "stop copying; what was copied stays",
    send = function() return send_record(bridge, again) end,
  }
end

--- Refuses what belongs to another bridge, by this name or another one.
local function must_be_free(bridge)
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  local shapes
  shapes, why = M.carried(bridge)
  if not shapes then return nil, why end
  return neighbours.must_be_free(bridge, shapes)
end

--- What only one cluster has: addresses of brokers, and ids of topics, which are
-- the same through every listener.
local function marks_of(cluster)
  local client = cluster:client "read"
  local told, why = client:cluster()
  if not told then return nil, why end
  local topics
  topics, why = client:topics()
  if not topics then return nil, why end
  local marks = {}
  for _, broker in ipairs(told.brokers) do
    marks[("broker %s:%d"):format(broker.host, broker.port)] = true
  end
  for _, one in ipairs(topics) do
    if one.id and one.id ~= NO_TOPIC_ID then
      marks[("topic %s with id %s"):format(one.name, one.id)] = true
    end
  end
  return marks
end

--- Copied onto itself, a topic would grow for ever. The id alone does not tell:
-- clusters are formatted with one that was copied along, too.
local function must_be_two(bridge)
  local ids, marks = {}, {}
  for _, at in ipairs { "from", "to" } do
    local why
    ids[at], why = bridge:cluster(at):id()
    if not ids[at] then return nil, why end
  end
  if ids.from ~= ids.to then return true end
  for _, at in ipairs { "from", "to" } do
    local why
    marks[at], why = marks_of(bridge:cluster(at))
    if not marks[at] then return nil, why end
  end
  for mark in pairs(marks.from) do
    if marks.to[mark] then
      return nil, err.new { kind = "conflict", origin = "bridge",
        message = ("bridge %s would lead from a cluster to itself: %s and %s are both %s, with %s")
          :format(bridge.name, tostring(bridge.from), tostring(bridge.to), ids.to, mark) }
    end
  end
  return true
end

--- A flow that is taken over must have stopped before anything begins.
local function must_be_ours_alone(bridge)
  local flow = bridge.mirrormaker2
  if not flow or not flow.take_over then return true end
  local works, why = bridge:home():remains()
  if works == nil then return nil, why end
  if works then return true end
  return mirrormaker2.must_be_stopped(bridge)
end

--- Makes the bridge, or opens it again with the policy it is declared with.
---@async
---@param bridge tranship.Bridge
function M.found(bridge)
  local ok, why = must_be_two(bridge)
  if not ok then return nil, why end
  ok, why = must_be_free(bridge)
  if not ok then return nil, why end
  ok, why = operators.must_not_fight(bridge)
  if not ok then return nil, why end
  ok, why = must_be_ours_alone(bridge)
  if not ok then return nil, why end
  ok, why = create_topic(bridge)
  if not ok then return nil, why end
  return write_record(bridge)
end

--- What a bridge says that was opened before there was such a field.
local UNSAID = { configs = "created", defaults = "target", acls = "none",
  start = "earliest" }

--- Where the bridge's topic says otherwise than `stated`: one text each.
local function differences(stated, said)
  local list = {}
  for _, field in ipairs(POLICY) do
    local here = json.encode { stated[field] }
    local there = json.encode { said[field] or UNSAID[field] }
    if stated[field] ~= nil and here ~= there then
      list[#list + 1] = ("%s is %s there, %s here"):format(field, there, here)
    end
  end
  return list
end

--- Another engine has just made the bridge's topic: it says what the bridge is.
local function await_founder(bridge)
  task.deadline(FOUNDER_MS, function()
    repeat
      task.sleep(LOOK_MS)
      local book = bridge:ledger()
    until book and book.bridge
  end)
end

--- Makes the bridge unless it is there; one that is there must be open and be
-- what `stated` says of it, or `again` must say that it shall be from now on.
---@async
---@param bridge tranship.Bridge
---@param stated table  the fields of its policy that somebody wrote down
---@param again? boolean
---@param waited? boolean  for another engine that began at the same moment
function M.adopt(bridge, stated, again, waited)
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  if again or not book or not book.bridge then
    local ok
    ok, why = M.found(bridge)
    if ok or why.kind ~= "exists" or waited then return ok, why end
    await_founder(bridge)
    return M.adopt(bridge, stated, again, true)
  end
  local list = differences(stated, book.bridge)
  if book.wanted and book.wanted.state == "closed" then
    table.insert(list, 1, "it is closed")
  end
  if #list == 0 then return true end
  return nil, err.new {
    kind = "conflict", origin = "bridge",
    message = ("bridge %s is there already: %s; --open opens it as described "
      .. "here"):format(bridge.name, table.concat(list, "; ")),
  }
end

return M
