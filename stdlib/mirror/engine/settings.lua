--- Settings of the topics a bridge carries: which of them belong to the copy,
-- and how the copy follows them. Only what was set on a topic itself counts;
-- with defaults = "source" also what its cluster says instead, wherever a copy
-- without a setting of its own would live by another value.

local log = require "vm.log"
local config = require "kafka.config"
local fit = require "kafka.fit"
local ledger = require "mirror.topic.ledger"

local M = {}

local AT_ONCE = 200 -- topics in one request
local PATIENCE = 2  -- times that a setting is set again which was set back

--- What the copy decides by itself, and why.
local ITS_OWN = {
  ["min.insync.replicas"] = "the copy has replicas of its own",
  ["unclean.leader.election.enable"] = "the target's safety is its own",
  ["message.timestamp.type"] = "the copy keeps the records' timestamps",
  ["message.timestamp.difference.max.ms"] = "the copy takes old records",
  ["message.timestamp.before.max.ms"] = "the copy takes old records",
  ["message.timestamp.after.max.ms"] = "the copy takes what the source took",
  ["follower.replication.throttled.replicas"] = "it names brokers",
  ["leader.replication.throttled.replicas"] = "it names brokers",
  ["remote.storage.enable"] = "the target may have no tiered storage",
  ["remote.copy.disable"] = "the target may have no tiered storage",
  ["remote.log.copy.disable"] = "the target may have no tiered storage",
  ["remote.log.delete.on.disable"] = "the target may have no tiered storage",
  ["local.retention.ms"] = "the target may have no tiered storage",
  ["local.retention.bytes"] = "the target may have no tiered storage",
}

--- Of a topic's own settings those that a copy shall have.
---@param own table<string, string>
---@param known table<string, any>  names that exist there; empty: not known
---@param note? fun(format: string, ...)  told of every one that is left out
---@return table<string, string>
function M.of_copy(own, known, note)
  note = note or function() end
  return fit.settings(fit.without(own, ITS_OWN, note), known, nil, note)
end

--- The same without what a copy decides by itself: for comparing.
function M.compared(own)
  local kept = {}
  for name, value in pairs(own) do
    if not ITS_OWN[name] then kept[name] = value end
  end
  return kept
end

