--- How a copy goes, now and then: one line for people, or one JSON object for
-- programs, with rate, lag, and when it will have caught up.

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local clock = require "base.time"
local units = require "base.units"
local snapshot = require "mirror.engine.snapshot"

local M = {}

local WINDOW = 6 -- intervals that rate and ETA are taken over

local function per_second(now, before, field)
  local ms = now.time - before.time
  if ms <= 0 then return 0 end
  return math.max(0, (now.total[field] - before.total[field]) * 1000 / ms)
end

--- Milliseconds until nothing is left to copy if it goes on like this; nil when
-- it does not come nearer.
function M.eta_ms(now, before)
  if now.total.unknown > 0 then return nil end
  if now.total.lag == 0 then return 0 end
  local gained = before.total.lag - now.total.lag
  if gained <= 0 or now.time <= before.time then return nil end
  return now.total.lag * (now.time - before.time) // gained
end

local function by_topic(seen)
  local list = json.array {}
  for name, one in pairs(seen.topics) do
    list[#list + 1] = {
      topic = name, partitions = one.partitions, records = one.records,
      bytes = one.bytes, lag = one.lag,
    }
  end
  table.sort(list, function(a, b) return a.topic < b.topic end)
  return list
end

--- Time that brokers let connections wait between two observations, ms; all of
-- them together.
local function throttled_ms(now, before)
  if not now.usage then return nil end
  return now.usage.throttled_ms - (before.usage or now.usage).throttled_ms
end

--- One observation, as programs get it.
---@param now tranship.Snapshot
---@param before tranship.Snapshot  an earlier one
function M.line(bridge, now, before, with_topics)
  local eta, usage = M.eta_ms(now, before), now.usage or {}
  return {
    format = 1, time = now.time, bridge = bridge, phase = now.phase,
    records = now.total.records, bytes = now.total.bytes,
    records_per_second = math.floor(per_second(now, before, "records")),
    bytes_per_second = math.floor(per_second(now, before, "bytes")),
    lag = now.total.lag, eta_seconds = eta and (eta + 999) // 1000,
    memory_bytes = usage.memory, memory_limit_bytes = usage.memory_limit,
    connections = usage.connections, throttled_ms = throttled_ms(now, before),
    partitions = now.total.states,
    trouble = now.phase ~= "ended" and snapshot.trouble(now) or nil,
    topics = with_topics and by_topic(now) or nil,
  }
end

local function eta_text(line)
  if line.lag == 0 then return "nothing left to copy" end
  if not line.eta_seconds then return "it comes no nearer" end
  return "caught up in " .. units.show_duration(line.eta_seconds * 1000)
end

--- The same for people.
function M.text(line)
  local all, copying = 0, line.partitions.copying or 0
  for _, count in pairs(line.partitions) do all = all + count end
  local lines = { ("%s  %d of %d partitions copying  %s/s  %d records/s  lag %d"
    .. "  %s"):format(clock.clock(line.time), copying, all,
    units.show_size(line.bytes_per_second), line.records_per_second, line.lag,
    eta_text(line)) }
  if line.trouble and line.phase == "running" then
    lines[#lines + 1] = "  not well: " .. line.trouble
  end
  if (line.throttled_ms or 0) > 0 then
    lines[#lines + 1] = ("  brokers let connections wait (quotas): %s lately, "
      .. "%d connections together"):format(
      units.show_duration(line.throttled_ms), line.connections)
  end
  for _, one in ipairs(line.topics or {}) do
    lines[#lines + 1] = ("  %-40s %3d partitions  %s  %d records  lag %d")
      :format(one.topic, one.partitions, units.show_size(one.bytes),
        one.records, one.lag)
  end
  return table.concat(lines, "\n")
end

local function say(line, output)
  local text = output == "json" and json.encode(line) or M.text(line)
  return sys.out(text .. "\n")
end

--- Tells of the engine's whole life, when it has ended.
function M.sum_up(engine, options)
  local now = snapshot.of(engine)
  local before = { time = engine.began,
    total = { records = 0, bytes = 0, lag = now.total.lag } }
  return say(M.line(engine.name, now, before, options.by_topic),
    options.output)
end

--- Tells again and again, until it is cancelled.
---@async
---@param options { every_ms: integer, output: "text"|"json", by_topic?: boolean }
function M.tell(engine, options)
  local window = { snapshot.of(engine) }
  while true do
    task.sleep(options.every_ms)
    local now = snapshot.of(engine)
    local line = M.line(engine.name, now, window[1], options.by_topic)
    if not say(line, options.output) then return end -- nobody listens
    window[#window + 1] = now
    if #window > WINDOW then table.remove(window, 1) end
  end
end

return M
