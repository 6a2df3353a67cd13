-- Bad input and bad weather of the client, on a real API server: certificates
-- that are wrong in each way, logins and rights that are refused, a server that
-- is stopped, slow or gone in the middle of a request.
local test = ...
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local kubernetes = require "kube.kubernetes"
local world_of = dofile "tests/support/kube.lua"

local function check(value, why)
  if value == nil then error(debug.traceback(tostring(why), 2), 0) end
  return value
end

--- A kubeconfig with other fields for cluster and user.
local function config(world, name, cluster, user)
  local base = { server = world.server,
    ["certificate-authority"] = world.dir .. "/pki/ca.crt" }
  for key, value in pairs(cluster or {}) do base[key] = value or nil end
  for key, value in pairs(cluster or {}) do
    if value == false then base[key] = nil end
  end
  local path = world.dir .. "/" .. name .. ".test.kubeconfig"
  check(sys.write_file(path, json.encode {
    apiVersion = "v1", kind = "Config", ["current-context"] = "x",
    clusters = { { name = "c", cluster = base } },
    users = { { name = "u", user = user or { token = "admin-token" } } },
    contexts = { { name = "x", context = { cluster = "c", user = "u" } } },
  }))
  return kubernetes.new { name = name, kubeconfig = path }
end

local cases = {}

function cases.certificates(t, world)
  for name, text in pairs {
    ["expired.test"] = "expired", ["future.test"] = "not yet valid",
    ["stranger.test"] = "unable to get local issuer",
    ["other.test"] = "no alternative certificate subject name",
  } do
    local kube <close> = config(world, name, { ["tls-server-name"] = name })
    local none, why = kube:find("ns", "default")
    t.fails("auth", none, why)
    t.match(tostring(why), text)
    t.ok(tostring(why):find(world.server, 1, true), "no server named")
  end
  local named <close> = config(world, "named", { ["tls-server-name"] = "localhost" })
  check(named:get("ns", "default"))
  local stranger <close> = config(world, "stranger",
    { ["certificate-authority"] = world.dir .. "/pki/stranger-ca.crt" })
  t.fails("auth", stranger:find("ns", "default"))
  -- Of several authorities in one file any may have signed.
  check(sys.write_file(world.dir .. "/bundle.crt",
    world:pem "stranger-ca.crt" .. world:pem "ca.crt"))
  local bundle <close> = config(world, "bundle",
    { ["certificate-authority"] = "bundle.crt" })
  check(bundle:get("ns", "default"))
  local trusting <close> = config(world, "trusting",
    { ["certificate-authority"] = false, ["insecure-skip-tls-verify"] = true })
  check(trusting:get("ns", "default"))
  t.match(trusting:warnings()[1], "whoever answers at .* is trusted")
end

function cases.logins(t, world)
  local wrong <close> = config(world, "wrong", nil, { token = "wr0ng-t0ken-here" })
  local none, why = wrong:find("ns", "default")
  t.fails("auth", none, why)
  t.equal(why.code, 401)
  t.ok(not tostring(why):find("wr0ng", 1, true), "the token is shown")
  local late <close> = kubernetes.new { name = "late",
    kubeconfig = world:config_of "late" }
  none, why = late:find("ns", "default")
  t.fails("auth", none, why)
  t.match(tostring(why), "late%.kubeconfig:%d+: user 'late': the client certificate expired on")
  local mixed <close> = config(world, "mixed", nil, {
    ["client-certificate"] = world.dir .. "/pki/admin.crt",
    ["client-key"] = world.dir .. "/pki/nobody.key" })
  none, why = mixed:find("ns", "default")
  t.fails("invalid", none, why)
  t.match(tostring(why), "does not belong to the certificate")
  local memory <close> = config(world, "memory", nil, {
    ["client-certificate-data"] = world:kubectl("config", "view", "--raw",
      "--flatten", "-o", "jsonpath={.users[0].user.client-certificate-data}"),
    ["client-key-data"] = world:kubectl("config", "view", "--raw",
      "--flatten", "-o", "jsonpath={.users[0].user.client-key-data}") })
  check(memory:get("ns", "default"))
