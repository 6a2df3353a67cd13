--- The engine's metrics in Prometheus' text format, and its health, served on
-- an address of its own. Label sets are bounded: topics beyond a number are
-- told as one, positions of single partitions only while there are few.

local json = require "vm.json"
local server = require "vm.server"
local sys = require "vm.sys"
local err = require "base.err"
local host = require "vm.host"
local snapshot = require "mirror.engine.snapshot"

local M = {}

local MOST_TOPICS = 200     -- label values; the rest is "(others)"
local MOST_PARTITIONS = 200 -- beyond it no series of a partition's own
local TEXT = "text/plain; version=0.0.4; charset=utf-8"
local JSON = "application/json"

local function escaped(value)
  return (tostring(value):gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"',
    ["\n"] = "\\n" }))
end

local function labelled(labels)
  local list = {}
  for name, value in pairs(labels or {}) do
    list[#list + 1] = ('%s="%s"'):format(name, escaped(value))
  end
  table.sort(list)
  return list[1] and "{" .. table.concat(list, ",") .. "}" or ""
end

local function number(value)
  return math.type(value) == "integer" and ("%d"):format(value)
    or ("%.3f"):format(value)
end

--- A text that families are added to: name, type, help, then
-- `samples { { value, labels }, ... }`.
local Page = {}
Page.__index = Page

function Page:family(name, kind, help, samples)
  name = "tranship_mirror_" .. name
  local lines = self.lines
  lines[#lines + 1] = ("# HELP %s %s"):format(name, help)
  lines[#lines + 1] = ("# TYPE %s %s"):format(name, kind)
  for _, sample in ipairs(samples) do
    lines[#lines + 1] = ("%s%s %s"):format(name, labelled(sample[2]),
      number(sample[1]))
  end
end

function Page:one(name, kind, help, value, labels)
  if value ~= nil then self:family(name, kind, help, { { value, labels } }) end
end

--- A map from a label's value to a number.
function Page:map(name, kind, help, label, map)
  local samples = {}
  for key, value in pairs(map) do
    samples[#samples + 1] = { value, { [label] = key } }
  end
  table.sort(samples, function(a, b) return a[2][label] < b[2][label] end)
  self:family(name, kind, help, samples)
end

--- The first topics by name: a counter must not change its label later.
local function bounded(topics)
  local list = {}
  for name, one in pairs(topics) do list[#list + 1] = { name, one } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  local kept, others = {}, { records = 0, bytes = 0, lag = 0, partitions = 0 }
  for index, item in ipairs(list) do
    if index <= MOST_TOPICS then
      kept[item[1]] = item[2]
    else
      for field in pairs(others) do
        others[field] = others[field] + item[2][field]
      end
    end
  end
  if list[MOST_TOPICS + 1] then kept["(others)"] = others end
  return kept
end

local function field_of(topics, field)
  local map = {}
  for name, one in pairs(topics) do map[name] = one[field] end
  return map
end

local function add_topics(page, seen)
  local topics = bounded(seen.topics)
  page:map("copied_records_total", "counter", "Records appended to the target.",
    "topic", field_of(topics, "records"))
  page:map("copied_bytes_total", "counter", "Bytes of batches appended to the "
    .. "target.", "topic", field_of(topics, "bytes"))
  page:map("lag_records", "gauge", "Source offsets not copied yet.", "topic",
    field_of(topics, "lag"))
  page:map("topic_partitions", "gauge", "Partitions that this engine copies.",
    "topic", field_of(topics, "partitions"))
end

local function add_partitions(page, seen)
  local sources, targets = {}, {}
  if #seen.rows <= MOST_PARTITIONS then
    for _, row in ipairs(seen.rows) do
      local labels = { topic = row.topic, partition = row.partition }
      if row.source then
        sources[#sources + 1] = { row.source, labels }
        targets[#targets + 1] = { row.target, labels }
      end
    end
  end
  page:family("source_offset", "gauge", "The next source offset to be copied, "
    .. ("of up to %d partitions."):format(MOST_PARTITIONS), sources)
  page:family("target_offset", "gauge", "Where its record will be on the "
    .. "target.", targets)
end

--- Only partitions that are losing: none, on a good day.
local function add_races(page, engine)
  local samples = {}
  for _, one in pairs(engine.flows) do
    local forecast = one.race and one.race.forecast
    if forecast and #samples < MOST_PARTITIONS then
      samples[#samples + 1] = { forecast.ms / 1000,
        { topic = one.topic, partition = one.partition } }
    end
  end
  page:family("retention_race_seconds", "gauge", "Time within which the source "
    .. "may remove records that will not be copied by then.", samples)
end

local function add_engine(page, engine)
  local counts = engine.counts
  page:map("stops_total", "counter", "Times that the copying of a partition "
    .. "stopped, whether it went on or not.", "reason", counts.stops)
  page:map("refusals_total", "counter", "Times that the target refused what "
    .. "was produced.", "reason", counts.refusals)
  page:one("retries_total", "counter", "Tries after something that passes.",
    counts.retries)
  page:one("claim_number", "gauge", "Number of this engine's claim on the "
    .. "bridge; 0 before it has one.", engine.generation or 0)
  page:one("start_time_seconds", "gauge", "When this engine began.",
    engine.began // 1000)
  page:one("last_progress_time_seconds", "gauge", "When something was copied "
    .. "last; 0 before.", (engine.progressed or 0) / 1000)
end

local function add_copier(page, usage)
  if not usage then return end
  page:one("memory_held_bytes", "gauge", "Bytes of batches held, or promised "
    .. "to fetches.", usage.memory)
  page:one("memory_limit_bytes", "gauge", "Bytes of batches that may be held "
    .. "(--memory).", usage.memory_limit)
  page:one("connections", "gauge", "Connections of the copier to brokers.",
    usage.connections)
  page:one("throttled_seconds_total", "counter", "Time that brokers let "
    .. "connections wait (quotas), added up.", usage.throttled_ms / 1000)
end

--- Resident memory and CPU time of this process, from /proc.
local function add_process(page)
  local statm = sys.read_file "/proc/self/statm"
  local pages = statm and math.tointeger(tonumber(statm:match "%d+ (%d+)"))
  page:one("resident_memory_bytes", "gauge", "Memory of this process.",
    pages and pages * 4096)
  local stat = sys.read_file "/proc/self/stat"
  local user, system = (stat or ""):match("%) %a" .. (" %S+"):rep(10)
    .. " (%d+) (%d+)")
  page:one("cpu_seconds_total", "counter", "CPU time of this process.",
    user and (tonumber(user) + tonumber(system)) / 100)
end

--- Everything, as one page.
---@return string
function M.page(engine)
  local seen = snapshot.of(engine)
  local page = setmetatable({ lines = {} }, Page)
  local total = seen.total
  page:one("info", "gauge", "What runs here.", 1, {
    bridge = engine.name, version = host.version, instance = engine.instance,
    from = engine.spec.from.name, to = engine.spec.to.name,
  })
  page:one("ready", "gauge", "Whether every partition is being copied.",
    snapshot.trouble(seen) and 0 or 1)
  add_topics(page, seen)
  page:one("lag_unknown_partitions", "gauge", "Partitions whose source's end "
    .. "is not known yet.", total.unknown)
  page:map("partitions", "gauge", "Partitions by state.", "state",
    total.states)
  page:map("partitions_by_offsets", "gauge", "Partitions with the same offsets "
    .. "on both sides, and with mapped ones.", "offsets", total.offsets)
  page:map("halted_partitions", "gauge", "Partitions that stay stopped until "
    .. "somebody acts.", "reason", total.halts)
  page:map("waiting_partitions", "gauge", "Partitions that are tried again "
    .. "soon, by what Kafka or the network said.", "reason", total.waits)
  add_partitions(page, seen)
  add_races(page, engine)
  add_engine(page, engine)
  add_copier(page, seen.usage)
  add_process(page)
  return table.concat(page.lines, "\n") .. "\n"
end

local function health(engine)
  local ended = engine.phase == "ended" or engine.failure ~= nil
  return ended and 503 or 200, JSON, json.encode {
    status = ended and "ended" or "alive", bridge = engine.name,
    reason = engine.failure and tostring(engine.failure) or nil,
  } .. "\n"
end

local function readiness(engine)
  local seen = snapshot.of(engine)
  local trouble = snapshot.trouble(seen)
  return trouble and 503 or 200, JSON, json.encode {
    ready = not trouble, reason = trouble, bridge = engine.name,
    phase = seen.phase, lag = seen.total.lag, partitions = seen.total.states,
  } .. "\n"
end

local PAGES = {
  ["/metrics"] = function(engine) return 200, TEXT, M.page(engine) end,
  ["/healthz"] = health,
  ["/readyz"] = readiness,
  ["/"] = function()
    return 200, TEXT, "/metrics\n/healthz\n/readyz\n"
  end,
}

--- Listens; `where` is { host, port }. The caller closes it.
---@return vm.server?, string|tranship.Err where_or_err  "127.0.0.1:9404"
function M.listen(where)
  local made, why = server.open { host = where.host, port = where.port }
  if not made then
    return nil, err.wrap(why, "metrics (--metrics HOST:PORT, or off)")
  end
  local shown = where.host:find ":" and "[" .. where.host .. "]" or where.host
  return made, ("%s:%d"):format(shown, made:port())
end

--- Answers until it is cancelled.
---@async
function M.serve(made, engine)
  while true do
    local request, why = made:next()
    if not request then return nil, why end
    local id, path = request:match "^(%d+) %u+ (.*)$"
    local page = PAGES[path]
    if page then
      made:answer(math.tointeger(id), page(engine))
    else
      made:answer(math.tointeger(id), 404, TEXT, "no such page\n")
    end
  end
end

return M
