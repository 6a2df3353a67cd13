-- Workloads that are Deployments: real API server and controllers, pods that are
-- processes, real consumers of a real broker. The API server's audit log says
-- what was sent.
local test = ...
local context = require "base.context"
local kubernetes = require "kube.kubernetes"
local sys = require "vm.sys"
local cluster_of = require "kafka.cluster".new
local workload = require "app.workload"
local broker = dofile "tests/support/broker.lua"
local kube = dofile "tests/support/kube.lua"

local APPS = sys.executable():match "^(.*)/" .. "/apps"
local TOPIC = "greetings"
local world, node, on, old, new

local function named(name)
  return cluster_of { name = name, bootstrap = node.address, on = on }
end

--- A Deployment (or what `kind` says) of one of the world's programs.
local function deployment(name, command, more)
  local pod = { terminationGracePeriodSeconds = 20, containers = { {
    name = "main", image = "none", command = command } } }
  local object = {
    apiVersion = "apps/v1", kind = "Deployment", metadata = { name = name },
    spec = { replicas = 0, selector = { matchLabels = { app = name } },
      template = { metadata = { labels = { app = name } }, spec = pod } },
  }
  for field, value in pairs(more or {}) do object.spec[field] = value end
  return object
end

local function consumer(name)
  return { APPS .. "/consumer", "--bootstrap", node.address, "--cluster", "old",
    "--group", "greeter", "--from", TOPIC, "--reset", "earliest", "--trail",
    world.dir .. "/" .. name .. ".trail" }
end

local function pods(name)
  return world:kubectl("get", "pods", "-l", "app=" .. name, "-o", "name")
end

