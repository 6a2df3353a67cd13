--- `tranship mirror`: the engine of one bridge, a process of its own. It works
-- for a run that opened the bridge, and alone: then it opens it by itself.

local log = require "vm.log"
local secret = require "vm.secret"
local sys = require "vm.sys"
local task = require "vm.task"
local closing = require "base.closing"
local bridge = require "mirror.bridge"
local cluster = require "kafka.cluster"
local engine = require "mirror.engine"
local founding = require "mirror.bridge.founding"
local metrics = require "mirror.engine.metrics"
local place = require "mirror.engine.place"
local progress = require "mirror.engine.progress"
local specs = require "mirror.engine.spec"
local units = require "base.units"

local FAILED, WRONG, REFUSED = 1, 3, 4
local LOCK_TRIES, LOCK_WAIT_MS = 10, 200
local PROGRESS = "10s"

local function say(format, ...)
  sys.errout(("tranship: mirror: " .. format):format(...) .. "\n")
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

--- The bridge's lock on this machine; nil and a text when nothing may begin.
local function take_lock(spec)
  local lock, why
  spec.no_producer_id, why = is_test_without_producer_id(spec)
  if why then return nil, why end
  for _ = 1, LOCK_TRIES do
    lock, why = place.lock(spec.name, spec.group)
    if lock then return lock end
    task.sleep(LOCK_WAIT_MS)
  end
  return nil, ("bridge %s is copied by another process here: %s"):format(
    spec.name, tostring(why.holder or why))
end

--- Makes the bridge as the configuration describes it, or finds it so.
local function open_bridge(spec, again)
  local from, to = cluster.new(spec.from), cluster.new(spec.to)
  local road = bridge.new {
    name = spec.name, from = from, to = to, topics = spec.topics,
    except = spec.except, names = spec.names, offsets = spec.offsets,
    configs = spec.configs, defaults = spec.defaults, acls = spec.acls,
    start = spec.start,
  }
  local _ <close> = setmetatable({}, { __close = function()
    road:close()
    from:close()
    to:close()
  end })
  local ok, why = founding.adopt(road, spec, again)
  if not ok then return nil, why end
  if not again and sys.stat(place.path(spec.name, "json")) then return true end
  return place.write_config(spec)
end

--- How progress shall be told: nil for not at all.
local function telling(opts)
  local wanted = opts.progress or opts.output or sys.isatty(1)
  if not wanted then return nil end
  local ms, why = units.duration(opts.progress or PROGRESS)
  if not ms then return nil, "--progress: " .. why end
  return {
    every_ms = math.max(100, ms), output = opts.output or "text",
    by_topic = opts.by_topic,
  }
end

--- The secrets that the run which starts us hands over.
local function handed_over(opts)
  if not opts.secrets_on_stdin then return nil end
  local packed, why = secret.from_input()
  if not packed then return nil, why end
  return secret.unpack(packed)
end

