-- Every primitive of vm.kafka on a real broker, from a cluster that is fresh
-- (nothing has a coordinator yet) to records and transactions.
local test = ...
local json = require "vm.json"
local kafka = require "vm.kafka"
local task = require "vm.task"
local broker = dofile "tests/support/broker.lua"
local check = broker.check

local BIG = (1 << 53) + 1 -- the first whole number a double cannot hold

local function items(list, why)
  for _, item in ipairs(check(list, why)) do
    if item.err then error(item.err, 0) end
  end
  return list
end

--- The item whose field has that value: answers come in any order.
local function one_with(list, field, value)
  for _, one in ipairs(list) do
    if one[field] == value then return one end
  end
end

local function groups_of_a_fresh_cluster(t, c)
  t.equal(check(c:topics()), {})
  t.equal(check(c:groups()), {})
  t.equal(check(c:group_offsets "g"), {})
  t.equal(check(c:describe_groups { "g" })[1].state, "Dead")
  t.equal(check(c:topics()), {}, "reading made the coordinator's topic")
end

local function topics(t, c)
  local wanted = { name = "t", partitions = 2, replication = 1,
    configs = { ["retention.ms"] = "60000" } }
  items(c:create_topics({ wanted }, { validate_only = true }))
  t.equal(check(c:describe_topics { "t" }), {})
  items(c:create_topics { wanted })
  local made = check(c:create_topics { wanted })
  t.equal(made[1].err.kind, "exists")
  t.equal(made[1].err.code, 36)
  items(c:add_partitions { { name = "t", total = 3 } })
  for _ = 1, 100 do
    local there = check(c:describe_topics { "t", "absent" })
    t.equal(there.absent, nil)
    if there.t and #there.t.partitions == 3 then break end
    task.sleep(50)
  end
  local there = check(c:topics())[1]
  t.equal({ there.name, there.partitions, there.replication, there.internal },
    { "t", 3, 1, false })
  t.match(there.id, "^[%w_-]+$")
end

local function settings(t, c)
  items(c:alter_configs({ { name = "t", set = { ["segment.ms"] = "70000" } } },
    { validate_only = true }))
  items(c:alter_configs { { name = "t", set = { ["segment.ms"] = "70000" },
    delete = { "retention.ms" } } })
  local own
  for _ = 1, 100 do
    own = {}
    for name, entry in pairs(check(c:configs("topic", { "t" })).t) do
      if entry.source == "topic" then own[name] = entry.value end
    end
    if own["segment.ms"] then break end
    task.sleep(50)
  end
  t.equal(own, { ["segment.ms"] = "70000" }, "the other setting went")
  local refused = check(c:alter_configs { { name = "t",
    set = { ["retention.ms"] = "soon" } } })
  t.equal(refused[1].err.kind, "invalid")
  t.equal(check(c:configs("broker", { "1" }))["1"]["node.id"].value, "1")
  t.equal(check(c:configs("topic", { "absent" })), {})
end

local RECORDS = {
  { topic = "t", partition = 0, key = "k", value = "v", timestamp = 1234567890123,
    headers = { { name = "h", value = "x" }, { name = "empty", value = "" },
      { name = "null" }, { name = "h", value = "again\0zero" } } },
  { topic = "t", partition = 0, value = "no key" },
  { topic = "t", partition = 0, key = "no value" },
  { topic = "t", partition = 0, key = "", value = "" },
}

