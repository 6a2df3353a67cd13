-- A session that only reads leaves no trace: the broker's own request log shows
-- no writing request, and nothing is there afterwards that was not before, on a
-- broker that would gladly make topics for whoever names one.
local test = ...
local context = require "base.context"
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local cluster = require "kafka.cluster"
local kafka = require "vm.kafka"

local function check(value, why)
  if value == nil then error(debug.traceback(tostring(why), 2), 0) end
  return value
end

--- Requests that change nothing, whoever sends them.
local READS = {}
for name in ("API_VERSIONS METADATA DESCRIBE_CLUSTER DESCRIBE_CONFIGS FETCH "
  .. "LIST_OFFSETS OFFSET_FOR_LEADER_EPOCH LIST_GROUPS DESCRIBE_GROUPS "
  .. "FIND_COORDINATOR OFFSET_FETCH DESCRIBE_ACLS "
  .. "DESCRIBE_USER_SCRAM_CREDENTIALS"):gmatch "%S+" do
  READS[name] = true
end

local function with_broker(body)
  local dir = check(sys.temporary_folder "tranship-requests")
  local log = dir .. "/requests"
  local here = check(sys.realpath "tests/kafka/lib/requests.properties")
  local ok, why = pcall(function()
    local up = check(sys.run { "env", "LOG4J=" .. here, "REQUEST_LOG=" .. log,
      "tests/world/cluster", "up", dir .. "/b",
      "auto.create.topics.enable=true" })
    if up.code ~= 0 then error(up.stderr, 0) end
    body(up.stdout:gsub("%s+$", ""), log)
  end)
  sys.run { "tests/world/cluster", "down", dir .. "/b" }
  sys.run { "rm", "-rf", dir }
  if not ok then error(why, 0) end
end

--- Requests of one client id in the log: name -> count; and their bodies.
local function requests(log, client_id)
  local counts, bodies = {}, {}
  for line in check(sys.read_file(log)):gmatch "[^\n]+" do
    local text = line:match "^Completed request:(%b{})"
    local one = text and json.decode(text)
    if one and one.requestHeader.clientId == client_id then
      local name = one.requestHeader.requestApiKeyName
      counts[name] = (counts[name] or 0) + 1
      bodies[#bodies + 1] = one
    end
  end
  return counts, bodies
end

--- Everything a cluster can be asked, on topics that are there and that are not.
local function read_everything(one, topic)
  check(one:id())
  check(one:brokers())
  check(one:topics "*")
  check(one:topic_shape "absent")
  check(one:configs())
  check(one:configs { "absent" })
  check(one:offsets { { topic = "absent", partition = 0, at = "end" },
    { topic = topic or "absent", partition = 0, at = "stable" } })
  check(one:groups())
  check(one:group_state "absent")
  check(one:group_offsets "absent")
  check(one:acls())
  check(one:users())
  check(one:reachable())
  check(one:rights { "mirror", "create topics" })
  local reader <close> = check(one:client():reader {
    partitions = { { topic = topic or "absent", partition = 0, from = "start",
      to = 1 } } })
  return reader:read(1)
end

test("a read-only session shows no writing request", function(t)
  with_broker(function(address, log)
    local one <close> = cluster.new { name = "one", bootstrap = address }
    -- First on an empty cluster: even the coordinator's topic must not appear.
    local records, why = read_everything(one)
    t.fails("not found", records, why)
    t.equal(check(one:topics "*"), {})

    local writer <close> = kafka.open { bootstrap = address, name = "writer" }
    check(writer:create_topics { { name = "t", partitions = 1, replication = 1 } })
    local producer <close> = writer:producer {}
    check(producer:produce { { topic = "t", partition = 0, value = "v" } })
    check(writer:alter_group_offsets("g", { { topic = "t", partition = 0,
      offset = 1 } }))
    records = check(read_everything(one, "t"))
    t.equal(records[1].value, "v")

    -- A context that only reads gets no other client, whatever is asked for.
    context.with({ phase = "run", read_only = true,
      perform = function(effect) return effect.send() end }, function()
      t.fails("read only", one:create_topic { name = "x" })
      t.fails("read only", one:client "write":delete_topics { "t" })
    end)
    task.sleep(300) -- the log is written by the threads that answered
    local counts, bodies = requests(log, "tranship")
    t.ok((counts.METADATA or 0) > 0 and (counts.FETCH or 0) > 0
      and (counts.OFFSET_FETCH or 0) > 0, "the log shows what was read")
    for name in pairs(counts) do
      t.ok(READS[name], name .. " was sent by a reader")
    end
    for _, body in ipairs(bodies) do
      t.ok(body.request.allowAutoTopicCreation ~= true,
        "Metadata that may create topics")
    end
    local theirs = requests(log, "writer")
    t.ok(theirs.CREATE_TOPICS and theirs.PRODUCE and theirs.OFFSET_COMMIT,
      "the log would have shown writing requests")
  end)
end)
