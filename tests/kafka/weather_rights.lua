--- Rights and certificates that come and go under a copying engine, under load:
-- an ACL is taken away in mid-flight, on either side, and given back; a broker's
-- certificate expires and is replaced, also while the broker runs. The engine
-- says which, and goes on by itself when it may: one copy, at the same offsets.

local secret = require "vm.secret"
local sys = require "vm.sys"
local cluster = require "kafka.cluster"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local secure = dofile "tests/support/secure.lua"

local TOPIC, PARTITIONS = "apps.guarded", 3
local PATIENCE_MS = 120000
local WHO = "User:CN=client"

--- Two secured clusters of one authority, and as the engine reaches them.
local function secured(t, dir, far)
  local pem, settings, on = {}, {}, { old = {}, new = {} }
  secure.certificates(dir, pem)
  for at, addresses in pairs(on) do
    for _, one in ipairs(secure.settings(dir, addresses)) do
      settings[#settings + 1] = at .. ":" .. one
    end
  end
  local world = world_of.new(t, settings)
  for at, addresses in pairs(on) do
    world[at]:close()
    world[at] = cluster.new { name = at, bootstrap = addresses.plaintext,
      timeout_ms = 30000 }
    far[at] = cluster.new { name = at, bootstrap = addresses.ssl, ca = pem.ca,
      timeout_ms = 30000, login = { kind = "certificate", cert = pem.cert,
        key = secret.new(pem.key, "key") } }
  end
  return world
end

local function acl(resource_type, name, pattern)
  return { resource_type = resource_type, name = name, host = "*",
    pattern = pattern or "prefixed", principal = WHO, operation = "all",
    permission = "allow" }
end

local TOPICS = acl("topic", "apps.")

local function allow(t, at, list)
  for _, one in ipairs(t.ok(at:client("write"):create_acls(list))) do
    t.ok(not one.err, one.err)
  end
end

local function forbid(t, at)
  local done = t.ok(at:client("write"):delete_acls { TOPICS })
  t.ok(not done[1].err, done[1].err)
end

local function must_advance(world, what)
  local function copied()
    local sum = 0
    for partition = 0, PARTITIONS - 1 do
      sum = sum + world:ends(world.new, TOPIC, partition).stop
    end
    return sum
  end
  local before = copied()
  world:await(what, function() return copied() > before end, PATIENCE_MS)
end

--- Waits until every partition waits, and says why.
local function waits(t, world, road, pattern)
  local row = world:await("all wait for " .. pattern, function()
    local last
    for partition = 0, PARTITIONS - 1 do
      last = world:row(road, TOPIC .. "/" .. partition)
      if last.state ~= "waiting" or not (last.text or ""):find(pattern) then
        return
      end
    end
    return last
  end, PATIENCE_MS)
  t.note(row.text)
end

local function restart(t, world, at)
  for _, verb in ipairs { "kill", "up" } do
    t.equal(t.ok(sys.run { "tests/world/cluster", verb, world.dir .. "/" .. at })
      .code, 0)
  end
end

local function serial(t, ...)
  local done = t.ok(sys.run { "sh", "-c", 'test $# = 1 && exec openssl x509 '
    .. '-noout -serial -in "$1"; openssl s_client -connect "$2" </dev/null '
    .. '2>/dev/null | openssl x509 -noout -serial', "serial", ... })
  return done.stdout:match "serial=%x+"
end

--- Has the running broker of `new` take another certificate, and waits until it
-- shows that.
local function show(t, world, far, path)
  local done = t.ok(world.new:client("write"):alter_configs { { type = "broker",
    name = "1", set = { ["listener.name.ssl.ssl.keystore.location"] = path } } })
  t.ok(not done[1].err, done[1].err)
  local wanted = t.ok(serial(t, path))
  world:await("the broker shows " .. path, function()
    return serial(t, path, far.new.bootstrap) == wanted
  end)
end

local function come_and_go(t, world, road, dir, far)
  for _, at in ipairs { "old", "new" } do
    forbid(t, world[at])
    waits(t, world, road, TOPIC .. ".* on " .. at .. ": "
      .. "TOPIC_AUTHORIZATION_FAILED")
    allow(t, world[at], { TOPICS })
    must_advance(world, "copied when the right was given back on " .. at)
  end
  secure.renew_server(dir, "-1")
  restart(t, world, "new")
  -- Its own topic is there, too: only the log can tell.
  world:await("the expired certificate is named", function()
    return world:log(road):find "certificate [^\n]*has expired, on"
  end, PATIENCE_MS)
  show(t, world, far, secure.renew_server(dir, nil, "renewed"))
  must_advance(world, "copied with a certificate that took its place")
  local before = #world:log(road)
  show(t, world, far, secure.renew_server(dir, nil, "renewed-again"))
  must_advance(world, "copied on while the certificate was replaced")
  t.equal(world:log(road):sub(before + 1):find "warn", nil)
end

test("rights and certificates come and go", function(t)
  local dir, far = t.ok(sys.temporary_folder "tranship-secure"), {}
  local _ <close> = setmetatable({}, { __close = function()
    for _, one in pairs(far) do one:close() end
    sys.run { "rm", "-rf", dir }
  end })
  local world <close> = secured(t, dir, far)
  allow(t, world.old, { TOPICS, acl("cluster", "kafka-cluster", "literal") })
  allow(t, world.new, { TOPICS, acl("cluster", "kafka-cluster", "literal"),
    acl("topic", "__tranship."), acl("transactional_id", "tranship."),
    acl("group", "__tranship.") })
  world:create(world.old, { { name = TOPIC, partitions = PARTITIONS } })
  world:reach(world:bridge { from = far.old, to = far.new,
    topics = { "apps.*" } }:open())
  local road = world:bridge { topics = { "apps.*" } }
  local pid, loaded = t.ok(world:engine_pid(road)), {}
  for n = 0, PARTITIONS - 1 do loaded[n + 1] = { TOPIC, n } end
  local stop = world:load(world.old, loaded, 20)
  come_and_go(t, world, road, dir, far)
  local count, found = stop(), 0
  world:settle(road, PATIENCE_MS)
  t.equal(world:engine_pid(road), pid, "the engine went on by itself")
  for n = 0, PARTITIONS - 1 do
    found = found + world:must_be_same(TOPIC, n, true)
  end
  t.equal(found, count, "records, none twice")
end)
