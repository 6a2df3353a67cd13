-- The stock goals about plain clusters: each keeps the five laws on real
-- brokers, and says what it cannot do.
local test = ...
local context = require "base.context"
local json = require "vm.json"
local state = require "base.state"
local sys = require "vm.sys"
local cluster = require "kafka.cluster"
local goal = require "runbook.goal"
local broker = dofile "tests/support/broker.lua"
local laws = dofile "tests/support/laws.lua"
local check = broker.check

local function make(name, args)
  return goal.make(require("runbook.goal." .. name), args)
end

-- What goals are about, as plain data: no ids, no private topics.
local function world_of(one)
  local topics = {}
  for _, topic in ipairs(check(one:topics())) do
    topics[topic.name] = { partitions = topic.partitions }
  end
  local groups = {}
  for _, group in ipairs(check(one:groups())) do
    local list = check(one:group_offsets(group.group))
    if #list > 0 then groups[group.group] = list end
  end
  return { topics = topics, configs = check(one:configs()), groups = groups,
    acls = check(one:acls()) }
end

local function clear(one)
  for _, topic in ipairs(check(one:topics())) do
    check(one:delete_topic(topic.name))
  end
  for _, group in ipairs(check(one:groups())) do
    check(one:delete_group(group.group))
  end
  check(one:delete_acls(check(one:acls())))
end

local function produce(client, topic, partition, count)
  local producer <close> = check(client:producer {})
  local list = {}
  for i = 1, count do
    list[i] = { topic = topic, partition = partition, value = "v" .. i }
  end
  for _, item in ipairs(check(producer:produce(list))) do
    if item.err then error(item.err, 0) end
  end
end

local AUTHORIZER = "authorizer.class.name="
  .. "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
local SUPER = "super.users=User:ANONYMOUS"

