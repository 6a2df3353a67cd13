--- "The bridge is open": its topic on the target, the engine at work, every
-- partition copying. Undone, the engine stops; what was copied stays.

local effect = require "base.effect"
local err = require "base.err"
local lazy = require "base.lazy"
local sys = require "vm.sys"
local answer = require "mirror.answer"
local founding = lazy "mirror.founding"
local loan = lazy "mirror.loan"
local place = lazy "mirror.place"
local stopping = lazy "mirror.stopping"
local transactions = lazy "mirror.transactions"

local RUNNING_MS, LOOK_MS = 120000, 2000

local function subject(bridge) return "bridge/" .. bridge.name end

--- Partitions that the newest engine does not copy yet, and those that have
-- stopped.
local function not_running(book, shapes)
  local waiting, stopped = {}, {}
  local claim = book.claim
  local function is_new(at) -- said by the newest engine, or by one of a group
    return claim and (claim.group or at.claim == claim.number)
  end
  for name, shape in pairs(shapes) do
    for number = 0, shape - 1 do
      local part = book:partition(name, number)
      local at = part and part.at
      if at and at.state == "stopped" and is_new(at) then
        stopped[#stopped + 1] = at.text
      elseif not at or at.state ~= "copying" or not is_new(at) then
        waiting[#waiting + 1] = ("%s/%d%s"):format(name, number,
          at and at.text and " (" .. at.text .. ")" or "")
      end
    end
  end
  table.sort(waiting)
  table.sort(stopped)
  return waiting, stopped
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
    shapes, why = founding.carried(bridge)
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

local function send_start(bridge, as)
  if place.holder(bridge.name) then return true end
  local from, why = bridge.from:_side()
  if not from then return nil, why end
  from.login = as or from.login
  local to
  to, why = bridge.to:_side()
  if not to then return nil, why end
  local path, secrets = place.write_config {
    name = bridge.name, from = from, to = to,
  }
  if not path then return nil, secrets end
  local pid
  pid, why = place.launch(bridge.name, secrets)
  if not pid then return nil, why end
  return { pid = pid }
end

local function start_engine(bridge, as)
  if place.holder(bridge.name) then return true end
  return effect.perform {
    primitive = "process.start", resume = "set",
    target = subject(bridge) .. "/engine",
    summary = ("start the engine of bridge %s on this machine (tranship "
      .. "mirror)"):format(bridge.name),
    args = { log = place.path(bridge.name, "log") },
    before = "not running", after = "running", undo = "stop it",
    send = function() return send_start(bridge, as) end,
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
  local shapes, why = founding.carried(bridge)
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

local function apply(g)
  local bridge = g.bridge
  local ok, why = founding.found(bridge)
  if not ok then return nil, why end
  ok, why = start_engine(bridge, g.as)
  if not ok then return nil, why end
  if answer.is_planning() then return true end
  return await_running(bridge)
end

--- What the engine needs and borrows on the target, for whoever grants it.
local function needs(bridge)
  local to, list = bridge.to.name, {}
  if bridge.offsets ~= "mapped" then
    list[1] = ("on %s, to keep offsets: WRITE on transactional ids that begin "
      .. "with %s and ALTER on the cluster (control markers); partitions that "
      .. "need what is not granted are mapped"):format(to,
      transactions.prefix(bridge.name))
  end
  local borrows = "producer.id.expiration.ms of its brokers, "
    .. "message.timestamp.* of topics that would not take the records' times"
  if loan.is_ruled_out({ to = bridge.to }, "to") then
    list[#list + 1] = ("on %s nothing is borrowed (never alter configs): %s "
      .. "stay as they are"):format(to, borrows)
  else
    list[#list + 1] = ("on %s the open bridge borrows, and puts back when it "
      .. "closes: %s (needs ALTER_CONFIGS)"):format(to, borrows)
  end
  return list
end

local function plan(g)
  local ok, why = apply(g)
  if not ok then return nil, why end
  return needs(g.bridge)
end

return {
  name = "open",
  title = "{bridge} is open",
  takes = {
    { name = "bridge", kind = "bridge", desc = "the bridge" },
    { name = "as", kind = "login", optional = true,
      desc = "how the engine logs in to the source; default: as the run does" },
  },
  check = check,
  plan = plan,
  apply = apply,
  verify = check,
  undo = function(g) return stopping.stop(g.bridge, "open is undone") end,
}
