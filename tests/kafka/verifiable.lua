--- Kafka's own clients move by the same recipe, audited by what their producer
-- says was acknowledged and what their consumer says it saw.

local test = ...

local json = require "vm.json"
local sys = require "vm.sys"
local stages = dofile "tests/world/stage.lua"
local moving = dofile "tests/world/moving.lua"

local BOOK = "tests/world/books/verifiable.lua"
local APPS = { "consumer", "streams", "producer" }
local JAVA = sys.cwd() .. "/tests/world/kafka/java"

--- The JSON lines of a client's log on both clusters, of one name.
local function said(stage, app, name)
  local list = {}
  for _, cluster in ipairs { "old", "new" } do
    local path = ("%s/workloads/%s@%s.log"):format(stage.state, app, cluster)
    for line in (sys.read_file(path) or ""):gmatch "({[^\n]*})\n" do
      local event = json.decode(line)
      if event and event.name == name then
        event.cluster = cluster
        list[#list + 1] = event
      end
    end
  end
  return list
end

--- Counts what was acknowledged and not seen, seen twice, seen out of order.
local function audit(stage)
  local acknowledged, clusters = {}, {}
  for _, event in ipairs(said(stage, "producer", "producer_send_success")) do
    acknowledged[event.value] = event
    clusters[event.cluster] = (clusters[event.cluster] or 0) + 1
  end
  local counts = { acknowledged = 0, seen = 0, lost = 0, doubled = 0,
    unknown = 0, disordered = 0 }
  local seen, latest = {}, {}
  for _, event in ipairs(said(stage, "consumer", "record_data")) do
    local value = event.value:reverse()
    local sent = acknowledged[value]
    counts.seen = counts.seen + 1
    if not sent then counts.unknown = counts.unknown + 1 end
    if seen[value] then counts.doubled = counts.doubled + 1 end
    seen[value] = true
    local prefix, n = value:match "^(%d+)%.(%d+)$"
    local line = prefix .. "/" .. tostring(event.key)
    n = math.tointeger(tonumber(n))
    if n <= (latest[line] or -1) then
      counts.disordered = counts.disordered + 1
    end
    latest[line] = n
  end
  for value in pairs(acknowledged) do
    counts.acknowledged = counts.acknowledged + 1
    if not seen[value] then counts.lost = counts.lost + 1 end
  end
  return counts, clusters
end

test("Kafka's own clients lose nothing and see nothing twice", function(t)
  local stage <close> = stages.open(t)
  local move = moving.begin(stage, { java = JAVA }, BOOK, APPS)
  stage:wait_for("records", function()
    return #said(stage, "consumer", "record_data") > 500
  end, 60000)
  local code, output = move:run(function() end)
  t.equal(code, 0, output)
  move:finish("new", "producer", "streams", "consumer")
  local counts, clusters = audit(stage)
  t.note(json.encode(counts) .. " " .. json.encode(clusters))
  t.ok(counts.acknowledged > 1000, "hardly anything was sent")
  t.ok(clusters.old > 0 and clusters.new > 0, "the producer did not move")
  for _, fault in ipairs { "lost", "doubled", "unknown", "disordered" } do
    t.equal(counts[fault], 0, fault)
  end
  t.equal(counts.seen, counts.acknowledged)
end)