local function records(t, c)
  local producer <close> = c:producer {}
  local sent = items(producer:produce(RECORDS))
  t.equal(sent[4], { partition = 0, offset = 3 })
  local lost = check(producer:produce { { topic = "absent", value = "x" } })
  t.equal(lost[1].err.kind, "not found")
  local reader <close> = c:reader { partitions = {
    { topic = "t", partition = 0, from = 0, to = 4 },
    { topic = "t", partition = 1, from = "start", to = 0 } } }
  local read = {}
  repeat
    local more = check(reader:read(3))
    table.move(more, 1, #more, #read + 1, read)
  until #more == 0
  for i, one in ipairs(read) do
    t.equal({ one.key, one.value, one.headers, one.offset, one.timestamp_type,
      one.leader_epoch }, { RECORDS[i].key, RECORDS[i].value,
      RECORDS[i].headers or {}, i - 1, "create", 0 })
  end
  t.equal(#read, 4)
  t.equal(read[1].timestamp, 1234567890123)
  t.equal(check(reader:position())[1], { topic = "t", partition = 0, next = 4,
    over = true })
  local absent <close> = c:reader { partitions = {
    { topic = "absent", partition = 0, from = 0 } } }
  t.fails("not found", absent:read(1))
  local beyond <close> = c:reader { partitions = {
    { topic = "t", partition = 7, from = 0 } } }
  t.fails("not found", beyond:read(1))
  local outside <close> = c:reader { partitions = {
    { topic = "t", partition = 0, from = 99, to = 100 } } }
  t.fails("not found", outside:read(1))
end

local function offsets(t, c)
  local list = check(c:offsets {
    { topic = "t", partition = 0, at = "start" },
    { topic = "t", partition = 0, at = "end" },
    { topic = "t", partition = 0, at = "stable" },
    { topic = "t", partition = 0, at = 1234567890000 },
    { topic = "t", partition = 9, at = "end" },
    { topic = "absent", partition = 0, at = "end" } })
  local seen = {}
  for i, item in ipairs(list) do seen[i] = item.offset or item.err.kind end
  t.equal(seen, { 0, 4, 4, 0, "not found", "not found" })
  local cut = items(c:delete_records { { topic = "t", partition = 0, before = 2 } })
  t.equal(cut[1].start, 2)
  t.equal(check(c:offsets { { topic = "t", partition = 0, at = "start" } })[1]
    .offset, 2)
end

local function positions(t, c)
  items(c:alter_group_offsets("g", {
    { topic = "t", partition = 0, offset = BIG, metadata = "here" },
    { topic = "t", partition = 1, offset = 0, leader_epoch = 3 } }))
  local list = check(c:group_offsets "g")
  table.sort(list, function(a, b) return a.partition < b.partition end)
  t.equal(list[1], { topic = "t", partition = 0, offset = BIG,
    metadata = "here", leader_epoch = -1 })
  t.equal(list[2].leader_epoch, 3)
  t.equal(json.decode(json.encode(list))[1].offset, BIG)
  t.match(json.encode(list), "9007199254740993")
  t.equal(check(c:groups()), { { group = "g", state = "Empty",
    type = "classic", protocol_type = "" } })
  local partly = check(c:alter_group_offsets("g", {
    { topic = "t", partition = 0, offset = 1 },
    { topic = "absent", partition = 0, offset = 1 } }))
  t.equal(one_with(partly, "topic", "t").err, nil)
  t.equal(one_with(partly, "topic", "absent").err.kind, "not found")
  items(c:delete_group_offsets("g", { { topic = "t", partition = 1 } }))
  t.equal(#check(c:group_offsets "g"), 1)
  local gone = check(c:delete_groups { "g", "absent" })
  t.equal(one_with(gone, "group", "g").err, nil)
  t.equal(one_with(gone, "group", "absent").err.kind, "not found")
end

local function transactions(t, c)
  local producer <close> = c:producer { transactional_id = "tx" }
  check(producer:init())
  for _, ending in ipairs { "commit", "abort" } do
    check(producer:begin())
    items(producer:produce { { topic = "t", partition = 2, value = ending } })
    if ending == "commit" then
      check(producer:send_offsets("txg", { { topic = "t", partition = 2,
        offset = 1 } }))
    end
    check(producer[ending](producer))
  end
  t.equal(check(c:group_offsets "txg")[1].offset, 1)
  local function values(isolation)
    local reader <close> = c:reader { isolation = isolation, partitions = {
      { topic = "t", partition = 2, from = 0, to = 4 } } }
    local out = {}
    repeat
      local more = check(reader:read())
      for _, one in ipairs(more) do out[#out + 1] = one.value end
    until #more == 0
    return out
  end
  t.equal(values "uncommitted", { "commit", "abort" })
  t.equal(values "committed", { "commit" })
end

local function users(t, c)
  items(c:alter_users { { name = "u", mechanism = "SCRAM-SHA-256",
    iterations = 8192, password = "a password" } })
  local function known()
    for _ = 1, 100 do
      local list = check(c:users())
      if #list == 1 then return list end
      task.sleep(50)
    end
  end
  t.equal(known(), { { name = "u", mechanisms = {
    { mechanism = "SCRAM-SHA-256", iterations = 8192 } } } })
  items(c:alter_users { { name = "u", mechanism = "SCRAM-SHA-256",
    delete = true } })
  local none = check(c:create_acls { { resource_type = "topic", name = "t",
    principal = "User:a", operation = "read" } })
  t.equal(none[1].err.code, 54, "no authorizer")
end

local function mistakes(t, c)
  t.raises("a table", c.create_topics, c, "t")
  t.raises("resource_type cannot be 'topicc'", c.create_acls, c,
    { { resource_type = "topicc", name = "t", principal = "User:a",
      operation = "read" } })
  t.raises("names or items", c.create_topics, c, { [3.5] = "x" })
  t.raises("not a whole number", c.offsets, c,
    { { topic = "t", partition = 0.5, at = "end" } })
  t.raises("unknown option 'group'", c.reader, c, { group = "x" })
  t.raises("bootstrap is missing", kafka.open, {})
  t.fails("invalid", kafka.open { bootstrap = "x:1",
    settings = { ["group.id"] = "x" } })
end

local function waiting(t, c)
  local reader <close> = c:reader { partitions = {
    { topic = "t", partition = 1, from = 0 } } }
  local waits = task.spawn(function() return reader:read(1) end)
  task.sleep(300)
  t.fails("conflict", reader:read(1))
  local producer <close> = c:producer {}
  items(producer:produce { { topic = "t", partition = 1, value = "woken" } })
  local ok, read = waits:join()
  t.ok(ok, read)
  t.equal(read[1].value, "woken")
  t.fails("timeout", task.deadline(200, function() return reader:read(1) end))
  waits = task.spawn(function()
    t.fails("closed", reader:read(1))
    return true
  end)
  task.sleep(100)
  reader:close()
  t.ok(waits:join())
  t.raises("kafka.reader is closed", reader.read, reader, 1)
end

test("every primitive on a real broker", function(t)
  broker.with(function(on)
    local c <close> = on:client { timeout_ms = 60000 }
    for _, part in ipairs { groups_of_a_fresh_cluster, topics, settings, records,
      offsets, positions, transactions, users, mistakes, waiting } do
      part(t, c)
    end
    items(c:delete_topics { "t" })
  end)
end)