local function writes(name)
  local list = {}
  for _, event in ipairs(world:audit { name = name, agent = "^tranship" }) do
    if event.verb ~= "get" then list[#list + 1] = event end
  end
  return list
end

test("an API server and a broker start", function(t)
  world = kube.start()
  node = broker.start()
  node:topic(TOPIC, 3)
  on = kubernetes.new { name = "here", kubeconfig = world.kubeconfig }
  old, new = named "old", named "new"
  world:apply(deployment("reader", consumer "reader"))
  t.ok(true)
  old:close() new:close() on:close()
end)

local function reader(more)
  local fields = { name = "reader", group = "greeter", reads = TOPIC,
    deployment = more or { "reader", size = 2 } }
  return workload.new(fields)
end

local function let_go() old:close() new:close() on:close() end

test("start: the declared size, ready, and its members in the group", function(t)
  local w = reader()
  t.ok(not t.ok(w:runs_on(old)).ok)
  t.ok(w:start { on = old })
  t.equal(world:get("deployment", "reader").status.readyReplicas, 2)
  local ready = t.ok(w:ready { on = old, within = "60s" })
  t.ok(ready.ok, ready.text)
  t.equal(w:status(old), { running = true, size = 2 })
  local sent = writes "reader"
  t.equal(#sent, 1, "requests that change")
  t.equal({ sent[1].verb, sent[1].objectRef.subresource,
    sent[1].requestObject.spec.replicas }, { "patch", "scale", 2 })
  t.ok(sent[1].requestObject.metadata.resourceVersion, "a precondition")
  t.match(sent[1].requestURI, "fieldManager=tranship")
  let_go()
end)

test("stop: no pod is left, the group is empty, the size was seen", function(t)
  local w = reader()
  local before = t.ok(w:baseline())
  t.equal(before.clusters.old, nil, "nobody named a cluster yet")
  w:known_clusters { old }
  t.equal(t.ok(w:baseline()).clusters.old.size, 2)
  t.ok(w:stop { on = old, within = "60s" })
  t.equal(pods "reader", "")
  t.ok(t.ok(w:stopped_on(old)).ok)
  t.ok(w:stop { on = old })                     -- again: nothing to do
  t.equal(#writes "reader", 2)
  let_go()
end)

test("the size is what the run began with, never what it stopped", function(t)
  local w = reader "reader"
  w:known_clusters { old }
  context.get().baseline = { workloads = { reader = { clusters = {
    old = { running = true, size = 3 } } } } }
  local restore <close> = setmetatable({}, { __close = function()
    context.get().baseline = nil
  end })
  t.ok(w:start { on = old })
  t.equal(world:get("deployment", "reader").spec.replicas, 3)
  t.ok(w:stop { on = old, within = "60s" })
  context.get().baseline = nil
  t.match(t.fails("invalid", w:start { on = old }), "size = 1")
  let_go()
end)

--- KEDA's kind, with as much of its schema as is looked at here.
local SCALED_OBJECTS = { apiVersion = "apiextensions.k8s.io/v1",
  kind = "CustomResourceDefinition", metadata = { name = "scaledobjects.keda.sh" },
  spec = { group = "keda.sh", scope = "Namespaced", names = {
    kind = "ScaledObject", plural = "scaledobjects" }, versions = { {
      name = "v1alpha1", served = true, storage = true, schema = {
        openAPIV3Schema = { type = "object", properties = { spec = {
          type = "object", ["x-kubernetes-preserve-unknown-fields"] = true,
        } } } } } } } }

test("who else sizes it is named", function(t)
  world:apply(SCALED_OBJECTS)
  world:kubectl("wait", "--for=condition=Established", "crd",
    "scaledobjects.keda.sh", "--timeout=60s")
  world:apply { {
    apiVersion = "autoscaling/v2", kind = "HorizontalPodAutoscaler",
    metadata = { name = "reader" }, spec = { minReplicas = 2, maxReplicas = 9,
      scaleTargetRef = { apiVersion = "apps/v1", kind = "Deployment",
        name = "reader" } } }, {
    apiVersion = "keda.sh/v1alpha1", kind = "ScaledObject",
    metadata = { name = "by-lag" }, spec = { maxReplicaCount = 7,
      minReplicaCount = 1, scaleTargetRef = { name = "reader" } } } }
  world:kubectl("label", "deployment", "reader",
    "kustomize.toolkit.fluxcd.io/name=apps")
  world:apply(deployment("reader", consumer "reader"))  -- says replicas: 0
  local seen
  context.with({ phase = "plan", perform = function(effect)
    seen = effect.summary
    return true
  end }, function() return reader():start { on = old } end)
  t.match(seen, "start reader on old, size 2; may also be changed by ")
  t.match(seen, "HorizontalPodAutoscaler reader %(2 to 9%)")
  t.match(seen, "ScaledObject by%-lag %(1 to 7%)")
  t.match(seen, "Flux")
  t.match(seen, "field manager test")
  world:kubectl("delete", "hpa", "reader")
  let_go()
end)

test("a pod that ends: its code and its last words are the error", function(t)
  local broken = deployment("broken", { "/bin/sh", "-c",
    "echo no greeting today; exit 7" })
  broken.spec.template.metadata.annotations = { -- nor for a moment
    ["process-pods/ready-after"] = "never" }
  world:apply(broken)
  local w = workload.new { name = "broken", deployment = { "broken", size = 1 } }
  local why = t.fails("unavailable", w:start { on = old })
  t.match(why, "broken does not start on old")
  t.match(why, "exit code 7")
  t.match(why, "no greeting today")
  t.ok(w:stop { on = old, within = "60s" })
  let_go()
end)

test("pods that never get ready: what they say, where a step's time ends", function(t)
  local mute = deployment("unready", { "/bin/sh", "-c",
    "echo still looking for my partner; trap 'exit 0' TERM; while :; do sleep 0.1; done" })
  mute.spec.template.metadata.annotations = { ["process-pods/ready-after"] = "never" }
  world:apply(mute)
  local dir = t.ok(sys.temporary_folder "tranship-unready")
  t.ok(sys.write_file(dir .. "/b.lua", ([[
runbook "unready" { version = "1" }
local here = kubernetes "here" { kubeconfig = "%s" }
local one = cluster "old" { bootstrap = "%s", on = here }
local app = workload "unready" { deployment = { "unready", size = 1 } }
local up = goal "{app} is up" {
  takes = { a.workload "app", a.cluster "on" },
  check = function(g) return g.app:runs_on(g.on) end,
  apply = function(g) g.app:start { on = g.on } end,
  undo = function(g) g.app:stop { on = g.on } end,
}
step "Start it" { ensure = up { app, one }, timeout = "12s", on_failure = "undo this" }
]]):format(world.kubeconfig, node.address)))
  local done = t.ok(sys.run { args = { sys.executable(), "run", "b.lua", "--yes" }, cwd = dir })
  sys.run { "rm", "-rf", dir }
  t.equal(done.code, 5, done.stdout .. done.stderr)
  t.match(done.stderr, "unready on old: 0 of 1 pods are ready: pod unready%-[%w-]+, "
    .. "container main: it runs and is not ready .*still looking for my partner.*"
    .. "not done within 12s")
  t.equal(pods "unready", "")
  t.equal(world:get("deployment", "unready").spec.replicas, 0)
  let_go()
end)

test("a Secret that is missing, a kind that is not there", function(t)
  world:apply(deployment("lost", { "/bin/sleep", "60" }, { template = {
    metadata = { labels = { app = "lost" } }, spec = { containers = { {
      name = "main", image = "none", command = { "/bin/sleep", "60" },
      env = { { name = "PASSWORD", valueFrom = { secretKeyRef = {
        name = "nowhere", key = "x" } } } } } } } } }))
  local w = workload.new { name = "lost", deployment = { "lost", size = 1 } }
  t.match(t.fails("unavailable", w:start { on = old }), "nowhere")
  t.ok(w:stop { on = old, within = "60s" })
  local nobody = workload.new { name = "nobody", deployment = true }
  t.match(t.fails("not found", nobody:status(old)), "Deployment nobody")
  let_go()
end)

test("a StatefulSet is one too", function(t)
  local set = deployment("ordered", { "/bin/sleep", "600" })
  set.kind, set.spec.serviceName = "StatefulSet", "ordered"
  set.spec.template.spec.terminationGracePeriodSeconds = 1
  world:apply(set)
  local w = workload.new { name = "ordered",
    deployment = { "ordered", kind = "StatefulSet", size = 2 } }
  t.ok(w:start { on = old })
  t.equal(world:get("statefulset", "ordered").status.readyReplicas, 2)
  t.ok(w:stop { on = old, within = "60s" })
  t.equal(pods "ordered", "")
  let_go()
end)

test("a hundred pods at once, which kwok plays", function(t)
  kube.with(function(crowded)
    crowded:apply { { apiVersion = "v1", kind = "Node",
      metadata = { name = "kwok-0", labels = { type = "kwok" } } } }
    local crowd = deployment("crowd", { "none" })
    crowd.spec.template.spec.nodeName = "kwok-0" -- nobody schedules here
    crowded:apply(crowd)
    local there <close> = kubernetes.new { name = "there", kubeconfig = crowded.kubeconfig }
    local one <close> = cluster_of { name = "old", bootstrap = node.address, on = there }
    local w = workload.new { name = "crowd", deployment = { "crowd", size = 100 } }
    t.ok(w:start { on = one })
    t.equal(crowded:get("deployment", "crowd").status.readyReplicas, 100)
    t.ok(w:stop { on = one, within = "2m" })
    t.equal(crowded:kubectl("get", "pods", "-o", "name"), "")
  end, { parts = { "etcd", "apiserver", "manager", "kwok" } })
end)

test("a pod that will not end is named", function(t)
  local stubborn = deployment("stubborn", { "/bin/sh", "-c",
    "trap '' TERM; while :; do sleep 1; done" })
  stubborn.spec.template.spec.terminationGracePeriodSeconds = 15
  world:apply(stubborn)
  local w = workload.new { name = "stubborn", deployment = { "stubborn", size = 1 } }
  t.ok(w:start { on = old })
  local why = t.fails("timeout", w:stop { on = old, within = "2s" })
  t.match(why, "stubborn%-%w+%-%w+ %(ending%)")
  let_go()
end)

test("a right that is missing is named", function(t)
  local token = kubernetes.new { name = "here", kubeconfig = world:config_of "token" }
  local cluster = cluster_of { name = "old", bootstrap = node.address, on = token }
  local why = t.fails("denied", reader():status(cluster))
  t.match(why, "deployments")
  token:close()
  let_go()
end)

test("what a declaration may get wrong", function(t)
  local function takes(value) return workload.new { name = "x", deployment = value } end
  t.raises("no field 'replicas'", takes, { "x", replicas = 1 })
  t.raises("1 or more", takes, { "x", size = 0 })
  t.raises("not DaemonSet", takes, { "x", kind = "DaemonSet" })
  t.raises("needs a name", takes, 7)
  t.equal(takes(true).deployment, { object = "x", kind = "Deployment" })
end)

test("everything ends", function(t)
  world:stop()
  node:stop()
  t.ok(true)
end)
