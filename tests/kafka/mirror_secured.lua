--- Bridges between secured clusters: every way to log in, turned round, with
-- sessions that end every few seconds; credentials that are wrong, expired and
-- replaced; and a search for secrets where none may be.

local json = require "vm.json"
local secret = require "vm.secret"
local sys = require "vm.sys"
local task = require "vm.task"
local cluster = require "kafka.cluster"
local login = require "kafka.login"
local place = require "mirror.engine.place"
local record = require "mirror.topic.record"
local side = require "mirror.side"

local test = ...
local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local world_of = loadfile(here .. "/lib/mirror_world.lua")(here .. "/lib")
local secure = dofile "tests/support/secure.lua"

local SESSION_MS = 3000
local PASSWORDS = { alice = "alice-password-512", bob = "bob-password-256",
  carol = "carol-pw" }

local MORE = {
  "super.users=User:ANONYMOUS;User:admin;User:CN=client;User:alice;User:bob;"
    .. "User:carol;User:tina",
  "connections.max.reauth.ms=" .. SESSION_MS,
}

--- Two secured clusters of one authority; `on.old`, `on.new` are addresses.
local function secured(t)
  local dir = t.ok(sys.temporary_folder "tranship-secure")
  local pem, on, settings = {}, { old = {}, new = {}, dir = dir }, {}
  secure.certificates(dir, pem)
  for _, at in ipairs { "old", "new" } do
    for _, one in ipairs(secure.settings(dir, on[at])) do
      settings[#settings + 1] = at .. ":" .. one
    end
  end
  table.move(MORE, 1, #MORE, #settings + 1, settings)
  on.ca, on.other_ca, on.cert, on.key = pem.ca, pem.other_ca, pem.cert, pem.key
  local world = world_of.new(t, settings)
  for _, at in ipairs { "old", "new" } do -- what the test itself sees
    world[at] = cluster.new { name = at, bootstrap = on[at].plaintext,
      timeout_ms = 30000 }
  end
  return world, on
end

local function patiently(t, fn)
  local value, why
  for _ = 1, 5 do -- a young broker can lose a first request
    value, why = fn()
    if value ~= nil or not why.retriable then break end
  end
  return t.ok(value, why)
end

local function add_users(t, world)
  for _, at in ipairs { "old", "new" } do
    for user, mechanism in pairs { alice = "SCRAM-SHA-512", bob = "SCRAM-SHA-256" } do
      local password <close> = secret.new(PASSWORDS[user], user)
      patiently(t, function()
        return world[at]:alter_user { name = user, mechanism = mechanism,
          iterations = 4096, password = password }
      end)
    end
    for _ = 1, 200 do
      if #t.ok(world[at]:users()) == 2 then break end
      task.sleep(50)
    end
  end
end

local function scram(user, mechanism)
  return { kind = "scram", user = user, mechanism = mechanism,
    password = secret.new(PASSWORDS[user], user) }
end

local function ways(on)
  return {
    certificate = { listener = "ssl", login = { kind = "certificate",
      cert = on.cert, key = secret.new(on.key, "key") } },
    scram_512 = { listener = "sasl_ssl", login = scram "alice" },
    scram_256 = { listener = "sasl_ssl", login = scram("bob", "SCRAM-SHA-256") },
    plain = { listener = "sasl_ssl", login = { kind = "plain", user = "carol",
      password = secret.new(PASSWORDS.carol, "carol") } },
    token = { listener = "sasl_ssl", login = { kind = "token",
      command = { secure.token_command(on.dir, "tina", 60) } } },
  }
end

local function face(on, at, way)
  return cluster.new { name = at, bootstrap = on[at][way.listener], ca = on.ca,
    login = way.login, timeout_ms = 30000 }
end

--- Files and a process's arguments that hold any of the secrets.
local function leaks(t, world, on, pid)
  local needles = { "PRIVATE KEY" }
  for _, password in pairs(PASSWORDS) do needles[#needles + 1] = password end
  local found = {}
  local function look(what, text)
    for _, needle in ipairs(needles) do
      if text and text:find(needle, 1, true) then
        found[#found + 1] = what .. " holds " .. needle:sub(1, 5) .. ".."
      end
    end
  end
  if pid then
    local file <close> = t.ok(io.open(("/proc/%d/cmdline"):format(pid)))
    local line = file:read "a"
    t.match(line, "secrets%-on%-stdin")
    look("argv", line)
  end
  local files = t.ok(sys.run { "find", world.state, "-type", "f" }).stdout
  local count = 0
  for path in files:gmatch "[^\n]+" do
    count = count + 1
    look(path, sys.read_file(path))
  end
  t.ok(count > 0)
  for _, one in ipairs(t.ok(world.new:client("read"):topics())) do
    if one.name:find(record.topic_name "", 1, true) then
      for _, rec in ipairs((world:read(world.new, one.name, 0))) do
        look(one.name, (rec.key or "") .. (rec.value or ""))
      end
    end
  end
  t.equal(found, {})
  return on
end

--- One bridge by two ways to log in: copied, turned round, copied back.
local function bridge_by(t, world, on, from, to)
  local all = ways(on)
  local name = ("%s-%s"):format(from, to):gsub("_", ".")
  local topic = "apps." .. name
  world:create(world.old, { { name = topic, partitions = 2 } })
  for partition = 0, 1 do
    world:append(world.old, world.records(topic, partition, 0, 300),
      { codec = partition == 0 and "zstd" or "none" })
  end
  local old <close> = face(on, "old", all[from])
  local new <close> = face(on, "new", all[to])
  local road = world:bridge { name = name, from = old, to = new,
    topics = { topic } }
  world:reach(road:open())
  world:settle(road)
  leaks(t, world, on, t.ok(world:engine_pid(road)))
  if from == "certificate" then -- the machine is lost, and the next run opens
    world:kill_engine(road)
    t.ok(sys.remove(place.path(name, "json")))
    world:reach(road:open())
  end
  local answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  t.ok(road:turn({ topic }, { writer = new }))
  world:append(world.new, world.records(topic, 0, 300, 200))
  world:settle(road)
  answer = t.ok(road:same_records())
  t.ok(answer.ok, answer.text)
  for partition = 0, 1 do
    t.ok(world:must_be_same(topic, partition, true) >= 300)
  end
  world:reach(road:closed())
  t.note(name .. ": " .. answer.text)
end

--- Sessions of three seconds, and requests all the time.
local function sessions(t, world, on)
  local all = ways(on)
  world:create(world.old, { { name = "apps.busy", partitions = 4 } })
  local old <close> = face(on, "old", all.scram_512)
  local new <close> = face(on, "new", all.token)
  local road = world:bridge { name = "busy", from = old, to = new,
    topics = { "apps.busy" } }
  world:reach(road:open())
  local partitions, before = {}, #world:log(road)
  for partition = 0, 3 do partitions[partition + 1] = { "apps.busy", partition } end
  local stop = world:load(world.old, partitions, 20)
  task.sleep(4 * SESSION_MS) -- some four sessions of every connection
  local count = stop()
  world:settle(road)
  local seen = 0
  for partition = 0, 3 do
    seen = seen + world:must_be_same("apps.busy", partition, true)
  end
  t.equal(seen, count)
  local said = world:log(road):sub(before + 1)
  t.equal(said:find "warn", nil, said)
  t.equal(said:find "error", nil, said)
  world:reach(road:closed())
  t.note(("%d records over %d ms"):format(count, 4 * SESSION_MS))
end

--- What is wrong is named, without the secret.
local function refusals(t, on)
  local all = ways(on)
  local function refused(pattern, listener, spec)
    spec.name, spec.bootstrap, spec.ca = "old", on.old[listener], spec.ca or on.ca
    local one = side.new { name = "old", bootstrap = spec.bootstrap,
      login = login.wire(login.options(spec)), read_only = true }
    local seen, why = one:describe {}
    one:close()
    t.match(t.fails("auth", seen, why), pattern)
    t.equal(tostring(why):find("not-the-password", 1, true), nil)
    t.note(tostring(why))
  end
  local wrong <close> = secret.new("not-the-password", "p")
  for kind, mechanism in pairs { scram = "SCRAM%-SHA%-512", plain = "PLAIN" } do
    refused("login of alice by " .. mechanism, "sasl_ssl", { login = {
      kind = kind, user = "alice", password = wrong } })
  end
  refused("no.such.command", "sasl_ssl", { login = { kind = "token",
    command = { "/no/such/command" } } })
  refused("authority that is not in ca: CN=ca", "sasl_ssl", { ca = on.other_ca,
    login = all.plain.login })
  refused("client certificate", "ssl", {})
  local late = secure.expired(on.dir)
  refused("certificate %(CN=client%).* expired on", "ssl", { login = {
    kind = "certificate", cert = late.cert, key = secret.new(late.key, "late") } })
end

--- The certificate expires under a copying engine, brokers restart, it waits
-- and says why; a new one is put in its place, and it goes on by itself.
local function replaced(t, world, on)
  local files = { cert = on.dir .. "/own.pem", key = on.dir .. "/own.key" }
  local function put(cert, key)
    t.ok(sys.write_file(files.key, key, { mode = 384, atomic = true }))
    t.ok(sys.write_file(files.cert, cert, { atomic = true }))
  end
  put(on.cert, on.key)
  world:create(world.old, { { name = "apps.late" } })
  world:append(world.old, world.records("apps.late", 0, 0, 100))
  local way = { listener = "ssl", login = { kind = "certificate",
    cert = t.ok(secret.from_file(files.cert)),
    key = t.ok(secret.from_file(files.key)) } }
  local old <close> = face(on, "old", way)
  local new <close> = face(on, "new", ways(on).plain)
  local road = world:bridge { name = "late", from = old, to = new,
    topics = { "apps.late" } }
  world:reach(road:open())
  world:settle(road)
  local late = secure.expired(on.dir)
  put(late.cert, late.key)
  local function until_log(pattern)
    for _ = 1, 1200 do
      if world:log(road):find(pattern) then return end
      task.sleep(100)
    end
    t.fail("the log does not say " .. pattern .. "\n" .. world:log(road))
  end
  until_log "logs in with new credentials"
  t.ok(sys.run { "tests/world/cluster", "kill", world.dir .. "/old" })
  t.equal(t.ok(sys.run { "tests/world/cluster", "up", world.dir .. "/old" }).code, 0)
  until_log "expired on"
  put(on.cert, on.key)
  world:append(world.old, world.records("apps.late", 0, 100, 100))
  world:settle(road)
  t.equal(world:must_be_same("apps.late", 0, true), 200)
  world:reach(road:closed())
end

local BOOK = [[
runbook "secured" {}
local p = params {
  alice = a.secret { from = "file:%s/alice", help = "of old" },
  bob = a.secret { from = "file:%s/bob", help = "of old" },
  carol = a.secret { from = "file:%s/carol", help = "of new" },
  ca = a.secret { from = "file:%s/ca.pem", help = "of both" },
}
local old = cluster "old" { bootstrap = "%s", ca = p.ca, login = scram { "alice", p.alice } }
local new = cluster "new" { bootstrap = "%s", ca = p.ca, login = plain { "carol", p.carol } }
local road = bridge "booked" { from = old, to = new, topics = { "apps.booked" } }
step "1. Open the bridge" {
  ensure = road:open { as = scram { "bob", p.bob, mechanism = "SCRAM-SHA-256" } },
}
step "2. See it all" { verify = { road:lag { at_most = 0 }, road:same_records {} } }
]]

--- A whole run: nothing of it, journal and report included, holds a secret. The
-- engine logs in to the source as it was told, and can be started by hand.
local function whole_run(t, world, on)
  local dir, book = on.dir, on.dir .. "/secured.lua"
  for user, password in pairs(PASSWORDS) do
    t.ok(sys.write_file(dir .. "/" .. user, password .. "\n", { mode = 384 }))
  end
  t.ok(sys.write_file(book, BOOK:format(dir, dir, dir, dir, on.old.sasl_ssl,
    on.new.sasl_ssl)))
  world:create(world.old, { { name = "apps.booked" } })
  world:append(world.old, world.records("apps.booked", 0, 0, 100))
  local done = t.ok(sys.run { args = { sys.executable(), "run", book, "--yes" },
    stdin = "null", env = { TRANSHIP_STATE = world.state } })
  t.equal(done.code, 0, done.stdout .. done.stderr)
  for _, password in pairs(PASSWORDS) do
    t.equal((done.stdout .. done.stderr):find(password, 1, true), nil)
  end
  local all = ways(on)
  local old <close> = face(on, "old", all.scram_512)
  local new <close> = face(on, "new", all.plain)
  local road = world:bridge { name = "booked", from = old, to = new,
    topics = { "apps.booked" } }
  leaks(t, world, on, t.ok(world:engine_pid(road)))
  local config = t.ok(sys.read_file(place.path("booked", "json")))
  t.match(config, '"user":"bob"')
  t.ok(config:find('"password":"file:' .. dir .. '/bob"', 1, true), config)
  world:kill_engine(road)
  world:append(world.old, world.records("apps.booked", 0, 100, 100))
  world:start_engine(road) -- with no secrets but those in the files
  world:settle(road)
  t.equal(world:must_be_same("apps.booked", 0, true), 200)
  world:reach(road:closed())
end

--- Engines that share a bridge, each with logins and a member of the group of its
-- own, whose sessions end while it waits for the others.
local function in_group(t, world, on)
  local function file(name) return ("file:%s/%s"):format(on.dir, name) end
  local config, all = on.dir .. "/shared.json", {}
  t.ok(sys.write_file(config, json.encode { format = 1, name = "shared",
    from = { name = "old", bootstrap = on.old.sasl_ssl, ca = file "ca.pem",
      login = { kind = "scram", user = "alice", password = file "alice" } },
    to = { name = "new", bootstrap = on.new.sasl_ssl, ca = file "ca.pem",
      login = { kind = "plain", user = "carol", password = file "carol" } },
    topics = { "apps.shared" }, group = true, metrics = "off" }))
  world:create(world.old, { { name = "apps.shared", partitions = 4 } })
  local _ <close> = setmetatable({}, { __close = function()
    for _, one in ipairs(all) do
      sys.kill(one.process.pid, "KILL")
      one.process:close()
    end
  end })
  for index = 1, 2 do
    local log = ("%s/shared-%d.log"):format(world.state, index)
    all[index] = { log = log, process = t.ok(sys.spawn { args = {
      sys.executable(), "mirror", "--config", config, "--state", world.state },
      stdin = "null", stdout = log, stderr = log }) }
  end
  local function await_share(one, size)
    local deadline = task.now() + 60000
    while sys.read_file(one.log):match(".*gives (%d+) partitions")
      ~= tostring(size) do
      if task.now() > deadline then
        for _, other in ipairs(all) do t.note(sys.read_file(other.log)) end
        t.fail(("never a share of %d partitions"):format(size))
      end
      task.sleep(100)
    end
  end
  for _, one in ipairs(all) do await_share(one, 2) end
  local loaded = {}
  for n = 0, 3 do loaded[n + 1] = { "apps.shared", n } end
  local stop = world:load(world.old, loaded, 20)
  task.sleep(2 * SESSION_MS)
  sys.kill(all[1].process.pid, "KILL")
  await_share(all[2], 4)
  local count, found = stop(), 0
  local road = world:bridge { name = "shared", topics = { "apps.shared" } }
  world:settle(road)
  for n = 0, 3 do found = found + world:must_be_same("apps.shared", n, true) end
  t.equal(found, count)
  local said = sys.read_file(all[2].log)
  t.equal(said:find "AUTH", nil, said)
  sys.kill(all[2].process.pid, "TERM")
  t.equal(t.ok(all[2].process:wait()).code, 0, said)
  t.note(("%d records by two engines, one of which was killed"):format(count))
end

--- Started again by hand, an engine needs references, and says so.
local function by_hand(t, world)
  local path = place.path("certificate-scram.512", "json")
  local text = t.ok(sys.read_file(path))
  t.match(text, '"password":"given"')
  t.match(text, '"key":"given"')
  local done = t.ok(sys.run { args = { sys.executable(), "mirror", "--config",
    path, "--state", world.state }, stdin = "null" })
  t.equal(done.code, 3)
  t.match(done.stderr, "handed over by the run")
end

test("bridges between secured clusters", function(t)
  local world <close>, on = secured(t)
  local _ <close> = setmetatable({}, { __close = function()
    sys.run { "rm", "-rf", on.dir }
  end })
  add_users(t, world)
  bridge_by(t, world, on, "certificate", "scram_512")
  bridge_by(t, world, on, "scram_256", "plain")
  bridge_by(t, world, on, "token", "certificate")
  by_hand(t, world)
  whole_run(t, world, on)
  in_group(t, world, on)
  refusals(t, on)
  sessions(t, world, on)
  replaced(t, world, on)
  leaks(t, world, on)
end)
