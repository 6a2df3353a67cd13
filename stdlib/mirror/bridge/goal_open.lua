--- "The bridge is open": its topic on the target, the engine at work, every
-- partition copying. Undone, the engine stops; what was copied stays.

local effect = require "base.effect"
local err = require "base.err"
local lazy = require "base.lazy"
local task = require "vm.task"
local answer = require "mirror.answer"
local forecast = lazy "mirror.bridge.forecast"
local founding = lazy "mirror.bridge.founding"
local loan = lazy "mirror.topic.loan"
local stopping = lazy "mirror.bridge.stopping"
local transactions = lazy "mirror.flow.transactions"

local LOOK_MS, AGAIN_MS = 2000, 500
local PATIENCE = 3 -- looks in a row that see trouble which does not pass

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
    end
    local lacks, trouble
    lacks, why = bridge:home():lacks(g.as)
    if lacks == nil then return nil, why end
    if not lacks then
      trouble, why = bridge:home():trouble()
      if trouble == nil then return nil, why end
    end
    if lacks or trouble then
      return { ok = false, seen = lacks and "no engine" or "not at work",
        want = want, text = lacks or trouble }
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

local function failure(kind, format, ...)
  return nil, err.new {
    kind = kind, origin = "bridge", message = format:format(...),
  }
end

--- Waits until the engine that was started copies every partition.
local function await_running(bridge)
  local home, shapes, why = bridge:home(), founding.carried(bridge)
  if not shapes then return nil, why end
  local waiting, stopped, trouble, times = {}, {}, nil, 0
  local until_ms = task.now() + home.START_MS
  while task.now() < until_ms do
    local ok, problem = bridge:topic():await(LOOK_MS, function(book)
      waiting, stopped = { "the engine has not begun" }, {}
      if home:is_claimed(book) then waiting, stopped = not_running(book, shapes) end
      return #waiting == 0 or #stopped > 0
    end)
    if #stopped > 0 then
      return failure("conflict", "the bridge has stopped: %s",
        table.concat(stopped, "; "))
    elseif not ok and problem.kind ~= "timeout" then
      return nil, problem
    end
    local final
    trouble, final = home:trouble()
    if trouble == nil then return nil, final end
    if ok and not trouble then return true end
    times = final and times + 1 or 0
    if times == PATIENCE then return failure("conflict", "%s", trouble) end
    if ok then task.sleep(AGAIN_MS) end
  end
  return failure("timeout", "not copying within %d s: %s (%s)",
    home.START_MS // 1000, trouble or answer.some(waiting),
    bridge:engine_line())
end

local function apply(g)
  local bridge = g.bridge
  local ok, why = founding.found(bridge)
  if not ok then return nil, why end
  local lacks
  lacks, why = bridge:home():lacks(g.as)
  if lacks == nil then return nil, why end
  if lacks then
    ok, why = bridge:home():start(g.as)
    if not ok then return nil, why end
  end
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
  local lines
  lines, why = forecast.lines(g.bridge)
  if not lines then return nil, why end
  return table.move(needs(g.bridge), 1, 2, #lines + 1, lines)
end

return {
  name = "open",
  title = "{bridge} is open",
  takes = {
    { name = "bridge", kind = "bridge", desc = "the bridge" },
    { name = "as", kind = "table", optional = true,
      desc = "who the engine is, by side: a login, or the name of a KafkaUser of the "
        .. "Strimzi cluster there; default: as the run does", fields = {
        { name = "from", kind = "account", desc = "on the source" },
        { name = "to", kind = "account", desc = "on the target" },
      } },
  },
  check = check,
  plan = plan,
  apply = apply,
  verify = check,
  undo = function(g) return stopping.stop(g.bridge, "open is undone") end,
}
