-- The rig itself: that the API server, its controllers, the pods that are
-- processes and the knobs for bad weather do what the other tests rely on.
-- Nothing of tranship's own client is used here: kubectl and curl ask.
local test = ...
local json = require "vm.json"
local sys = require "vm.sys"
local kube = dofile "tests/support/kube.lua"

local world
local MAPS = "/api/v1/namespaces/default/configmaps"

local function code(path, options) return (world:request(path, options)) end

test("etcd, API server, controllers and pods start", function(t)
  world = kube.start()
  t.match(world:kubectl "version", "Server Version: v1%.36%.2")
end)

test("who one is: certificates, tokens, nobody", function(t)
  local admin, nobody = { user = "admin" }, { user = "nobody" }
  t.equal(code(MAPS, admin), 200, "a client certificate")
  t.equal(code(MAPS, { token = "admin-token" }), 200, "a token")
  t.equal(code(MAPS, { token = "wrong" }), 401, "a bad token")
  t.equal(code(MAPS, { user = "late" }), 401, "an expired certificate")
  t.equal(code(MAPS), 403, "nobody at all")
  t.equal(code("/api/v1/namespaces/default/secrets", nobody), 403)
  t.equal(code("/api/v1/namespaces/default/secrets",
    { token = "tranship-token" }), 403)
end)

test("RBAC grants what a Role says, and no more", function(t)
  world:kubectl("create", "role", "reader", "--verb=get,list",
    "--resource=secrets")
  world:kubectl("create", "rolebinding", "reader", "--role=reader",
    "--user=tranship")
  world:wait_for("right to list secrets", function()
    return code("/api/v1/namespaces/default/secrets",
      { token = "tranship-token" }) == 200
  end)
  t.equal(code(MAPS, { token = "tranship-token" }), 403)
end)

test("TokenRequest gives a token that knows itself", function(t)
  world:kubectl("create", "serviceaccount", "app")
  local token = world:kubectl("create", "token", "app", "--duration=10m")
  local _, me = world:request("/apis/authentication.k8s.io/v1/selfsubjectreviews",
    { method = "POST", token = token, body = json.encode {
      apiVersion = "authentication.k8s.io/v1", kind = "SelfSubjectReview" } })
  t.equal(json.decode(me).status.userInfo.username,
    "system:serviceaccount:default:app")
  local short = world:try_kubectl { "create", "token", "app", "--duration=9m" }
  t.match(short.stderr, "less than 10 minutes")
end)

test("server-side apply: conflicts name field and manager", function(t)
  local function apply(manager, value, more)
    return world:request(MAPS .. "/ssa?fieldManager=" .. manager .. (more or ""), {
      user = "admin", method = "PATCH", type = "application/apply-patch+yaml",
      body = json.encode { apiVersion = "v1", kind = "ConfigMap",
        metadata = { name = "ssa" }, data = { a = value } } })
  end
  t.equal(apply("one", "1"), 201)
  local status, body = apply("two", "2")
  t.equal(status, 409)
  local cause = json.decode(body).details.causes[1]
  t.equal({ cause.reason, cause.field }, { "FieldManagerConflict", ".data.a" })
  t.equal(apply("two", "2", "&force=true"), 200)
  t.equal(apply("two", "3", "&dryRun=All"), 200)
  t.equal(world:get("configmap", "ssa").data.a, "2", "after a dry run")
  t.equal(#world:audit { name = "ssa", verb = "patch", code = 409,
    user = "admin" }, 1, "conflicts in the audit log")
end)

test("refusals: a stale version 409, a bad name 422", function(t)
  local function send(method, path, name, version)
    return code(path, { user = "admin", method = method, body = json.encode {
      apiVersion = "v1", kind = "ConfigMap",
      metadata = { name = name, resourceVersion = version } } })
  end
  t.equal(send("PUT", MAPS .. "/ssa", "ssa", "1"), 409)
  t.equal(send("POST", MAPS, "Bad_Name"), 422)
end)

test("watches: events from a version, and the streaming list", function(t)
  local version = world:get("configmap", "ssa").metadata.resourceVersion
  world:kubectl("patch", "configmap", "ssa", "-p", '{"data":{"b":"x"}}')
  local _, events = world:request(MAPS .. "?watch=1&timeoutSeconds=1"
    .. "&resourceVersion=" .. version, { user = "admin" })
  local first = json.decode(events:match "^[^\n]+")
  t.equal({ first.type, first.object.metadata.name, first.object.data.b },
    { "MODIFIED", "ssa", "x" })
  _, events = world:request(MAPS .. "?watch=1&timeoutSeconds=1&sendInitialEvents=true"
    .. "&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
    { user = "admin" })
  t.match(events, '"k8s.io/initial%-events%-end":"true"')
  local _, page = world:request("/api/v1/namespaces?limit=1", { user = "admin" })
  t.ok(#json.decode(page).metadata.continue > 0)
end)

local WORKER = [[
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: s3cret}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 1
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      terminationGracePeriodSeconds: 20
      volumes: [{name: login, secret: {secretName: login}}]
      containers:
      - name: main
        image: none
        command: ["/bin/sh", "-c"]
        args:
        - |
          trap "exit 0" TERM
          echo "$ME with $PW and $(cat /etc/login/password)"
          while :; do sleep 0.1; done
        volumeMounts: [{name: login, mountPath: /etc/login}]
        env:
        - {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: PW, valueFrom: {secretKeyRef: {name: login, key: password}}}
]]

