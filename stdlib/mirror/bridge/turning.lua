--- The run's part of a turn, and draining: proofs first, each state written to
-- the bridge's topic before the effect it announces, and then waiting for the
-- engine to reach it.

local effect = require "base.effect"
local err = require "base.err"
local sys = require "vm.sys"
local answer = require "mirror.answer"
local ledger = require "mirror.topic.ledger"
local names = require "mirror.names"
local record = require "mirror.topic.record"
local writers = require "mirror.verify.writers"

local M = {}

local DRAIN = "5m"
local OTHER = { from = "to", to = "from" }
local TURN_MS = 60000

local function refuse(kind, format, ...)
  return nil, err.new {
    kind = kind, origin = "bridge", message = format:format(...),
  }
end

local function id_of(topic, partition) return topic .. "/" .. partition end

--- What halted partitions of these topics say, or nil; `known` is what they
-- said before something was done about it.
local function halted(book, topics, known)
  local said = {}
  for _, name in ipairs(topics) do
    for _, number in ipairs(book:numbers(name)) do
      local at = book:partition(name, number).at
      if at and at.state == "stopped" and not (known and known[at.text]) then
        said[#said + 1] = at.text
      end
    end
  end
  return said[1] and table.concat(said, "; ")
end

--- What partitions that cannot go on just now say; "" for nothing.
local function complaints(book, topics)
  local said = {}
  for _, name in ipairs(topics) do
    for _, number in ipairs(book:numbers(name)) do
      local at = book:partition(name, number).at
      if at and at.state == "waiting" and at.text then
        said[#said + 1] = at.text
      end
    end
  end
  return said[1] and answer.some(said, 2) .. "; " or ""
end

--- Which partitions have not passed their position yet.
local function behind(book, ends)
  local list = {}
  for _, goal in ipairs(ends) do
    local part = book:partition(goal.source, goal.partition)
    local leg = part and part.legs[part.last]
    local at = part and part.at
    local passed = leg and (at and at.leg == leg.leg and at.source
      or leg.start[ledger.sides(leg)]) or -1
    if passed < goal.offset then
      list[#list + 1] = ("%s at %d of %d"):format(
        id_of(goal.source, goal.partition), passed, goal.offset)
    end
  end
  return list
end

--- Waits until the copy has passed `ends` { source, partition, offset }.
---@async
function M.await_passed(bridge, topics, ends, within_ms)
  local book, why = bridge:open_ledger()
  if not book then return nil, why end
  local ok
  ok, why = bridge:hurry()
  if not ok then return nil, why end
  local open, stop
  ok, why = bridge:topic():await(within_ms, function(now)
    stop = halted(now, topics)
    open = behind(now, ends)
    return stop or #open == 0
  end)
  if stop then return refuse("conflict", "the bridge has stopped: %s", stop) end
  if ok then return true end
  if why.kind ~= "timeout" then return nil, why end
  return refuse("timeout", "not drained within %d s: %s (%s%s)",
    within_ms // 1000, answer.some(open),
    complaints(bridge:topic().ledger, topics), bridge:engine_line())
end

local function by_writer(bridge, book, topics)
  local groups = { from = {}, to = {} }
  for _, name in ipairs(topics) do
    local writer = book:writer(name)
    if writer == "turning" then
      return refuse("conflict", "topic %s is being turned", name)
    end
    table.insert(groups[writer], bridge:name_on(name, writer))
  end
  return groups
end

local function as_goals(bridge, side, found)
  local ends = {}
  for _, one in ipairs(found) do
    ends[#ends + 1] = {
      source = bridge:source_name(one.topic, side),
      partition = one.partition, offset = one.stable,
    }
  end
  return ends
end

--- The ends of these topics on the side that writes them, as they are now.
local function ends_now(bridge, book, topics)
  local groups, why = by_writer(bridge, book, topics)
  if not groups then return nil, why end
  local ends = {}
  for side, list in pairs(groups) do
    if #list > 0 then
      local found
      found, why = writers.ends(bridge:cluster(side):client "read", list)
      if not found then return nil, why end
      local goals = as_goals(bridge, side, found)
      table.move(goals, 1, #goals, #ends + 1, ends)
    end
  end
  return ends
end

--- Where a group stands on the side that writes each topic.
local function group_goals(bridge, book, topics, group)
  local wanted, ends = {}, {}
  for _, name in ipairs(topics) do wanted[name] = book:writer(name) end
  for _, side in ipairs { "from", "to" } do
    local list, why = bridge:cluster(side):client("read")
      :group_offsets(group, { stable = true })
    if not list then return nil, why end
    for _, one in ipairs(list) do
      local source = bridge:source_name(one.topic, side)
      if source and wanted[source] == side and one.offset >= 0 then
        ends[#ends + 1] = {
          source = source, partition = one.partition, offset = one.offset,
        }
      end
    end
  end
  return ends
end

local function drained(bridge, topics, options)
  local book, why = bridge:open_ledger()
  if not book then return nil, why end
  local ends
  if options.group then
    ends, why = group_goals(bridge, book, topics, options.group)
  else
    ends, why = ends_now(bridge, book, topics)
  end
  if not ends then return nil, why end
  local ok
  ok, why = M.await_passed(bridge, topics, ends,
    answer.ms(options.within, DRAIN))
  if not ok then return nil, why end
  return ends
end

--- Waits until the bridge has passed the ends of `topics` (or the positions of
-- `options.group`) as they are when this is called.
---@async
---@param options? { within?: string, group?: string }
function M.drain(bridge, topics, options)
  options = options or {}
  local list = names.list(topics)
  if #list == 0 then return true end
  local text = table.concat(list, ", ")
  return effect.perform {
    primitive = "bridge.drain", resume = "set",
    target = ("bridge/%s/drained/%s"):format(bridge.name, text),
    summary = "wait until the bridge has passed what is in " .. text,
    args = { topics = list, group = options.group },
    undo = "nothing to take back",
    send = function() return drained(bridge, list, options) end,
  }
end

--- What partitions say that met records after the writers had been proved
-- stopped, as a set; nil if none did.
local function late(book, topic)
  local said
  for _, number in ipairs(book:numbers(topic)) do
    local at = book:partition(topic, number).at
    if at and at.state == "stopped" and at.reason == "not_drained" then
      said = said or {}
      said[at.text] = true
    end
  end
  return said
end

--- A turn that is under way: it goes on, is called off, or, where records came
-- late, needs its proof once more.
local function prove_again(bridge, book, topic, options)
  local wanted = book.topics[topic].want
  if wanted.writer ~= bridge:side_of(options.writer) or not late(book, topic) then
    return {}
  end
  local ends, why = writers.stopped(bridge, OTHER[wanted.writer],
    { bridge:name_on(topic, OTHER[wanted.writer]) }, options.still
      and answer.ms(options.still))
  return ends and {}, why
end

--- Proves writers stopped and everything copied; gives the log ends.
local function prove(bridge, topic, options)
  local book, why = bridge:open_ledger()
  if not book then return nil, why end
  local writer = book:writer(topic)
  if writer == "turning" then
    return prove_again(bridge, book, topic, options)
  end
  local found
  found, why = writers.stopped(bridge, writer, { bridge:name_on(topic, writer) },
    options.still and answer.ms(options.still))
  if not found then return nil, why end
  local ends = as_goals(bridge, writer, found)
  local ok
  ok, why = M.await_passed(bridge, { topic }, ends,
    answer.ms(options.within, DRAIN))
  if not ok then return nil, why end
  return ends
end

--- Have all partitions of the topic begun leg `number`?
local function has_turned(book, topic, number)
  for _, partition in ipairs(book:numbers(topic)) do
    if book:partition(topic, partition).last < number then return false end
  end
  return true
end

local function send_turn(bridge, topic, side)
  local book, why = bridge:open_ledger()
  if not book then return nil, why end
  local entry = book.topics[topic]
  local wanted = entry and entry.want
  if not wanted or wanted.writer ~= side then
    wanted = { leg = book:leg_number(topic) + 1, writer = side }
  end
  local known = late(book, topic)
  local ok
  ok, why = bridge:say { { record.key.want(topic), {
    leg = wanted.leg, writer = side, time = sys.time(),
    late = known and "copy" or nil,
  } } }
  if not ok then return nil, why end
  local stop
  ok, why = bridge:topic():await(TURN_MS, function(now)
    stop = halted(now, { topic }, known)
    return stop or has_turned(now, topic, wanted.leg)
  end)
  if stop then return refuse("conflict", "the turn has stopped: %s", stop) end
  if not ok then
    if why.kind ~= "timeout" then return nil, why end
    return refuse("timeout", "%s was not turned within %d s (%s%s)", topic,
      TURN_MS // 1000, complaints(bridge:topic().ledger, { topic }),
      bridge:engine_line())
  end
  return { topic = topic, leg = wanted.leg, writer = side }
end

local function turn_one(bridge, topic, to, options)
  local now, why = bridge:writer_of(topic)
  if not now then return nil, why end
  if now == to.name then return true end
  local ends
  ends, why = effect.perform {
    primitive = "bridge.prove_stopped", resume = "set",
    target = ("bridge/%s/topic/%s/ends"):format(bridge.name, topic),
    summary = ("prove that nobody writes %s and that all of it is copied")
      :format(topic),
    args = { topic = topic }, undo = "nothing to take back",
    send = function() return prove(bridge, topic, options) end,
  }
  if ends == nil then return nil, why end
  return effect.perform {
    primitive = "bridge.turn", resume = "set",
    target = ("bridge/%s/topic/%s/writer"):format(bridge.name, topic),
    summary = ("turn %s: %s writes it from now on"):format(topic, to.name),
    args = { topic = topic, writer = to.name },
    before = now, after = to.name,
    undo = ("turn %s back to %s"):format(topic, bridge:other(to).name),
    send = function()
      return send_turn(bridge, topic, bridge:side_of(to))
    end,
  }
end

--- Have the writers of `topics` stopped, on whichever side they are?
---@async
function M.fence(bridge, book, topics, still_ms)
  local groups, why = by_writer(bridge, book, topics)
  if not groups then return nil, why end
  local side = #groups.from > 0 and "from" or "to"
  if #groups.from > 0 and #groups.to > 0 then
    return refuse("conflict", "%s are written on different sides; ask for each "
      .. "side by itself", table.concat(topics, ", "))
  end
  return writers.fence(bridge, side, groups[side], still_ms)
end

--- Makes `options.writer` the writing side of `topics` (nil: nothing to do).
---@async
function M.turn(bridge, topics, options)
  for _, topic in ipairs(names.list(topics)) do
    local ok, why = turn_one(bridge, topic, options.writer, options)
    if not ok then return nil, why end
  end
  return true
end

return M
