--- `tranship mirror`: the engine of one bridge, a process of its own.

local log = require "vm.log"
local sys = require "vm.sys"
local task = require "vm.task"
local engine = require "mirror.engine"
local place = require "mirror.place"

local LOCK_TRIES, LOCK_WAIT_MS = 10, 200

local function say(format, ...) sys.errout(format:format(...) .. "\n") end

local function spec_of(opts)
  if opts.config then return place.read_config(opts.config) end
  local name, from = opts.bridge, opts.bootstrap_from
  local to = opts.bootstrap_to
  if not (name and from and to) then
    return nil, "give --config FILE, or --bridge, --bootstrap-from and "
      .. "--bootstrap-to"
  end
  return {
    name = name, from = { name = "from", bootstrap = from },
    to = { name = "to", bootstrap = to },
  }
end

--- Doubles are what this switch is for: it works only on a cluster that
-- tests/world/cluster started (the variable names its folder).
local function is_test_without_producer_id(spec)
  local dir = sys.env "TRANSHIP_TEST_NO_PRODUCER_ID"
  if not dir then return false end
  local text = sys.read_file(dir .. "/bootstrap")
  if text and text:match "%S+" == spec.to.bootstrap then return true end
  return nil, "TRANSHIP_TEST_NO_PRODUCER_ID is refused outside tests"
end

local function take_lock(name)
  local lock, why
  for _ = 1, LOCK_TRIES do
    lock, why = place.lock(name)
    if lock then return lock end
    task.sleep(LOCK_WAIT_MS)
  end
  return nil, why
end

local function run(opts)
  log.level(sys.env "TRANSHIP_LOG" or "info")
  local spec, why = spec_of(opts)
  if not spec then
    say("mirror: %s", tostring(why))
    return 3
  end
  spec.no_producer_id, why = is_test_without_producer_id(spec)
  if why then
    say("mirror: %s", why)
    return 4
  end
  local lock <close>, refused = take_lock(spec.name)
  if not lock then
    say("mirror: bridge %s is copied by another process here: %s", spec.name,
      tostring(refused.holder or refused))
    return 4
  end
  local work = engine.new(spec)
  local signals <close> = sys.signals { "INT", "TERM" }
  local listener = task.spawn(function()
    signals:next()
    work:stop()
  end)
  local reason
  reason, why = work:run()
  listener:cancel()
  if not reason then
    say("mirror: %s", tostring(why))
    return 1
  end
  log.info(("bridge %s: engine ends: %s"):format(spec.name, reason))
  return 0
end

return {
  name = "mirror",
  summary = "copy the topics of a bridge until told to stop",
  usage = "tranship mirror --config FILE | --bridge NAME --bootstrap-from "
    .. "H:P --bootstrap-to H:P",
  examples = {
    "tranship mirror --config .tranship/bridges/event-bus.json",
    "tranship mirror --bridge event-bus --bootstrap-from old:9092 "
      .. "--bootstrap-to new:9092",
  },
  options = {
    { name = "config", kind = "value", value = "FILE",
      help = "file written when the bridge was opened" },
    { name = "bridge", kind = "value", value = "NAME",
      help = "the bridge's name" },
    { name = "bootstrap-from", kind = "value", value = "HOST:PORT",
      help = "the cluster the bridge comes from" },
    { name = "bootstrap-to", kind = "value", value = "HOST:PORT",
      help = "the cluster it leads to; its topic lies there" },
  },
  run = run,
}