end

function cases.rights(t, world)
  local nobody <close> = kubernetes.new { name = "nobody",
    kubeconfig = world:config_of "nobody" }
  for _, try in ipairs {
    { 'cannot get resource "secrets" in API group "" in the namespace "default"',
      nobody.get, "secret", "x" },
    { 'cannot list resource "deployments" in API group "apps"', nobody.list, "deploy" },
    { 'cannot get resource "deployments/scale"', nobody.scale, "deploy", "x", 1 },
  } do
    local none, why = try[2](nobody, table.unpack(try, 3))
    t.fails("denied", none, why)
    t.ok(tostring(why):find(try[1], 1, true), tostring(why))
  end
  t.fails("not found", nobody:list "Kafka")
end

function cases.ending_namespace(t, world, kube)
  world:kubectl("create", "ns", "ending")
  world:kubectl("delete", "ns", "ending", "--wait=false")
  local none, why = kube:apply { apiVersion = "v1", kind = "ConfigMap",
    metadata = { name = "late", namespace = "ending" } }
  t.fails("conflict", none, why)
  t.match(tostring(why), "being terminated")
end

--- Everybody's wait ends when the server does not answer; what only reads goes
-- on when it does again, what changes is sent once and said to be in doubt.
function cases.stopped(t, world, kube)
  world:signal("apiserver", "STOP")
  local hasty <close> = kubernetes.new { name = "hasty",
    kubeconfig = world.kubeconfig, timeout_ms = 400 }
  local slow = task.spawn(function() return hasty:find("ns", "default") end)
  local writes = task.spawn(function()
    return kube:_send("write", { method = "POST", within_ms = 400,
      path = "/api/v1/namespaces/default/configmaps", doing = "create it",
      body = { apiVersion = "v1", kind = "ConfigMap",
        metadata = { name = "doubtful" } } })
  end)
  local _, none, why = writes:join()
  t.fails("timeout", none, why)
  t.equal(slow:is_done(), false)
  world:signal("apiserver", "CONT")
  local _, there, failed = slow:join()
  check(there, failed)
end

function cases.gone(t, world, kube)
  local watching <close> = check(kube:watch("ns", {}))
  check(watching:next(20000))
  world:signal("apiserver", "KILL")
  local none, why = kube:_send("read", { path = "/api", doing = "look",
    within_ms = 700 })
  t.fails("unavailable", none, why)
  t.match(tostring(why), "gave up after %d+ tries")
  local reading = task.spawn(function() return kube:get("ns", "default") end)
  world:up()
  local _, there, failed = reading:join()
  check(there, failed)
end

function cases.logs(t, world, kube)
  local none, why = kube:logs "nothing"
  t.fails("not found", none, why)
  local answer = check(kube:token("tester", { seconds = 600 }))
  t.equal(require "vm.secret".is(answer.token), true)
  local as_account <close> = check(require "vm.kube".open {
    kubeconfig = world.kubeconfig })
  t.fails("not found", kube:token "no-such-account")
  t.equal(as_account:is_read_only(), false)
  check(kube:create({ apiVersion = "v1", kind = "ConfigMap",
    metadata = { name = "w" }, dtaa = {} }, { lenient = true }))
  t.match(table.concat(kube:warnings(), "; "), 'unknown field "dtaa"')
end

test("weather", function(t)
  world_of.with(function(world)
    local kube <close> = kubernetes.new { name = "k", kubeconfig = world.kubeconfig }
    world:kubectl("create", "serviceaccount", "tester")
    for _, name in ipairs { "certificates", "logins", "rights",
      "ending_namespace", "logs", "stopped", "gone" } do
      local ok, why = xpcall(cases[name], function(raised)
        return debug.traceback(type(raised) == "table" and raised.message
          or tostring(raised))
      end, t, world, kube)
      if not ok then error(name .. ": " .. why, 0) end
    end
  end, { parts = { "etcd", "apiserver" } })
end)
