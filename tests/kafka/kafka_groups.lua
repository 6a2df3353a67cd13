-- Groups that live, of both protocols: their state and members are told, and
-- nobody moves their positions.
local test = ...
local sys = require "vm.sys"
local task = require "vm.task"
local cluster = require "kafka.cluster"
local goal = require "runbook.goal"
local broker = dofile "tests/support/broker.lua"
local laws = dofile "tests/support/laws.lua"
local check = broker.check

local WAIT_MS = 120000

local function until_stable(one, id)
  local deadline = task.now() + WAIT_MS
  local state
  repeat
    state = check(one:group(id):state())
    if state == "Stable" and #check(one:group(id):members()) > 0 then return end
    task.sleep(200)
  until task.now() > deadline
  error("group " .. id .. " is " .. state, 0)
end

local function start(args)
  return check(sys.spawn { args = args, stdin = "null", stdout = "null",
    stderr = "null" })
end

local function stop(process)
  process:kill "TERM"
  process:wait()
  process:close()
end

--- What holds for a live group, whatever its protocol.
local function live(t, one, id, type_of)
  until_stable(one, id)
  t.ok(not check(one:group(id):is_idle()))
  local listed = check(one:groups { id })[1]
  t.equal({ listed.state, listed.type }, { "Stable", type_of })
  local described = check(one:group_state(id))
  t.equal({ described.state, described.type }, { "Stable", type_of },
    "not Dead, as librdkafka says of live groups of the new protocol")
  local members = check(one:group(id):members())
  t.equal(#members, 1)
  t.match(members[1].host, "127.0.0.1")
  t.equal(members[1].assignment[1].topic, "orders")

  -- The broker refuses each partition; so does a goal, before it asks.
  local refused = check(one:client "write":alter_group_offsets(id,
    { { topic = "orders", partition = 0, offset = 0 } }))
  t.equal({ refused[1].err.kind, refused[1].err.code }, { "conflict", 25 })
  local making, shape = require "kafka.making", require "kafka.shape"
  local lack = check(shape.lacks(one, { offsets = { [id] = {
    { topic = "orders", partition = 0, offset = 0, metadata = "x" } } } }))
  local why = t.fails("conflict", making.make(one, lack))
  t.match(why, "group " .. id .. " is in use on one: .*127.0.0.1")

  local retired = goal.make(require "runbook.goal.retired",
    { cluster = one, quiet = "100ms" })
  t.match(t.fails("conflict", retired:apply(laws.new_run())),
    "group " .. id .. " is in use")
end

test("live groups of both protocols", function(t)
  broker.with(function(on)
    local one <close> = cluster.new { name = "one", bootstrap = on.address,
      timeout_ms = 60000 }
    check(one:create_topic { name = "orders", partitions = 1 })
    local classic = start { "kcat", "-b", on.address, "-G", "classic", "orders" }
    local ok, why = pcall(live, t, one, "classic", "classic")
    stop(classic)
    if not ok then error(why, 0) end

    local new = start { "tests/world/kafka/java", "-Xmx64m",
      "org.apache.kafka.tools.consumer.ConsoleConsumer",
      "--bootstrap-server", on.address, "--topic", "orders",
      "--group", "new", "--command-property", "group.protocol=consumer" }
    ok, why = pcall(live, t, one, "new", "consumer")
    stop(new)
    if not ok then error(why, 0) end
  end)
end)
