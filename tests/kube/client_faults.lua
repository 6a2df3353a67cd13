-- What comes between a client and a real API server: an old server, proxies,
-- connections that are reset, closed by GOAWAY, cut in the middle of a line,
-- too many requests (by the server's own priority and fairness), groups whose
-- own server is away; and pods' logs, followed.
local test = ...
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local kubernetes = require "kube.kubernetes"
local world_of = dofile "tests/support/kube.lua"

local LONG_MS = 60000

local function check(value, why)
  if value == nil then error(debug.traceback(tostring(why), 2), 0) end
  return value
end

--- A client of `server`, whose kubeconfig says more of the cluster.
local function client(world, name, server, more)
  local fields = { server = server }
  for key, value in pairs(more or {}) do fields[key] = value end
  local path = world.dir .. "/" .. name .. ".test.kubeconfig"
  check(sys.write_file(path, json.encode {
    apiVersion = "v1", kind = "Config", ["current-context"] = "x",
    clusters = { { name = "c", cluster = fields } },
    users = { { name = "u", user = { token = name == "tranship"
      and "tranship-token" or "admin-token" } } },
    contexts = { { name = "x", context = { cluster = "c", user = "u" } } },
  }))
  return kubernetes.new { name = name, kubeconfig = path, calls_at_once = 40 }
end

local function config_map(name, value)
  return { apiVersion = "v1", kind = "ConfigMap", metadata = { name = name },
    data = { v = value } }
end

local cases = {}

--- Discovery one group after the other, and one of them has no server now.
function cases.old_server(t, world, weather)
  world:apply { apiVersion = "apiregistration.k8s.io/v1", kind = "APIService",
    metadata = { name = "v1.away.test" }, spec = { group = "away.test",
      version = "v1", groupPriorityMinimum = 100, versionPriority = 100,
      insecureSkipTLSVerify = true,
      service = { name = "nobody", namespace = "default" } } }
  weather.set "old"
  local old <close> = client(world, "old", weather.address)
  local new <close> = client(world, "new", weather.address)
  local begun = task.now()
  for _, text in ipairs { "Deployment", "cm", "apps/v1/StatefulSet", "roles",
    "hpa", "v1/Secret", "clusterroles.rbac.authorization.k8s.io" } do
    weather.set "old"
    local seen = check(old:kind(text))
    weather.set ""
    local other = check(new:kind(text))
    for _, field in ipairs { "group", "version", "kind", "plural", "namespaced",
      "verbs", "subresources" } do
      t.equal(seen[field], other[field], text .. ": " .. field)
    end
  end
  t.ok(task.now() - begun < LONG_MS, "a group without a server holds it up")
  t.equal(check(old:kind "deploy").subresources.scale, true)
  t.fails("not found", old:kind "Deploymint")
  check(old:apply(config_map("by-old", "1")))
  world:kubectl("delete", "apiservice", "v1.away.test")
end

--- HTTP/2: what is asked at once goes through one connection. This server may end
-- one after any request (GOAWAY), so several clients are tried.
local function one_connection(t, world, weather, cluster)
  local made
  for number = 1, 20 do
    local kube <close> = client(world, "at-once-" .. number, world.server, cluster)
    local before, many = weather.tunnels(), {}
    for i = 1, 6 do many[i] = function() return kube:get("ns", "default") end end
    check(kube:get("ns", "default"))
    check(task.together(many))
    made = weather.tunnels() - before
    if made == 1 then break end
  end
  t.equal(made, 1, "connections for six requests at once")
end

function cases.proxies(t, world, weather)
  local ca = { ["certificate-authority"] = world.dir .. "/pki/ca.crt",
    ["proxy-url"] = weather.address }
  local through <close> = client(world, "through", world.server, ca)
  local before = weather.tunnels()
  check(through:get("ns", "default"))
  t.ok(weather.tunnels() > before, "it went past the proxy")
  one_connection(t, world, weather, ca)
  ca["proxy-url"] = "http://127.0.0.1:9"
  local nowhere <close> = client(world, "nowhere", world.server, ca)
  local none, why = nowhere:_send("read", { path = "/api", doing = "look",
    within_ms = 500 })
  t.fails("unavailable", none, why)
  t.match(tostring(why), "127.0.0.1 port 9")
end

--- GOAWAY: the server ends connections that are in use, and nobody notices.
function cases.goaway(t, world, weather)
  local kube <close> = client(world, "goaway", world.server, {
    ["certificate-authority"] = world.dir .. "/pki/ca.crt",
    ["proxy-url"] = weather.address })
  local watch <close> = check(kube:watch("cm", { labels = "goaway" }))
  repeat local event = check(watch:next(LONG_MS)) until event.type == "SYNCED"
  local before, rounds = weather.tunnels(), 0
  while weather.tunnels() < before + 3 and rounds < 40 do
    rounds = rounds + 1
    local many = {}
    for i = 1, 40 do
      many[i] = function() return kube:get("ns", "default") end
    end
    check(task.together(many))
    local one = config_map("goaway-" .. rounds, "1")
    one.metadata.labels = { goaway = "yes" }
    check(kube:apply(one))
    local event = check(watch:next(LONG_MS))
    t.equal(event.object.metadata.name, "goaway-" .. rounds)
  end
  t.ok(weather.tunnels() >= before + 3, "no connection was ended")
  t.note(("%d connections for %d requests"):format(weather.tunnels() - before + 1,
    41 * rounds))
end

--- Connections reset before and after a request got through.
function cases.resets(t, world, weather)
  local kube <close> = client(world, "resets", weather.address)
  check(kube:kind "cm")
  for _, fault in ipairs { "refuse 3", "reset 3" } do
    weather.set(fault)
    for i = 1, 6 do
      check(kube:get("ns", "default"))
      check(kube:apply(config_map("reset-" .. i, fault)))
    end
  end
  t.equal(world:get("configmap", "reset-6").data.v, "reset 3")
  -- What may have been done is not done a second time.
  weather.set "reset 1"
  local none, why = kube:_send("write", { method = "POST", doing = "create it",
    path = "/api/v1/namespaces/default/configmaps", body = config_map("once", "1") })
  t.fails("closed", none, why)
  t.match(tostring(why), "^create it: http: http://127.0.0.1:%d+: the connection was lost")
  t.equal(#world:audit { verb = "create", resource = "configmaps",
    name = "once" }, 1)
  -- A gateway's 502 and a 429 are waited out.
  weather.set("busy 1", "gateway 1")
  local begun = task.now()
  check(kube:get("ns", "default"))
  t.ok(task.now() - begun >= 1000, "Retry-After was not heeded")
  weather.set ""