--- The options and the configuration as one spec; every problem at once.
local function read_all(opts, args)
  local given, refused = handed_over(opts)
  local spec, problems = specs.of(opts, args[1], given)
  if refused then problems[#problems + 1] = tostring(refused) end
  local tell, why = telling(opts)
  if why then problems[#problems + 1] = why end
  if spec and spec.group and opts.once then
    problems[#problems + 1] = "--once is for an engine that copies alone"
  end
  if #args > 1 then problems[#problems + 1] = "one bridge at a time" end
  if spec and #problems == 0 then return spec, tell end
  for _, problem in ipairs(problems) do say("%s", problem) end
end

--- What goes on beside the copying; ended with what it returns.
local function companions(work, tell, listener)
  local signals = sys.signals { "INT", "TERM" }
  local list = { task.spawn(function()
    signals:next()
    work:stop()
  end), tell and task.spawn(progress.tell, work, tell) or nil }
  list[#list + 1] = listener and task.spawn(metrics.serve, listener, work)
  list[#list + 1] = signals
  list[#list + 1] = listener
  return closing(list)
end

local function copy(spec, tell)
  local listener, where
  if spec.metrics ~= "off" then
    listener, where = metrics.listen(spec.metrics)
    if not listener then return nil, where end
    spec.metrics_at = where
    log.info(("bridge %s: metrics at http://%s/metrics"):format(spec.name,
      where))
  end
  local work = engine.new(spec)
  local ended <close> = companions(work, tell, listener)
  local reason, why = work:run()
  ended:close()
  if tell then progress.sum_up(work, tell) end
  return reason, why
end

local function run(opts, args)
  log.level(sys.env "TRANSHIP_LOG" or "info")
  local spec, tell = read_all(opts, args)
  if not spec then return WRONG end
  spec.once = opts.once
  local lock <close>, busy = take_lock(spec)
  if not lock then
    say("%s", busy)
    return REFUSED
  end
  if spec.topics then
    local ok, why = open_bridge(spec, opts.open)
    if not ok then
      say("%s", tostring(why))
      return why.kind == "conflict" and REFUSED or FAILED
    end
  end
  local reason, why = copy(spec, tell)
  if not reason then
    say("%s", tostring(why))
    return FAILED
  end
  log.info(("bridge %s: engine ends: %s"):format(spec.name, reason))
  return 0
end

return {
  name = "mirror",
  summary = "Copy the topics of a bridge until told to stop.",
  usage = "tranship mirror BRIDGE [--config FILE] [--from HOST:PORT "
    .. "--to HOST:PORT --topics PATTERN..]",
  examples = {
    "tranship mirror event-bus               # a bridge that was opened here",
    "tranship mirror event-bus --from old:9092 --to new:9092 "
      .. "--topics 'apps.*'",
    "tranship mirror --config event-bus.json --metrics 127.0.0.1:9404 "
      .. "-o json",
    "tranship mirror event-bus --once        # until it has caught up",
  },
  options = {
    { name = "config", kind = "value", value = "FILE",
      help = "JSON: clusters, topics, limits; flags win" },
    { name = "from", kind = "value", value = "HOST:PORT",
      help = "the cluster that is written now" },
    { name = "to", kind = "value", value = "HOST:PORT",
      help = "the other one; the bridge's topic lies there" },
    { name = "topics", kind = "list", value = "PATTERN",
      help = "what to copy, with * (opens the bridge if it is new)" },
    { name = "except", kind = "list", value = "PATTERN",
      help = "what to leave out" },
    { name = "prefix", kind = "value", value = "TEXT",
      help = "put before topics' names on the target" },
    { name = "offsets", kind = "value", value = "KIND",
      choices = specs.OFFSETS,
      help = "same as the source's, or mapped; auto: the same where it can be" },
    { name = "configs", kind = "value", value = "KIND",
      choices = specs.CONFIGS,
      help = "topics' settings: copied when they are made (the default), or followed" },
    { name = "defaults", kind = "value", value = "KIND",
      choices = specs.DEFAULTS,
      help = "whose hold where a topic sets nothing: the target's (the default), or "
        .. "the source's" },
    { name = "acls", kind = "value", value = "KIND", choices = specs.ACLS,
      help = "the source's ACLs (default none)" },
    { name = "start", kind = "value", value = "KIND", choices = specs.START,
      help = "copy from the earliest record on, or only what is written from now on" },
    { name = "secrets-on-stdin", kind = "flag",
      help = "for a run that starts this: it hands the secrets over" },
    { name = "open", kind = "flag",
      help = "open the bridge again, as described here" },
    { name = "memory", kind = "value", value = "SIZE",
      help = "batches held at a time (64MiB)" },
    { name = "rate", kind = "value", value = "RATE",
      help = "bytes read per time at most, such as 20MiB/s" },
    { name = "metrics", kind = "value", value = "HOST:PORT",
      help = "Prometheus' /metrics, /healthz, /readyz; or off "
        .. "(default a free port of 127.0.0.1, told in the log)" },
    { name = "group", kind = "flag",
      help = "one of several engines: divide the partitions" },
    { name = "once", kind = "flag",
      help = "end when everything there now is copied" },
    { name = "progress", kind = "value", value = "TIME",
      help = "tell how it goes this often (10s on a terminal)" },
    { name = "by-topic", kind = "flag", help = "... topic by topic" },
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "text", "json" }, help = "how to tell it" },
  },
  run = run,
  more_help = function()
    return [[

The configuration, of which only the clusters are needed; secrets stand in it as
references, "file:PATH" or "env:NAME":
  { "format": 1, "name": "event-bus",
    "from": { "name": "old", "bootstrap": "old:9093", "ca": "file:ca.pem",
      "login": { "kind": "scram", "user": "mirror", "password": "env:OLD_PASSWORD" } },
    "to": { "name": "new", "bootstrap": "new:9093", "ca": "file:ca.pem",
      "login": { "kind": "certificate", "cert": "file:me.pem", "key": "file:me.key" } },
    "topics": ["apps.*"], "except": ["apps.tmp.*"], "names": { "prefix": "blue." },
    "offsets": "auto", "configs": "followed", "defaults": "source",
    "acls": "copied", "start": "latest", "memory": "64MiB",
    "rate": "20MiB/s", "metrics": "127.0.0.1:9404", "group": true }
Other logins: { "kind": "plain", "user", "password" } and { "kind": "token",
"command": ["get-token", "--audience", "kafka"] }.

TERM ends it in order, with 0. It ends with 1 when it cannot go on, or when
partitions have stopped (--once), with 3 when it is told something wrong, and
with 4 when it may not begin: the bridge is another one, or is copied here already.
]]
  end,
}
