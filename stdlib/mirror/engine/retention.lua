--- The race against retention: will the source remove records before they are
-- copied? Seen from two signs: how old the records at our position are, held
-- against the topic's retention.ms, and how fast the log's start moves. A race
-- that is being lost is told with the offsets; when it is lost, the copy stops
-- with the exact range (reason out_of_range).

local log = require "vm.log"
local sys = require "vm.sys"
local units = require "base.units"
local ledger = require "mirror.topic.ledger"

local M = {}

local HORIZONS_MS = { 60000, 600000, 3600000 } -- looked ahead, nearest first
local WINDOW_MS = 30000 -- rates are taken over at least so much, once it is there

--- Partitions that are behind, by the side they read, each with where it is: that
-- may be forgotten while brokers are asked, when a leg begins.
local function behind(engine)
  local lists = { from = {}, to = {} }
  for _, one in pairs(engine.flows) do
    local at = one.at
    local is_behind = one.leg and at and at.source and at.source_end
      and at.source < at.source_end and at.reason ~= "out_of_range"
    if is_behind then
      local reads = ledger.sides(one.leg)
      table.insert(lists[reads], { flow = one, at = at, name = one:name_on(reads) })
    else
      one.race, one.warning = nil, nil
    end
  end
  return lists
end

--- retention.ms of topics, by name; nil where nothing is removed by age, false
-- where nothing is removed at all.
local function ages(client, list)
  local names, seen = {}, {}
  for _, one in ipairs(list) do
    if not seen[one.name] then names[#names + 1] = one.name end
    seen[one.name] = true
  end
  local found, why = client:configs("topic", names)
  if not found then return nil, why end
  local ms = {}
  for name, settings in pairs(found) do
    local policy = settings["cleanup.policy"]
    local age = settings["retention.ms"]
    local number = math.tointeger(tonumber(age and age.value or "-1"))
    if policy and not policy.value:find "delete" then
      ms[name] = false
    elseif number and number >= 0 then
      ms[name] = number
    end
  end
  return ms
end

--- Offsets per second that a position moved since an older sample.
local function speed(now, before, field)
  local ms = now.time - before.time
  return ms > 0 and math.max(0, now[field] - before[field]) * 1000 / ms or 0
end

--- When, and up to which offset, the source removes what will not be copied by
-- then; nil when it does not look like that.
---@param now table { time, source, start, stop }
---@param before table  the same, earlier
---@param expiring table<integer, integer>  by horizon: the first offset that
-- stays until then
---@return { ms: integer, offset: integer, records: integer }?
function M.forecast(now, before, expiring)
  local copied = speed(now, before, "source")
  for _, ms in ipairs(HORIZONS_MS) do
    local stays = expiring[ms]
    local reached = math.floor(now.source + copied * ms / 1000)
    if stays and reached < stays then
      return { ms = ms, offset = stays, records = stays - reached }
    end
  end
  local closing = speed(now, before, "start") - copied
  local gap = now.source - now.start
  if gap >= 0 and closing > 0 and gap * 1000 / closing <= HORIZONS_MS[#HORIZONS_MS] then
    local ms = math.floor(gap * 1000 / closing)
    return { ms = ms, offset = now.source, records = 1 }
  end
end

--- Where logs start, and what will be old enough at each horizon.
local function read_offsets(client, list, ms_of, time)
  local asked = {}
  local function ask(one, at, key)
    asked[#asked + 1] = { topic = one.name, partition = one.flow.partition,
      at = at, one = one, key = key }
  end
  for _, one in ipairs(list) do
    ask(one, "start", "start")
    one.expiring = {}
    local age = ms_of[one.name]
    for _, horizon in ipairs(age and HORIZONS_MS or {}) do
      local before = time - age + horizon
      if before < time then
        ask(one, before, horizon)
      else
        one.expiring[horizon] = one.at.source_end -- all there is now
      end
    end
  end
  local plain = {}
  for index, item in ipairs(asked) do
    plain[index] = { topic = item.topic, partition = item.partition,
      at = item.at }
  end
  local found, why = client:offsets(plain)
  if not found then return nil, why end
  for index, item in ipairs(found) do
    local one, key = asked[index].one, asked[index].key
    if not item.err and key == "start" then
      one.start = item.offset
    elseif not item.err then
      one.expiring[key] = item.offset >= 0 and item.offset
        or one.at.source_end
    end
  end
  return true
end

local function judge(one, time, side)
  local flow = one.flow
  if not one.start then return end
  local now = { time = time, source = one.at.source, start = one.start }
  local race = flow.race or { samples = { now } }
  flow.race = race
  local samples = race.samples
  samples[#samples + 1] = now
  while samples[3] and samples[2].time <= time - WINDOW_MS do
    table.remove(samples, 1)
  end
  local found = M.forecast(now, samples[1], one.expiring)
  race.forecast = found
  if not found then
    if flow.warning then log.info(flow.id .. ": retention is kept up with") end
    flow.warning = nil
    return
  end
  local text = ("%s: %s may remove offsets up to %d within %s, and the copy is "
    .. "at %d: %d records or more will be lost. Make the copy faster, or raise "
    .. "retention there"):format(flow.id, flow:side(side).name, found.offset - 1,
    units.show_duration(found.ms), now.source, found.records)
  if not flow.warning or race.told ~= found.ms then log.warn(text) end
  race.told, flow.warning = found.ms, text
  flow.engine:touch(flow)
end

local function look_at(engine, side, list)
  if #list == 0 then return true end
  local client, time = engine.clients[side], sys.time()
  local ms_of, why = ages(client, list)
  if not ms_of then return nil, why end
  local kept = {}
  for _, one in ipairs(list) do
    if ms_of[one.name] ~= false then kept[#kept + 1] = one end
  end
  local ok
  ok, why = read_offsets(client, kept, ms_of, time)
  if not ok then return nil, why end
  for _, one in ipairs(kept) do judge(one, time, side) end
  return true
end

--- One look at all partitions that are behind.
---@async
function M.look(engine)
  local lists = behind(engine)
  local ok, why = look_at(engine, "from", lists.from)
  if not ok then return nil, why end
  return look_at(engine, "to", lists.to)
end

return M
