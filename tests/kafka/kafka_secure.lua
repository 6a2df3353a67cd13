-- Logging in by every way that is built, being refused, and what one may do.
local test = ...
local secret = require "vm.secret"
local cluster = require "kafka.cluster"
local secure = dofile "tests/support/secure.lua"

local function check(value, why)
  if value == nil then error(debug.traceback(tostring(why), 2), 0) end
  return value
end

--- A cluster face; login as scripts write it, passwords as secrets.
local function face(name, bootstrap, spec)
  spec = spec or {}
  spec.name, spec.bootstrap = name, bootstrap
  spec.settings = { ["reconnect.backoff.max.ms"] = 200 }
  spec.timeout_ms = spec.timeout_ms or 60000
  return cluster.new(spec)
end

local function scram(user, password, mechanism)
  return { kind = "scram", user = user, mechanism = mechanism,
    password = secret.new(password, user) }
end

local function plain(user, password)
  return { kind = "plain", user = user, password = secret.new(password, user) }
end

--- Repeats what may succeed later: a young broker can lose a first request.
local function patiently(fn)
  local value, why
  for _ = 1, 5 do
    value, why = fn()
    if value ~= nil or not why.retriable then break end
  end
  return check(value, why)
end

local function add_users(on)
  local admin <close> = face("admin", on.plaintext, { timeout_ms = 15000 })
  for _, user in ipairs { { "admin", "SCRAM-SHA-512" }, { "alice", "SCRAM-SHA-512" },
    { "bob", "SCRAM-SHA-256" } } do
    local password <close> = secret.new(user[1] .. "-pw", user[1])
    patiently(function()
      return admin:alter_user { name = user[1], mechanism = user[2],
        iterations = 4096, password = password }
    end)
  end
  check(admin:create_topic { name = "apps.a", partitions = 1 })
  patiently(function()
    return admin:alter_group_offsets("billing",
      { { topic = "apps.a", partition = 0, offset = 0 } })
  end)
  -- Brokers learn of users a moment later.
  for _ = 1, 100 do
    local users = check(admin:users())
    if #users == 3 then break end
    require "vm.task".sleep(50)
  end
end

local function logins(t, on)
  local key = secret.new(on.key, "key")
  local ways = {
    tls_scram_512 = { on.sasl_ssl, { ca = on.ca, login = scram("alice", "alice-pw") } },
    tls_scram_256 = { on.sasl_ssl,
      { ca = on.ca, login = scram("bob", "bob-pw", "SCRAM-SHA-256") } },
    scram_512 = { on.sasl_plaintext, { login = scram("alice", "alice-pw") } },
    scram_256 = { on.sasl_plaintext,
      { login = scram("bob", "bob-pw", "SCRAM-SHA-256") } },
    plain = { on.sasl_plaintext, { login = plain("carol", "carol-pw") } },
    tls_plain = { on.sasl_ssl, { ca = on.ca, login = plain("carol", "carol-pw") } },
    certificate = { on.ssl, { ca = on.ca,
      login = { kind = "certificate", cert = on.cert, key = key } } },
  }
  local _ <close> = key
  for name, way in pairs(ways) do
    local one <close> = face(name, way[1], way[2])
    local id, why = one:id()
    t.equal(id, "MkU3OEVBNTcwNTJENDM2Qg", name .. ": " .. tostring(why))
    if way[2].login.password then way[2].login.password:close() end
  end
end

local function refusals(t, on)
  local function refused(kind, pattern, bootstrap, spec)
    local one <close> = face("refused", bootstrap, spec)
    local began = require "vm.task".now()
    t.match(t.fails(kind, one:id()), pattern)
    t.ok(require "vm.task".now() - began < 50000, "a refusal is no timeout")
    local password = spec.login and spec.login.password
    if password then password:close() end
  end
  refused("auth", "[Aa]uthentication failed", on.sasl_plaintext,
    { login = scram("alice", "wrong-pw") })
  refused("auth", "[Aa]uthentication failed", on.sasl_plaintext,
    { login = plain("carol", "wrong-pw") })
  refused("auth", "certificate verify failed", on.sasl_ssl,
    { ca = on.other_ca, login = scram("alice", "alice-pw") })
  refused("auth", "SSL", on.ssl, { ca = on.ca })
end

local function rights(t, on)
  local admin <close> = face("admin", on.plaintext)
  local password = secret.new("alice-pw", "alice")
  local _ <close> = password
  local alice <close> = face("old", on.sasl_plaintext, { login = {
    kind = "scram", user = "alice", password = password } })
  t.ok(check(admin:rights { "mirror", "create topics" }).ok)
  local answer = check(alice:rights { "create topics", "alter acls" })
  t.ok(not answer.ok)
  t.match(answer.text, "old: may not alter, create, describe on the cluster")
  t.equal(check(alice:topics()), {})
  t.match(t.fails("denied", alice:create_topic { name = "mine" }), "^kafka: mine on old: ")
  t.match(t.fails("denied", alice:acls()), "^kafka: old: ACLs need the right")
  t.match(t.fails("denied", alice:configs { "hers" }), "^kafka: old: settings of hers: ")
  t.fails("denied", alice:users())
  t.fails("denied", alice:alter_user { name = "mallory", password = "pw" })
  t.fails("denied", alice:create_acls { { resource_type = "topic",
    name = "apps.a", principal = "User:alice", operation = "read" } })
  t.fails("denied", alice:delete_acls { { resource_type = "topic",
    name = "apps.a", principal = "User:alice", operation = "read" } })
  t.fails("denied", alice:alter_config("apps.a", { set = {} }))
  t.fails("denied", alice:delete_topic "apps.a")
  t.fails("denied", alice:delete_group "billing")
  t.fails("denied", alice:group_offsets "billing")

  local function allow(resource, name, operation)
    check(admin:create_acls { { resource_type = resource, name = name,
      principal = "User:alice", operation = operation } })
  end
  allow("topic", "apps.a", "read")
  allow("group", "billing", "describe")
  allow("cluster", "kafka-cluster", "create")
  allow("cluster", "kafka-cluster", "describe")
  answer = check(alice:rights { "mirror" })
  t.match(answer.text, "old: may not alter on the cluster; "
    .. "delete, describe_configs, write on topic apps.a; "
    .. "read on group billing")
  t.ok(check(alice:rights { "create topics", "read topics", "read offsets" }).ok)
  t.equal(#check(alice:group_offsets "billing"), 1)
  t.equal(#check(alice:acls()), 4)
  t.ok(check(alice:reachable()).ok)
  local safely <close> = face("old", on.sasl_ssl, { ca = on.ca, login = {
    kind = "scram", user = "alice", password = password } })
  answer = check(safely:reachable())
  t.ok(answer.ok, answer.text)
  t.match(answer.seen["1"], "answers, as CN=server, until 20")
  answer = check(safely:reachable { certificates = "9d" })
  t.match(answer.text, "its certificate %(CN=server%) ends on")
end

test("every login works, wrong ones are refused at once, rights are told",
  function(t)
    secure.with(function(on)
      add_users(on)
      logins(t, on)
      refusals(t, on)
      rights(t, on)
    end)
  end)
