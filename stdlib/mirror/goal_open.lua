--- "The bridge is open": its topic on the target, the engine at work, every
-- partition copying. Undone, the engine stops; what was copied stays.

local effect = require "base.effect"
local err = require "base.err"
local lazy = require "base.lazy"
local sys = require "vm.sys"
local answer = require "mirror.answer"
local names = require "mirror.names"
local neighbours = lazy "mirror.neighbours"
local place = lazy "mirror.place"
local record = lazy "mirror.record"
local stopping = lazy "mirror.stopping"
local topic = lazy "mirror.topic"

local RUNNING_MS, LOOK_MS = 120000, 2000

local function subject(bridge) return "bridge/" .. bridge.name end

--- Partitions that the newest engine does not copy yet, and those that have
-- stopped.
local function not_running(book, shapes)
  local waiting, stopped = {}, {}
  local claim = book.claim and book.claim.number
  for name, shape in pairs(shapes) do
    for number = 0, shape - 1 do
      local part = book:partition(name, number)
      local at = part and part.at
      if at and at.state == "stopped" and at.claim == claim then
        stopped[#stopped + 1] = at.text
      elseif not at or at.state ~= "copying" or at.claim ~= claim then
        waiting[#waiting + 1] = ("%s/%d%s"):format(name, number,
          at and at.text and " (" .. at.text .. ")" or "")
      end
    end
  end
  table.sort(waiting)
  table.sort(stopped)
  return waiting, stopped
end

--- Partition counts of all topics the bridge carries.
local function carried(bridge)
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

local function check(g)
  local bridge = g.bridge
  return effect.observe(subject(bridge), function()
    local book, why = bridge:ledger()
    if book == nil then return nil, why end
    local want = "open, copying"
    if not book or not book.bridge then
      return { ok = false, seen = "never opened", want = want,
        text = ("bridge %s was never opened"):format(bridge.name) }
    elseif not book.wanted or book.wanted.state ~= "open" then
      return { ok = false, seen = "closed", want = want,
        text = ("bridge %s is closed"):format(bridge.name) }
    elseif not place.holder(bridge.name) then
      return { ok = false, seen = "no engine", want = want,
        text = ("no engine of bridge %s runs on this machine")
          :format(bridge.name) }
    end
    local shapes
    shapes, why = carried(bridge)
    if not shapes then return nil, why end
    local waiting, stopped = not_running(book, shapes)
    return {
      ok = #waiting == 0 and #stopped == 0, want = want,
      seen = { waiting = waiting, stopped = stopped },
      text = #stopped > 0 and table.concat(stopped, "; ")
        or #waiting > 0 and "not copying yet: " .. answer.some(waiting)
        or bridge:engine_line(),
    }
  end)
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

--- What the bridge is; id and clusters never change once written.
local function describe(bridge)
  local sides = {}
  for _, at in ipairs { "from", "to" } do
    local cluster = bridge:cluster(at)
    local id, why = cluster:id()
    if not id then return nil, why end
    sides[at] = { id = id, name = cluster.name, bootstrap = cluster.bootstrap }
  end
  return {
    id = sys.hex(sys.random(8)), name = bridge.name, from = sides.from,
    to = sides.to, topics = bridge.topics, except = bridge.except,
    names = bridge.names, offsets = bridge.offsets,
  }
end

local function send_record(bridge)
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  local said
  said, why = describe(bridge)
  if not said then return nil, why end
  if book and book.bridge then said.id = book.bridge.id end
  local ok
  ok, why = bridge:say {
    { record.key.bridge, said },
    { record.key.wanted, { state = "open", time = sys.time() } },
  }
  if not ok then return nil, why end
  return { id = said.id }
end

local function write_record(bridge)
  return effect.perform {
    primitive = "bridge.open", resume = "set", target = subject(bridge),
    summary = ("open bridge %s from %s to %s: %s, offsets %s"):format(
      bridge.name, bridge.from.name, bridge.to.name,
      table.concat(bridge.topics, ", "), bridge.offsets),
    args = { topics = bridge.topics, except = bridge.except,
      names = bridge.names, offsets = bridge.offsets },
    before = "closed", after = { ok = true, seen = "opened above" },
    undo = "stop copying; what was copied stays",
    send = function() return send_record(bridge) end,
  }
end

local function send_start(bridge)
  if place.holder(bridge.name) then return true end
  local path, why = place.write_config {
    name = bridge.name, from = bridge.from, to = bridge.to,
  }
  if not path then return nil, why end
  local pid
  pid, why = place.launch(bridge.name)
  if not pid then return nil, why end
  return { pid = pid }
end

local function start_engine(bridge)
  if place.holder(bridge.name) then return true end
  return effect.perform {
    primitive = "process.start", resume = "set",
    target = subject(bridge) .. "/engine",
    summary = ("start the engine of bridge %s on this machine (tranship "
      .. "mirror)"):format(bridge.name),
    args = { log = place.path(bridge.name, "log") },
    before = "not running", after = "running", undo = "stop it",
    send = function() return send_start(bridge) end,
  }
end

local function failure(kind, format, ...)
  return nil, err.new {
    kind = kind, origin = "bridge", message = format:format(...),
  }
end

--- The engine's last words.
local function last_words(bridge)
  local text = sys.read_file(place.path(bridge.name, "log")) or ""
  return text:match "([^\n]+)\n*$" or "it said nothing"
end

--- Waits until the engine that holds the lock copies every partition.
local function await_running(bridge)
  local shapes, why = carried(bridge)
  if not shapes then return nil, why end
  local waiting, stopped, missed = {}, {}, 0
  for _ = 1, RUNNING_MS // LOOK_MS do
    local ok, problem = bridge:topic():await(LOOK_MS, function(book)
      waiting, stopped = { "the engine has not begun" }, {}
      local holder = place.holder(bridge.name)
      if holder and book.claim and holder.pid == book.claim.pid then
        waiting, stopped = not_running(book, shapes)
      end
      return #waiting == 0 or #stopped > 0
    end)
    if #stopped > 0 then
      return failure("conflict", "the bridge has stopped: %s",
        table.concat(stopped, "; "))
    elseif ok then
      return true
    elseif problem.kind ~= "timeout" then
      return nil, problem
    end
    missed = place.holder(bridge.name) and 0 or missed + 1
    if missed == 3 then
      return failure("conflict", "the engine of bridge %s has ended: %s",
        bridge.name, last_words(bridge))
    end
  end
  return failure("timeout", "not copying within %d s: %s (%s)",
    RUNNING_MS // 1000, answer.some(waiting), bridge:engine_line())
end

--- Refuses what belongs to another bridge, by this name or another one.
local function must_be_free(bridge)
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  local shapes
  shapes, why = carried(bridge)
  if not shapes then return nil, why end
  return neighbours.must_be_free(bridge, shapes)
end

local function apply(g)
  local bridge = g.bridge
  local ok, why = must_be_free(bridge)
  if not ok then return nil, why end
  ok, why = create_topic(bridge)
  if not ok then return nil, why end
  ok, why = write_record(bridge)
  if not ok then return nil, why end
  ok, why = start_engine(bridge)
  if not ok then return nil, why end
  if answer.is_planning() then return true end
  return await_running(bridge)
end

return {
  name = "open",
  title = "{bridge} is open",
  takes = { { name = "bridge", kind = "bridge", desc = "the bridge" } },
  check = check,
  apply = apply,
  verify = check,
  undo = function(g) return stopping.stop(g.bridge, "open is undone") end,
}