end

--- Watches that end in the middle of a line, again and again.
function cases.half_lines(t, world, weather)
  local kube <close> = client(world, "half", weather.address)
  weather.set "cut 2000"
  local watch <close> = check(kube:watch("cm", { labels = "half" }))
  repeat local event = check(watch:next(LONG_MS)) until event.type == "SYNCED"
  local before = #world:audit { verb = "watch", resource = "configmaps" }
  for i = 1, 8 do -- two or three lines of it fit into what is not cut
    local one = config_map("half-" .. i, ("x"):rep(50 * i))
    one.metadata.labels = { half = "yes" }
    world:apply(one)
    local event = check(watch:next(LONG_MS))
    t.equal({ event.type, event.object.metadata.name, #event.object.data.v },
      { "ADDED", "half-" .. i, 50 * i })
  end
  t.ok(#world:audit { verb = "watch", resource = "configmaps" } > before,
    "it was never cut")
end

local FAIRNESS = { {
  apiVersion = "flowcontrol.apiserver.k8s.io/v1",
  kind = "PriorityLevelConfiguration", metadata = { name = "one" },
  spec = { type = "Limited", limited = { nominalConcurrencyShares = 1,
    lendablePercent = 0, borrowingLimitPercent = 0,
    limitResponse = { type = "Reject" } } } }, {
  apiVersion = "flowcontrol.apiserver.k8s.io/v1", kind = "FlowSchema",
  metadata = { name = "one" }, spec = { matchingPrecedence = 10,
    priorityLevelConfiguration = { name = "one" }, rules = { {
      subjects = { { kind = "User", user = { name = "tranship" } } },
      resourceRules = { { verbs = { "*" }, apiGroups = { "*" },
        resources = { "*" }, namespaces = { "*" }, clusterScope = true } } } } } } }

--- The server's own 429, of priority and fairness.
function cases.too_many(t, world)
  world:apply(FAIRNESS)
  world:kubectl("create", "clusterrolebinding", "reads",
    "--clusterrole=cluster-admin", "--user=tranship")
  world:apply(config_map("full", ("x"):rep(100000)))
  local kube <close> = client(world, "tranship", world.server,
    { ["certificate-authority"] = world.dir .. "/pki/ca.crt" })
  check(kube:kind "cm")
  local function refused()
    return #world:audit { user = "tranship", code = 429 }
  end
  local rounds = 0
  repeat
    rounds = rounds + 1
    local many = {}
    for i = 1, 20 do
      many[i] = function() return kube:get("cm", "full") end
    end
    for _, one in ipairs(check(task.together(many))) do
      t.equal(#one.data.v, 100000)
    end
  until refused() > 0 or rounds == 20
  t.ok(refused() > 0, "nobody was refused")
  t.note(refused() .. " times 429")
end

function cases.logs(t, world)
  world:apply { apiVersion = "v1", kind = "ServiceAccount",
    metadata = { name = "default" } } -- nobody makes one here
  world:apply { apiVersion = "v1", kind = "Pod", metadata = { name = "talks" },
    spec = { restartPolicy = "Never", terminationGracePeriodSeconds = 1,
      containers = { { name = "main", image = "none", command = { "/bin/sh",
        "-c", "echo one; echo two; until [ -e go ]; do sleep 0.1; done; "
        .. "echo three; printf four" } } } } }
  local kube <close> = kubernetes.new { name = "k", kubeconfig = world.kubeconfig }
  world:wait_for("words", function()
    return (kube:logs "talks" or ""):find "two"
  end)
  t.equal(check(kube:logs("talks", { tail = 1 })), "two\n")
  local log <close> = check(kube:follow_logs("talks", { tail = 2 }))
  t.equal(check(log:next(LONG_MS)), "one")
  t.equal(check(log:next(LONG_MS)), "two")
  t.fails("timeout", log:next(300))
  local folder = sys.run { "sh", "-c", "echo " .. world.dir .. "/pods/*talks*" }
  check(sys.write_file(folder.stdout:gsub("%s+$", "") .. "/go", ""))
  t.equal(check(log:next(LONG_MS)), "three")
  t.equal(check(log:next(LONG_MS)), "four")
  t.equal(log:next(LONG_MS), false)
  t.fails("not found", kube:follow_logs "nobody")
end

local ALL = "old_server proxies goaway resets half_lines too_many logs"

test("faults", function(t)
  world_of.with(function(world)
    local weather <close> = world:weather()
    for name in (sys.env "CASES" or ALL):gmatch "%S+" do
      local begun = task.now()
      local ok, why = xpcall(cases[name], function(raised)
        return debug.traceback(type(raised) == "table" and raised.message
          or tostring(raised))
      end, t, world, weather)
      t.note(("%s: %d ms"):format(name, task.now() - begun))
      if not ok then error(name .. ": " .. why, 0) end
      weather.set ""
    end
  end, { parts = { "etcd", "apiserver", "pods" }, api = { "--goaway-chance=0.02",
    "--max-requests-inflight=6", "--max-mutating-requests-inflight=4" } })
end)