local function topic_config_and_acl(t, on)
  local one <close> = cluster.new { name = "one", bootstrap = on.address }
  local function world() return world_of(one) end

  laws.hold(t, {
    world = world,
    reset = function() clear(one) end,
    goal = function()
      return make("topic", { cluster = one, name = "orders", partitions = 2,
        replication = 1, configs = { ["retention.ms"] = "60000" } })
    end,
  })

  local effects = laws.hold(t, {
    world = world,
    reset = function()
      clear(one)
      check(one:create_topic { name = "orders", partitions = 3,
        configs = { ["retention.ms"] = "1", ["cleanup.policy"] = "compact" } })
    end,
    goal = function()
      return make("topic", { cluster = one, name = "orders", partitions = 2,
        configs = { ["retention.ms"] = "60000" } })
    end,
  })
  t.equal(#effects, 1, "only the setting was to change")

  laws.hold(t, {
    world = world,
    reset = function()
      clear(one)
      check(one:create_topic { name = "orders", partitions = 1,
        configs = { ["retention.ms"] = "1", ["cleanup.policy"] = "compact" } })
    end,
    goal = function()
      return make("config", { cluster = one, topic = "orders",
        set = { ["retention.ms"] = "60000", ["segment.ms"] = "70000" },
        delete = { "cleanup.policy" } })
    end,
  })

  laws.hold(t, {
    world = world,
    reset = function() clear(one) end,
    goal = function()
      return make("acl", { cluster = one, resource_type = "topic",
        name = "orders", principal = "User:alice", operation = "read" })
    end,
  })
end

local function topic_with_records(t, on)
  local one <close> = cluster.new { name = "one", bootstrap = on.address }
  local made = make("topic", { cluster = one, name = "orders", partitions = 1 })
  local run = laws.new_run()
  check(made:apply(run))
  produce(one:client "write", "orders", 0, 3)
  local _, why = made:undo(run)
  t.equal(why, nil)
  t.ok(check(one:topic("orders"):exists()))
  t.match(run.said[#run.said], "orders stays on one: it holds records")
end

local function shape_source(old)
  clear(old)
  check(old:create_topic { name = "apps.a", partitions = 3,
    configs = { ["retention.ms"] = "60000", ["segment.bytes"] = "2000000" } })
  check(old:create_topic { name = "apps.b", partitions = 1 })
  check(old:create_topic { name = "__tranship.road", partitions = 1 })
  check(old:create_acls {
    { resource_type = "topic", name = "apps.", pattern = "prefixed",
      principal = "User:alice", operation = "read" },
    { resource_type = "topic", name = "__tranship.road",
      principal = "User:alice", operation = "read" },
    { resource_type = "group", name = "g", principal = "User:alice",
      operation = "read", permission = "deny" } })
end

test("shaped_like keeps the five laws and names what differs", function(t)
  broker.with(function(from)
    broker.with(function(to)
      local old <close> = cluster.new { name = "old", bootstrap = from.address }
      local new <close> = cluster.new { name = "new", bootstrap = to.address }
      shape_source(old)
      check(old:client "write":alter_users { { name = "alice",
        mechanism = "SCRAM-SHA-512", password = "alice-pw" } })
      local function shaped() return new:shaped_like(old) end

      laws.hold(t, {
        goal = shaped,
        world = function() return world_of(new) end,
        reset = function()
          clear(new)
          check(new:create_topic { name = "apps.b", partitions = 1,
            configs = { ["retention.ms"] = "1" } })
          check(new:create_topic { name = "extra", partitions = 1 })
        end,
      })

      clear(new)
      check(shaped():apply(laws.new_run()))
      local answer = check(shaped():check(laws.new_run()))
      t.ok(answer.ok)
      t.match(answer.text, "user alice is not there: passwords cannot be carried")
      local list, acls = {}, check(new:acls())
      for i, topic in ipairs(check(new:topics "*")) do list[i] = topic.name end
      t.equal(table.concat(list, " "), "apps.a apps.b")
      t.equal(#acls, 2, "ACLs")

      -- Partitions cannot be taken away: refused, and nothing is touched.
      clear(new)
      check(new:create_topic { name = "apps.a", partitions = 5 })
      answer = check(shaped():check(laws.new_run()))
      t.ok(not answer.ok)
      local why = t.fails("conflict", shaped():apply(laws.new_run()))
      t.match(why, "apps.a has 5 partitions and should have 3")
      t.ok(not check(new:topic("apps.b"):exists()))
    end, AUTHORIZER, SUPER, "ID=bmV3bmV3bmV3bmV3bmV3bg")
  end, AUTHORIZER, SUPER)
end)

local function what_does_not_fit(t, on)
  local one <close> = cluster.new { name = "one", bootstrap = on.address }
  check(one:create_topic { name = "seen", partitions = 1 })
  local shape = require "kafka.shape"
  local lack = check(shape.lacks(one, { topics = { { name = "x",
    partitions = 1, replication = 3, configs = {
      ["min.insync.replicas"] = "2", ["segment.bytes"] = "100000",
      ["message.format.version"] = "2.0", ["retention.ms"] = "5",
      ["leader.replication.throttled.replicas"] = "*" } } },
    acls = { { resource_type = "topic", name = "x", principal = "User:a",
      operation = "read" } } }))
  table.sort(lack.notes)
  t.equal(lack.notes, {
    "one has no authorizer: 1 ACLs are not carried",
    "topic x: 3 replicas become 1, because one has 1 brokers",
    "topic x: leader.replication.throttled.replicas is not carried: "
      .. "it names brokers",
    "topic x: message.format.version is not carried: it cannot be set there",
    "topic x: min.insync.replicas = 2 is not carried: there are 1 replicas",
    "topic x: segment.bytes = 100000 becomes 1048576, the least it may be",
  })
  check(require "kafka.making".make(one, lack))
  t.equal(check(one:configs { "x" }).x,
    { ["retention.ms"] = "5", ["segment.bytes"] = "1048576" })
end

local function backup_and_restore(t, on)
  local one <close> = cluster.new { name = "one", bootstrap = on.address }
  local folder = check(sys.temporary_folder "tranship-backup")
  context.get().state = folder
  local _ <close> = setmetatable({}, { __close = function()
    context.get().state = nil
    sys.run { "rm", "-rf", folder }
  end })
  t.equal(state.dir(), folder)

  local BIG = (1 << 53) + 1
  clear(one)
  check(one:create_topic { name = "orders", partitions = 2,
    configs = { ["retention.ms"] = "60000" } })
  produce(one:client "write", "orders", 0, 5)
  check(one:alter_group_offsets("billing", {
    { topic = "orders", partition = 0, offset = 3, metadata = "here" },
    { topic = "orders", partition = 1, offset = BIG } }))
  check(one:create_acls { { resource_type = "topic", name = "orders",
    principal = "User:alice", operation = "read" } })

  local function backup()
    return make("backup", { one:definitions(), one:offsets() })
  end
  laws.hold(t, { goal = backup, reset = function() end, stays = true,
    world = function() return world_of(one) end })

  local run = laws.new_run()
  local made = backup()
  check(made:apply(run))
  local id = check(made:check(run)).seen
  t.match(id, "^B%x+-%d+$")
  local book = check(json.decode(check(sys.read_file(
    folder .. "/backups/" .. id .. ".json"))))
  t.equal(book.clusters[1].offsets.billing[2].offset, BIG)

  laws.hold(t, {
    goal = function() return make("restore", { id, one }) end,
    world = function() return world_of(one) end,
    reset = function()
      clear(one)
      check(one:create_topic { name = "orders", partitions = 2,
        configs = { ["retention.ms"] = "1", ["segment.ms"] = "70000" } })
      check(one:alter_group_offsets("billing", {
        { topic = "orders", partition = 0, offset = 1 } }))
    end,
  })
  t.equal(check(one:group_offsets "billing")[2], nil)
  check(make("restore", { id, one }):apply(laws.new_run()))
  t.equal(check(one:group_offsets "billing")[2].offset, BIG)
  t.match(t.fails("not found", make("restore", { "B00-1" }):check(run)),
    "B00%-1")
end

local function retired(t, on)
  local one <close> = cluster.new { name = "one", bootstrap = on.address }
  clear(one)
  check(one:create_topic { name = "orders", partitions = 1 })
  local writer = one:client "write"
  local goal_retired = make("retired", { cluster = one, quiet = "400ms" })
  local run = laws.new_run()
  local answer = check(goal_retired:check(run))
  t.ok(answer.ok)
  t.match(answer.text, "one is retired")
  check(goal_retired:apply(run))

  -- The watch says when it begins: what is done then, it must see.
  local function while_watched(act)
    local seen = check(context.with({ phase = "check", progress = act },
      goal_retired.check, goal_retired, run))
    t.ok(not seen.ok, seen.text)
    return seen.text
  end
  t.match(while_watched(function() produce(writer, "orders", 0, 2) end),
    "orders/0: end of log went from 0 to 2")
  t.match(while_watched(function()
    check(writer:alter_group_offsets("g", { { topic = "orders",
      partition = 0, offset = 1 } }))
  end), "group g at orders/0: committed from nothing to 1")
  t.ok(check(goal_retired:check(run)).ok)
end

-- Starting a broker costs more than most cases, so cases share them.
test("topic, config, acl, backup and restore keep the five laws", function(t)
  broker.with(function(on)
    topic_config_and_acl(t, on)
    backup_and_restore(t, on)
  end, AUTHORIZER, SUPER)
end)

test("what stays, what does not fit, and when a cluster is retired", function(t)
  broker.with(function(on)
    topic_with_records(t, on)
    what_does_not_fit(t, on)
    retired(t, on)
  end)
end)
