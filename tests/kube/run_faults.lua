-- What goes wrong on the Kubernetes side of a run, on a real API server: kubeconfigs
-- and objects that cannot be, before it begins; and in the middle of it a right is
-- taken away, a namespace begins to end, a field gets another owner, an object is
-- deleted and made again by others, pods never get ready, no operator answers
-- (Strimzi's are stood in for). The run stops with the right code, says what and
-- where, has written every attempt down, and is resumed when the cause is gone.
local test = ...
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local kube = dofile "tests/support/kube.lua"
local strimzi = dofile "tests/support/strimzi.lua"

local V = "v1beta2"
local LOOK_AGAIN_MS = 100
local world, operators

local HEAD = [[
runbook "faults" { version = "1" }
local here = kubernetes "here" { kubeconfig = "%s", namespace = "%s" }
local present = goal "{name} says {value}" {
  takes = { a.kubernetes "on", a.text "name", a.text "value" },
  check = function(g)
    local there = g.on:find("ConfigMap", g.name)
    return there and there.data.a == g.value
  end,
  apply = function(g)
    g.on:apply { apiVersion = "v1", kind = "ConfigMap", metadata = { name = g.name },
      data = { a = g.value } }
  end,
  undo = function(g) g.on:delete("ConfigMap", g.name) end,
}
local sized = goal "{name} has size {size}" {
  takes = { a.kubernetes "on", a.text "name", a.count "size" },
  check = function(g) return g.on:get("Deployment", g.name).spec.replicas == g.size end,
  apply = function(g) g.on:scale("Deployment", g.name, g.size) end,
  undo = function(g) g.on:scale("Deployment", g.name, 1) end,
}
]]

-- Runs. ------------------------------------------------------------------------

local Run = {}
Run.__index = Run

--- A state folder of its own, and the runbook in it.
local function run_of(t, steps, user, namespace)
  local dir = t.ok(sys.temporary_folder "tranship-faults")
  t.ok(sys.write_file(dir .. "/f.lua", HEAD:format(world:config_of(user or "admin"),
    namespace or "default") .. steps))
  return setmetatable({ t = t, dir = dir }, Run)
end

function Run:__close() sys.run { "rm", "-rf", self.dir } end

function Run:tranship(...)
  return self.t.ok(sys.run { args = { sys.executable(), ... }, cwd = self.dir,
    env = { TRANSHIP_STATE = self.dir .. "/state" }, stdin = "null" })
end

--- Runs tranship; it must end with that code. Its words.
function Run:must(code, ...)
  local ended = self:tranship(...)
  local said = ended.stdout .. ended.stderr
  self.t.equal(ended.code, code, said)
  return said
end

--- The same for what drives a run: whoever is asked meanwhile lets `fault` happen,
-- the first time, and approves.
function Run:drive(code, fault, ...)
  local words, said, answered = { ... }, nil, #self:journal "approval.asked"
  local runner <close> = task.spawn(function() said = self:must(code, table.unpack(words)) end)
  while not runner:is_done() do
    local asked = self:journal "approval.asked"
    if #asked > answered then
      answered = #asked
      if fault then fault() end
      fault = nil
      self:must(0, "approve", self:id(), asked[answered].step)
    end
    task.sleep(LOOK_AGAIN_MS)
  end
  local ok, why = runner:join()
  if not ok then error(why, 0) end
  return said
end

function Run:start(code, fault) return self:drive(code, fault, "run", "f.lua", "--yes") end
function Run:again(code) return self:drive(code, nil, "resume", self:id()) end
function Run:back(code) return self:must(code, "undo", self:id(), "--yes") end

function Run:id() return (sys.list(self.dir .. "/state/runs") or {})[1] end

function Run:journal(kind)
  local id, list = self:id(), {}
  local text = id and sys.read_file(("%s/state/runs/%s/journal.jsonl"):format(self.dir, id))
  for line in (text or ""):gmatch "([^\n]*)\n" do
    local record = json.decode(line)
    if record.kind == kind then list[#list + 1] = record end
  end
  return list
end

--- The last attempt is in the journal: what it was about, and how it failed.
function Run:attempt(target, why)
  local tried, ended = self:journal "effect.intent", self:journal "effect.outcome"
  local t, last = self.t, tried[#tried]
  t.equal(#tried, #ended, "every intent has its outcome")
  t.match(last.target, target)
  t.equal({ ended[#ended].intent, ended[#ended].ok }, { last.seq, false })
  t.match(ended[#ended].error.message, why)
end

local TWO_STEPS = [[
step "1" { ensure = present { here, "one", "1" } }
step "2" { ensure = %s, approve = { "Now?" } }
]]

local function deployment(name, notes)
  return { apiVersion = "apps/v1", kind = "Deployment", metadata = { name = name },
    spec = { replicas = 1, selector = { matchLabels = { app = name } },
      template = { metadata = { labels = { app = name }, annotations = notes },
        spec = { terminationGracePeriodSeconds = 1, containers = { { name = "main",
          image = "none", command = { "/bin/sleep", "600" } } } } } } }
end

-- Cases. -----------------------------------------------------------------------

test("an API server with Strimzi's definitions", function()
  world = kube.start { strimzi = "0.51.0" }
  world:kubectl("create", "clusterrole", "tranship", "--verb=*",
    "--resource=configmaps,deployments.apps,deployments.apps/scale")
end)

--- A kubeconfig like `from`'s, with another text in it.
local function config(from, name, what, with)
  local text = assert(sys.read_file(world:config_of(from)))
  assert(sys.write_file(world:config_of(name), (text:gsub(what, with))))
  return name
end

test("logins, certificates, kinds and fields that cannot be: nothing is changed", function(t)
  local plain = 'step "1" { ensure = present { here, "never", "1" } }\n'
  for _, case in ipairs {
    { user = config("token", "stale", "tranship%-token", "no-such-token"), says = "Unauthorized" },
    { user = "late", says = "the client certificate expired on" },
    { user = config("admin", "elsewhere", "current%-context: world", "current-context: mars"),
      says = "mars" },
    { user = config("admin", "strange", "pki/ca%.crt", "pki/stranger-ca.crt"),
      says = "unable to get local issuer certificate" },
    { user = config("admin", "old", "server: ", "tls-server-name: expired.test, server: "),
      says = "expired" },
    { user = config("admin", "broken", "clusters:", "clusters: {"), says = "broken%.kubeconfig:" },
    { user = "nobody", says = 'cannot get resource "configmaps"' },
    { steps = 'step "1" { verify = function() return here:find("Kafkaesque", "x") end }\n',
      says = "here does not serve a kind 'Kafkaesque'", code = 1 },
    { steps = 'local odd = goal "odd" { takes = { a.kubernetes "on" },\n'
      .. 'check = function() return false end, apply = function(g)\n'
      .. 'g.on:apply { apiVersion = "v1", kind = "ConfigMap", metadata = { name = "never" },\n'
      .. 'data = 7 } end, irreversible = "a test" }\n'
      .. 'step "1" { ensure = odd { here } }\n', says = "%.data" },
  } do
    local run <close> = run_of(t, case.steps or plain, case.user)
    local ended = run:tranship("run", "f.lua", "--yes")
    t.note(("%d %s"):format(ended.code, (ended.stderr .. ended.stdout):gsub("\n.*", "")))
    t.match(ended.stdout .. ended.stderr, case.says)
    t.equal(ended.code, case.code or 4)
    t.equal(#run:journal "effect.intent", 0)
  end
  t.equal(world:get("configmap", "never"), nil)
end)

test("a right is taken away: the exact one is named", function(t)
  local run <close> = run_of(t, TWO_STEPS:format 'sized { here, "sized", 3 }', "token")
  world:apply(deployment "sized")
  world:kubectl("create", "rolebinding", "all", "--clusterrole=tranship", "--user=tranship")
  world:kubectl("create", "role", "less", "--verb=get,patch,delete",
    "--resource=configmaps,deployments.apps")
  world:kubectl("create", "role", "look", "--verb=get", "--resource=deployments.apps/scale")
  for _, role in ipairs { "less", "look" } do
    world:kubectl("create", "rolebinding", role, "--role=" .. role, "--user=tranship")
  end
  local said = run:start(1, function()
    world:kubectl("delete", "rolebinding", "all")
    world:wait_for("end of the right", function()
      return world:try_kubectl { "auth", "can-i", "patch", "deployments",
        "--subresource=scale", user = "token" }.code ~= 0
    end)
  end)
  t.match(said, 'cannot patch resource "deployments/scale" in API group "apps" in the '
    .. 'namespace "default"')
  run:attempt("deployments.apps/sized/scale$", "cannot patch")
  t.equal(world:get("deployment", "sized").spec.replicas, 1)
  world:kubectl("create", "rolebinding", "all", "--clusterrole=tranship", "--user=tranship")
  run:again(0)
  t.equal(world:get("deployment", "sized").spec.replicas, 3)
  run:back(5)
  t.equal({ world:get("deployment", "sized").spec.replicas, world:get("configmap", "one") },
    { 1 })
end)

test("a namespace begins to end", function(t)
  local run <close> = run_of(t, TWO_STEPS:format 'present { here, "two", "2" }', "admin",
    "ending")
  world:kubectl("create", "ns", "ending")
  world:apply { apiVersion = "v1", kind = "ConfigMap", metadata = { name = "anchor",
    namespace = "ending", finalizers = { "example.com/holds" } } }
  local said = run:start(1, function()
    world:kubectl("delete", "ns", "ending", "--wait=false")
  end)
  t.match(said, "namespace ending.* is being terminated")
  run:attempt("configmaps/two$", "being terminated")
  world:kubectl("patch", "configmap", "anchor", "-n", "ending", "--type=merge", "-p",
    '{"metadata":{"finalizers":null}}')
  world:kubectl("wait", "--for=delete", "ns/ending", "--timeout=120s")
  run:again(1)
  world:kubectl("create", "ns", "ending")
  run:again(0)
  t.equal(world:get("configmap", "two", "ending").data.a, "2")
  run:back(5)
  t.equal(world:get("configmap", "two", "ending"), nil)
end)

test("a field gets another owner: it is theirs, and nothing is changed", function(t)
  local run <close> = run_of(t, TWO_STEPS:format 'present { here, "one", "3" }')
  local said = run:start(1, function()
    world:apply({ apiVersion = "v1", kind = "ConfigMap", metadata = { name = "one" },
      data = { a = "theirs" } }, { force = true })
  end)
  t.match(said, "these fields belong to others: %.data%.a %(test%); nothing was changed")
  run:attempt("configmaps/one$", "these fields belong to others")
  t.equal(world:get("configmap", "one").data.a, "theirs")
  run:again(1)
  world:kubectl("delete", "configmap", "one")
  run:again(0)
  t.equal(world:get("configmap", "one").data.a, "3")
  run:back(5)
end)

test("pods that never get ready are named, and why the step ended", function(t)
  local run <close> = run_of(t, [[
local old = cluster "old" { strimzi = "nobody", on = here, listener = "plain" }
local app = workload "slow" { deployment = { "slow", size = 2 } }
local works = goal "{app} works" {
  takes = { a.workload "app" },
  check = function(g) return g.app:runs_on(old) end,
  apply = function(g, run)
    run:gap("{app} is down", function() g.app:start { on = old } end)
  end,
  verify = function(g) return g.app:ready { on = old, within = "1m" } end,
  undo = function(g) g.app:stop { on = old } end,
}
step "1" { ensure = works { app }, timeout = "6s" }
]])
  local slow = deployment("slow", { ["process-pods/ready-after"] = "never" })
  slow.spec.replicas = 0
  world:apply(slow)
  local said = run:start(7)
  t.match(said, "slow .*0 of 2 pods are ready")
  t.match(said, "OWED +slow is down")
  t.equal(#run:journal "effect.intent", 1)
  slow.spec.template.metadata.annotations = { ["process-pods/ready-after"] = "0" }
  slow.spec.replicas = nil
  world:apply(slow)
  world:kubectl("rollout", "status", "deployment/slow", "--timeout=120s")
  run:again(0)
  t.equal(world:get("deployment", "slow").status.readyReplicas, 2)
  run:back(5)
  t.equal(world:get("deployment", "slow").spec.replicas, 0)
end)

local USER = [[
local old = cluster "old" { strimzi = "bus", on = here, listener = "plain" }
step "1" { ensure = old:user { "%s", authentication = "scram-sha-512", within = "%s" } }
step "2" { ensure = present { here, "two", "2" }, approve = { "Now?" } }
]]

test("an operator that never answers, until it does", function(t)
  local pool, bus = strimzi.cluster(V, "bus", { authorization = { type = "simple" },
    listeners = { { name = "plain", port = 9092, type = "internal", tls = false } } })
  operators = strimzi.start(world, V)
  world:apply { pool, bus }
  operators:wait("kafkas", "bus", "Ready")
  local run <close> = run_of(t, USER:format("late", "5s"))
  local _ <close> = setmetatable({}, { __close = function()
    sys.kill(operators.pid, "CONT")
  end })
  sys.kill(operators.pid, "STOP")
  local said = run:start(1)
  t.match(said, "KafkaUser late on here was not looked at by its operator within 5 s: no "
    .. "operator has answered: its label says strimzi.io/cluster=bus; is that the Kafka")
  t.equal(#run:journal "effect.intent", 1)
  t.equal(world:get("kafkauser", "late").spec.authentication.type, "scram-sha-512")
  sys.kill(operators.pid, "CONT")
  run:again(0)
  run:back(5)
  t.equal(world:get("kafkauser", "late"), nil)
end)

test("what others have made anew is not taken back", function(t)
  local run <close> = run_of(t, USER:format("app", "2m"))
  local uid
  run:start(0, function()
    world:kubectl("delete", "kafkauser", "app", "--timeout=60s")
    world:apply { strimzi.of(V, "KafkaUser", "bus", "app",
      { authentication = { type = "scram-sha-512" } }) }
    uid = operators:wait("kafkausers", "app", "Ready").metadata.uid
  end)
  run:back(5)
  t.match(run:journal "log"[1].text, "KafkaUser app on here stays: it is not the one that was "
    .. "made here")
  t.equal(world:get("kafkauser", "app").metadata.uid, uid)
end)

test("everything ends", function()
  operators:stop()
  world:stop()
end)