--- All settings that topics live by, as vm.kafka describes them, by topic.
---@async
function M.described(client, list)
  local all = {}
  for first = 1, #list, AT_ONCE do
    local some = table.move(list, first, math.min(#list, first + AT_ONCE - 1),
      1, {})
    local found, why = client:configs("topic", some)
    if not found then return nil, why end
    for name, entries in pairs(found) do all[name] = entries end
  end
  return all
end

--- What a topic lives by, whoever says it.
local function values(entries)
  local all = {}
  for name, entry in pairs(entries) do
    if entry.value and not entry.sensitive then all[name] = entry.value end
  end
  return all
end

--- What is to be changed so that a copy follows: nil for nothing. MirrorMaker
-- sets every default; here a copy gets those that it would not live by anyhow.
-- What a broker's file says counts too, which MirrorMaker leaves out.
---@param mine table<string, table>  the written side's, as vm.kafka describes them
---@param its table<string, table>  the copy's
---@param known table<string, any>  what a topic there can have
---@param defaults "source"|"target"  whose values hold where nothing is set
function M.change(mine, its, known, defaults)
  if defaults == "source" then
    return config.change(values(its), M.of_copy(values(mine), known))
  end
  return config.change(M.compared(config.own(its)),
    M.of_copy(config.own(mine), known), true)
end

--- What a copy is to be made with; `known` tells of its side's defaults too.
---@param note? fun(format: string, ...)
function M.new_copy(mine, known, defaults, note)
  local wanted = M.of_copy(config.own(mine), known, note)
  if defaults ~= "source" then return wanted end
  local inherited = {}
  for name, value in pairs(values(known)) do
    if known[name].source ~= "topic" then inherited[name] = value end
  end
  local change = config.change(inherited, M.of_copy(values(mine), known))
  return config.after(change and change.set or {}, { set = wanted })
end

--- All settings that a topic can have there, as one that is there has them; empty
-- when it cannot tell.
---@async
---@return table<string, table>
function M.known(client, topic)
  local found = client:configs("topic", { topic })
  local known = {}
  for name, entry in pairs(found and found[topic] or {}) do
    if not entry.read_only then known[name] = entry end
  end
  return known
end

local function known_on(engine, side)
  engine.known_settings = engine.known_settings or {}
  local known = engine.known_settings[side]
  if not known then
    local topic = side == "to" and engine.topic.name
      or next(engine.ledger.topics)
    known = M.known(engine.clients[side], topic)
    engine.known_settings[side] = next(known) and known
  end
  return known
end

--- What a topic is made with on the target; and what is left out.
---@async
---@return table? configs, tranship.Err?, string[] notes
function M.for_copy(engine, name)
  local found, why = M.described(engine.clients.from, { name })
  if not found then return nil, why end
  local notes = {}
  local configs = M.new_copy(found[name] or {}, known_on(engine, "to"),
    engine.policy.defaults, function(...)
      notes[#notes + 1] = name .. ": " .. string.format(...)
    end)
  return configs, nil, notes
end

--- Drops from a change what somebody sets back again and again.
local function without_fights(engine, name, change)
  local fights = engine.settings_set
  fights[name] = fights[name] or {}
  local set, any = {}, false
  for key, value in pairs(change.set) do
    local before = fights[name][key]
    local times = before and before.value == value and before.times + 1 or 1
    fights[name][key] = { value = value, times = times }
    if times <= PATIENCE then
      set[key], any = value, true
    elseif times == PATIENCE + 1 then
      log.warn(("%s: somebody else sets %s back (a Topic Operator?); it is "
        .. "left alone from now on"):format(name, key))
    end
  end
  local delete = {}
  for _, key in ipairs(change.delete) do
    local before = fights[name][key]
    local times = before and before.value == nil and before.times + 1 or 1
    fights[name][key] = { times = times }
    if times <= PATIENCE then delete[#delete + 1], any = key, true end
  end
  return any and { name = name, set = set, delete = delete } or nil
end

--- Topics by the side that is written, as { here, there } names.
local function pairs_of(engine)
  local lists, seen = { from = {}, to = {} }, {}
  for _, one in pairs(engine.flows) do
    local writer = not seen[one.topic] and one.leg
      and engine.ledger:writer(one.topic)
    if writer and lists[writer] then
      local _, copy = ledger.sides { writer = writer }
      table.insert(lists[writer], { one:name_on(writer), one:name_on(copy) })
    end
    seen[one.topic] = true
  end
  return lists
end

local function names_of(list, index)
  local names = {}
  for i, item in ipairs(list) do names[i] = item[index] end
  return names
end

local function follow_side(engine, writer, list)
  if #list == 0 then return true end
  local _, copy = ledger.sides { writer = writer }
  local here, why = M.described(engine.clients[writer], names_of(list, 1))
  if not here then return nil, why end
  local there
  there, why = M.described(engine.clients[copy], names_of(list, 2))
  if not there then return nil, why end
  local known, changes = known_on(engine, copy), {}
  for _, item in ipairs(list) do
    local mine, its = here[item[1]], there[item[2]]
    local change = mine and its
      and M.change(mine, its, known, engine.policy.defaults)
    change = change and without_fights(engine, item[2], change)
    if change then
      log.info(("%s: %s, as on %s"):format(item[2], config.text(change),
        engine.sides[writer].name))
      changes[#changes + 1] = change
    end
  end
  if #changes == 0 then return true end
  local done
  done, why = engine.clients[copy]:alter_configs(changes)
  if not done then return nil, why end
  for index, one in ipairs(done) do
    if one.err then
      log.warn(("%s: %s"):format(changes[index].name, tostring(one.err)))
    end
  end
  return true
end

--- Makes the copies' settings what the written side's are, if the bridge was
-- opened to follow them.
---@async
function M.follow(engine)
  if engine.policy.configs ~= "followed" then return true end
  engine.settings_set = engine.settings_set or {}
  local lists = pairs_of(engine)
  local ok, why = follow_side(engine, "from", lists.from)
  if not ok then return nil, why end
  return follow_side(engine, "to", lists.to)
end

return M