local function pids()
  local list = {}
  for _, pod in ipairs(json.decode(world:kubectl("get", "pods", "-l",
    "app=worker", "-o", "json")).items) do
    local status = (pod.status.containerStatuses or {})[1]
    local pid = status and status.ready
      and status.containerID:match "process://(%d+)"
    if pid then list[#list + 1] = math.tointeger(tonumber(pid)) end
  end
  return list
end

local function is_up(pid)
  local seen = sys.process(pid)
  return seen ~= nil and seen.state ~= "dead"
end

test("a Deployment's pods are processes: size, Secrets, logs", function(t)
  world:apply(WORKER)
  local one = world:wait_for("pod", function() return pids()[1] end)
  t.ok(is_up(one), "pid " .. one)
  local pod = world:kubectl("get", "pods", "-l", "app=worker", "-o", "name")
  t.equal(world:kubectl("logs", pod),
    pod:match "/(.*)" .. " with s3cret and s3cret")
  world:kubectl("scale", "deployment", "worker", "--replicas=3")
  local three = world:wait_for("three pods", function()
    local list = pids()
    return #list == 3 and list
  end)
  world:kubectl("patch", "deployment", "worker", "--subresource=scale",
    "--type=merge", "-p", '{"spec":{"replicas":0}}')
  world:wait_for("end of the pods", function()
    return world:kubectl("get", "pods", "-l", "app=worker", "-o", "name") == ""
  end)
  for _, pid in ipairs(three) do t.ok(not is_up(pid), pid .. " is still there") end
end)

test("a pod that ends is started again; one that cannot start says so", function(t)
  world:apply { {
    apiVersion = "v1", kind = "Pod", metadata = { name = "ends" },
    spec = { containers = { { name = "main", image = "none",
      command = { "/bin/false" } } } },
  }, {
    apiVersion = "v1", kind = "Pod", metadata = { name = "cannot" },
    spec = { containers = { { name = "main", image = "none",
      command = { "/no/such/program" } } } },
  } }
  local function status(name)
    return ((world:get("pod", name).status.containerStatuses or {})[1]) or {}
  end
  world:wait_for("second start", function()
    return (status "ends".restartCount or 0) >= 1
  end)
  local waiting = world:wait_for("reason", function()
    return (status "cannot".state or {}).waiting
  end)
  t.equal(waiting.reason, "RunContainerError")
  t.match(waiting.message, "No such file")
  world:kubectl("delete", "pod", "ends", "cannot", "--grace-period=0", "--force")
end)

test("killed in the middle, the API server comes back with its state", function(t)
  world:signal("apiserver", "KILL")
  world:up()
  t.equal(world:get("configmap", "ssa").data.b, "x")
  world:signal("apiserver", "STOP")
  local halted = sys.run { "curl", "-s", "-m", "1", "-k", world.server .. "/readyz" }
  world:signal("apiserver", "CONT")
  t.equal(halted.code, 28, "curl's timeout")
end)

test("with compaction an old version is gone: one line with 410", function(t)
  world:restart { api = { "--etcd-compaction-interval=2s" } }
  local gone = world:wait_for("410", function()
    world:kubectl("annotate", "configmap", "ssa", "x=" .. sys.hex(sys.random(4)),
      "--overwrite")
    local status, events = world:request(MAPS
      .. "?watch=1&timeoutSeconds=1&resourceVersion=1", { user = "admin" })
    return status == 200 and events:find '"code":410' and events
  end)
  t.match(gone, '^{"type":"ERROR"')
end)

test("bad certificates stand ready behind names of their own", function(t)
  local function why(name)
    return sys.run { "curl", "-sS", "-m", "10", "--cacert",
      world.dir .. "/pki/ca.crt", "--connect-to", "::" .. world.server:match "//(.*)",
      "https://" .. name .. "/readyz" }.stderr
  end
  t.match(why "expired.test", "expired")
  t.match(why "future.test", "not yet valid")
  t.match(why "stranger.test", "unable to get local issuer")
  t.match(why "other.test", "no alternative certificate subject name")
end)

test("Strimzi's definitions serve v1beta2 and v1", function(t)
  world:up { strimzi = "0.51.0" }
  local served = world:kubectl("get", "crd", "kafkas.kafka.strimzi.io", "-o",
    "jsonpath={.spec.versions[?(@.served)].name}")
  t.equal({ served:find "v1beta2" ~= nil, served:find "v1%f[%s\0]" ~= nil },
    { true, true }, served)
end)

test("the world ends, and all it started with it", function(t)
  local server = world.server:match "//(.*)"
  world:stop()
  t.equal(sys.stat(world.dir), nil)
  local host, port = server:match "(.*):(.*)"
  t.equal(sys.probe_tcp(host, math.tointeger(tonumber(port)), 1000), nil)
end)
