--- Least privilege: the rights that scripts/rights ships are enough for a bridge
-- there and back, and each that is taken away is named.

local sys = require "vm.sys"
local yaml = require "vm.yaml"
local acl = require "kafka.acl"
local cluster = require "kafka.cluster"
local secret = require "vm.secret"
local task = require "vm.task"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local acls_of = dofile "tests/support/kafka_user.lua"
local secure = dofile "tests/support/secure.lua"

local USER = "User:carol"
local RIGHTS = { "mirror", "create topics", "add partitions", "alter configs",
  "alter offsets" }

--- The shipped KafkaUser as ACLs of carol.
local function shipped(t)
  local user = t.ok(yaml.decode(t.ok(sys.read_file "scripts/rights/kafka-user.yaml")))
  return acls_of(user.spec, USER)
end

local function secured(t)
  local dir = t.ok(sys.temporary_folder "tranship-rights")
  local on, settings = { old = {}, new = {}, dir = dir }, {}
  secure.certificates(dir, {})
  for _, at in ipairs { "old", "new" } do
    for _, one in ipairs(secure.settings(dir, on[at])) do
      settings[#settings + 1] = at .. ":" .. one
    end
  end
  local world = world_of.new(t, settings)
  for _, at in ipairs { "old", "new" } do -- what the test itself may do: all
    world[at] = cluster.new { name = at, bootstrap = on[at].plaintext,
      timeout_ms = 30000 }
  end
  return world, on
end

local function as_carol(on, at)
  return cluster.new { name = at, bootstrap = on[at].sasl_plaintext,
    timeout_ms = 30000, login = { kind = "plain", user = "carol",
      password = secret.new("carol-pw", "carol") } }
end

local function change(t, at, how, list)
  local done = t.ok(at:client "write"[how](at:client "write", list))
  for _, one in ipairs(done) do t.ok(not one.err, one.err) end
end

--- Asks until the answer is so: brokers apply ACLs a moment after they said yes.
local function answers(t, face, is_ok, pattern)
  local answer
  for _ = 1, 100 do
    answer = t.ok(face:rights(RIGHTS))
    if answer.ok == is_ok and answer.text:find(pattern) then return answer end
    task.sleep(100)
  end
  t.fail(("%s: not %q but %s"):format(face.name, pattern, answer.text))
end

--- Positions carried, the topic turned, and everything home again.
local function there_and_back(t, world, road, old, new)
  world:reach(road:open())
  world:settle(road)
  for id, kind in pairs(world:kinds(road)) do t.equal(kind, "same", id) end
  t.ok(road:carry_offsets({ "idle" }, { to = new }))
  t.ok(road:turn({ "apps.a" }, { writer = new }))
  world:append(world.new, world.records("apps.a", 0, 500, 100))
  world:settle(road)
  t.ok(road:turn({ "apps.a" }, { writer = old }))
  world:append(world.old, world.records("apps.a", 0, 600, 100))
  world:settle(road)
  world:must_be_same("apps.a", 0, true, nil, "committed")
  t.equal(world:log(road):find "denied", nil, world:log(road))
  t.equal(world:log(road):find "warn", nil, world:log(road))
end

local function is_bridge_topic(one) return one.name:find "^__tranship" ~= nil end

--- What the answer to `rights` says of an ACL that is gone; nil where only the
-- engine can tell.
local function named(one)
  if one.resource_type == "transactional_id" or is_bridge_topic(one)
    or one.resource_type == "cluster" and one.operation == "alter_configs" then
    return nil
  end
  local on = one.resource_type == "cluster" and "the cluster"
    or one.resource_type .. " " .. (one.pattern == "prefixed" and one.name or "")
  return (one.operation .. "[%w_, ]* on " .. on:gsub("%p", "%%%0"))
end

--- What opening a bridge says without a right on the bridge's own topic.
local function not_opened(t, road)
  for _ = 1, 100 do
    local opened, why = road:open():apply {}
    if not opened then
      t.equal(why.kind, "denied", why)
      t.match(why, "__tranship.road")
      return tostring(why)
    end
    road:open().undo { bridge = road }
    task.sleep(100)
  end
  t.fail "opened all the same"
end

local function taken_away(t, world, face, road)
  for _, one in ipairs(shipped(t)) do
    local pattern = named(one)
    if pattern or is_bridge_topic(one) then
      change(t, world.new, "delete_acls", { one })
      t.note(("without %s: %s"):format(acl.text(one), pattern
        and answers(t, face, false, pattern).text or not_opened(t, road)))
      change(t, world.new, "create_acls", { one })
    end
  end
  answers(t, face, true, "")
end

--- Without the right to write under the bridge's transactional ids, a topic that
-- holds transactions is mapped, and the map says why; without that to alter the
-- brokers' settings, the engine warns.
local function engine_names(t, world, road)
  local lost = {}
  for _, one in ipairs(shipped(t)) do
    if not named(one) and not is_bridge_topic(one) then lost[#lost + 1] = one end
  end
  t.equal(#lost, 2)
  change(t, world.new, "delete_acls", lost)
  world:create(world.old, { { name = "apps.later" } })
  world:append(world.old, world.records("apps.later", 0, 0, 100),
    { transaction = "commit" })
  world:reach(road:open())
  world:await("apps.later is mapped", function()
    local leg = road:ledger():leg("apps.later", 0)
    return leg and (leg.mapped_why or leg.why or ""):find "no right to keep transactions"
  end, 60000)
  world:await("the engine warns", function()
    return world:log(road):find "producer.id.expiration.ms cannot be raised"
  end, 60000)
  world:settle(road)
  world:reach(road:closed())
end

local ALONE = [[{ "format": 1, "name": "alone", "topics": ["monitor.*"],
  "from": { "bootstrap": "%s", "login": { "kind": "plain", "user": "carol",
    "password": "env:CAROLS_WORD" } },
  "to": { "bootstrap": "%s", "login": { "kind": "plain", "user": "carol",
    "password": "file:%s/word" } } }]]

--- `tranship mirror` by itself, its secrets from environment and file: they are
-- enough for it, and told nowhere.
local function alone(t, world, on)
  change(t, world.new, "create_acls", shipped(t))
  world:append(world.old, world.records("monitor.a", 0, 0, 100))
  t.ok(sys.write_file(on.dir .. "/word", "carol-pw\n", { mode = 384 }))
  t.ok(sys.write_file(on.dir .. "/alone.json", ALONE:format(
    on.old.sasl_plaintext, on.new.sasl_plaintext, on.dir)))
  local state = on.dir .. "/state"
  local function mirror(env)
    return t.ok(sys.run { stdin = "null", env = env, args = { sys.executable(),
      "mirror", "--config", on.dir .. "/alone.json", "--once", "--state", state } })
  end
  local done = mirror {}
  t.equal(done.code, 3, done.stderr)
  t.match(done.stderr, "login.password of 'from' cannot be had: .*CAROLS_WORD")
  done = mirror { CAROLS_WORD = "carol-pw" }
  t.equal(done.code, 0, done.stderr)
  t.equal(world:must_be_same("monitor.a", 0, true), 100)
  t.equal((done.stdout .. done.stderr):find("carol-pw", 1, true), nil)
  t.equal(t.ok(sys.run { "grep", "-rl", "carol-pw", state }).stdout, "")
end

test("the shipped rights are enough, and each that is missing is named", function(t)
  local world <close>, on = secured(t)
  local _ <close> = setmetatable({}, { __close = function()
    sys.run { "rm", "-rf", on.dir }
  end })
  world:create(world.old, { { name = "apps.a" }, { name = "monitor.a" } })
  world:append(world.old, world.records("apps.a", 0, 0, 200))
  world:append(world.old, world.records("apps.a", 0, 200, 200),
    { transaction = "commit" })
  world:append(world.old, world.records("apps.a", 0, 400, 100),
    { transaction = "abort" })
  world:commit(world.old, "idle", { { topic = "apps.a", partition = 0, offset = 50 } })
  for _, at in ipairs { "old", "new" } do
    change(t, world[at], "create_acls", shipped(t))
  end
  local old <close> = as_carol(on, "old")
  local new <close> = as_carol(on, "new")
  answers(t, old, true, "")
  answers(t, new, true, "")
  local road = world:bridge { from = old, to = new, topics = { "apps.*", "monitor.*" } }
  there_and_back(t, world, road, old, new)
  world:reach(road:closed())
  taken_away(t, world, new, road)
  engine_names(t, world, road)
  alone(t, world, on)
end)
