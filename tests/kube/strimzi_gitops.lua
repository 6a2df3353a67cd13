-- GitOps is paused for a run and given back: Argo CD and Flux by their real
-- fields, Strimzi by its annotation, on a real API server. Their controllers are
-- not here; what they would do to a paused object is not part of this.
local test = ...
local json = require "vm.json"
local kubernetes = require "kube.kubernetes"
local goal = require "runbook.goal"
local sys = require "vm.sys"
local gitops = dofile "tests/support/gitops.lua"
local kube = dofile "tests/support/kube.lua"
local laws = dofile "tests/support/laws.lua"

local KINDS = "applications,helmreleases,kustomizations.kustomize.toolkit.fluxcd.io"
local world, on

local function namespace(name)
  return { apiVersion = "v1", kind = "Namespace", metadata = { name = name } }
end

local function bare(object)
  return { spec = object.spec, annotations = object.metadata.annotations }
end

--- Everything GitOps has, as it is now.
local function state()
  local all = {}
  for _, one in ipairs(json.decode(world:kubectl("get", KINDS, "-A", "-o", "json")).items) do
    all[one.kind .. " " .. one.metadata.name] = bare(one)
  end
  return all
end

local function set_up()
  world:kubectl("delete", "applications", "-n", "argocd", "--all")
  world:apply({
    gitops.application("bus", { namespace = "kafka" }),
    gitops.application("shop", { namespace = "shop" }),
    gitops.application("elsewhere", { namespace = "kafka", server = "https://10.9.9.9" }),
    gitops.application("fleet", { namespace = "argocd" }, { status = { resources = {
      { group = "argoproj.io", kind = "Application", namespace = "argocd", name = "bus" } } } }),
    gitops.release("kafka", "console"),
    gitops.kustomization("apps", false), gitops.kustomization("all", false),
    gitops.kustomization("other", false), gitops.kustomization("rests", true),
  }, { force = true })
end

local function set_inventories()
  gitops.inventory(world, "apps", { "kafka_greeter_apps_Deployment" })
  gitops.inventory(world, "all", {
    "flux-system_apps_kustomize.toolkit.fluxcd.io_Kustomization" })
  gitops.inventory(world, "other", { "shop_x_apps_Deployment" })
  gitops.inventory(world, "rests", { "kafka_topic_kafka.strimzi.io_KafkaTopic" })
end

local function paused(...) return goal.make(require "runbook.goal.gitops_paused", { ... }) end

local function is_suspended(all, name) return all["Kustomization " .. name].spec.suspend end
local function automated(all, name)
  return all["Application " .. name].spec.syncPolicy.automated
end

test("a platform with Argo CD's and Flux's definitions", function(t)
  world = kube.start { parts = { "etcd", "apiserver", "manager" }, strimzi = "1.2.0" }
  gitops.install(world)
  world:apply { namespace "kafka", namespace "shop", namespace "argocd", namespace "flux-system" }
  on = kubernetes.new { name = "here", kubeconfig = world.kubeconfig, namespace = "kafka" }
  set_up()
  set_inventories()
  t.ok(true)
end)

test("what keeps the namespace is paused, with what is above it, and nothing else", function(t)
  local run = laws.new_run()
  local it = paused(on)
  local answer = t.ok(it:check(run))
  t.ok(not answer.ok)
  t.match(answer.text, "Argo CD Application bus in argocd on here is at work")
  t.ok(it:apply(run))
  local all = state()
  t.equal({ automated(all, "bus"), automated(all, "fleet") }, {})
  t.ok(automated(all, "shop") and automated(all, "elsewhere"), "others go on")
  t.equal(all["Application bus"].spec.syncPolicy.syncOptions, { "ServerSideApply=true" })
  t.ok(is_suspended(all, "apps") and is_suspended(all, "all") and is_suspended(all, "rests"))
  t.ok(not is_suspended(all, "other"))
  t.ok(all["HelmRelease console"].spec.suspend)
  t.equal(t.ok(it:check(run)).text, "paused: 6 of 6")
  local order = {}
  for _, event in ipairs(world:audit { verb = "patch", agent = "^tranship" }) do
    order[#order + 1] = event.objectRef.name
    t.ok(event.requestObject.metadata.resourceVersion, "a precondition")
  end
  local said = table.concat(order, " ")
  t.ok(said:find "fleet.*bus" and said:find "all.*apps", "managers come first: " .. said)
  it:undo(run)
  all = state()
  t.equal(automated(all, "bus"), { prune = true, selfHeal = true })
  t.ok(is_suspended(all, "rests"), "what was paused before stays so")
  on:close()
end)

test("the five laws", function(t)
  world:kubectl("delete", "application", "-n", "argocd", "fleet")
  world:kubectl("delete", "kustomizations.kustomize.toolkit.fluxcd.io", "-n", "flux-system",
    "all", "rests")
  world:kubectl("delete", "helmrelease", "console", "-n", "kafka")
  local function reset()
    world:apply({ gitops.application("bus", { namespace = "kafka" }),
      gitops.kustomization("apps", false) }, { force = true })
  end
  laws.hold(t, { goal = function() return paused(on) end, world = state, reset = reset })
  on:close()
end)

test("an operation under way is waited for; who may resume it is named", function(t)
  set_up()
  world:apply(gitops.application("late", { namespace = "kafka" }, {
    metadata = { name = "late", namespace = "argocd", ownerReferences = json.array { {
      apiVersion = "argoproj.io/v1alpha1", kind = "ApplicationSet", name = "every", uid = "1" } } },
    status = { operationState = { phase = "Running" } } }))
  local run, it = laws.new_run(), paused(on)
  local task = require "vm.task"
  local ended = false
  local applying = task.spawn(function()
    local done, why = it:apply(run)
    ended = true
    return done, why
  end)
  world:wait_for("pause of late", function()
    return not automated(state(), "late")
  end)
  t.ok(not ended, "it still waits")
  world:kubectl("patch", "application", "late", "-n", "argocd", "--type=merge", "-p",
    '{"status":{"operationState":{"phase":"Succeeded"}}}')
  t.ok(applying:join())
  t.match(t.ok(it:check(run)).text, "late in argocd on here is written by ApplicationSet every")
  on:close()
end)

test("one that was made again, or is gone, is left alone", function(t)
  set_up()
  local run, it = laws.new_run(), paused(on)
  t.ok(it:apply(run))
  world:kubectl("delete", "application", "bus", "-n", "argocd")
  world:kubectl("delete", "helmrelease", "console", "-n", "kafka")
  local other = gitops.application("bus", { namespace = "kafka" })
  other.spec.syncPolicy.automated = nil
  world:apply(other)
  it:undo(run)
  t.equal(automated(state(), "bus"), nil)
  local said = table.concat(run.said, "\n")
  t.match(said, "bus in argocd on here is left alone: it was deleted and made again")
  t.match(said, "HelmRelease console on here is gone")
  on:close()
end)

local BOOK = [[
runbook "paused" { version = "1" }
local here = kubernetes "here" { kubeconfig = "%s", namespace = "kafka" }
step "Keep GitOps from undoing our moves" { ensure = gitops_paused { here }, lasts = "run" }
step "Work" { verify = function() return %s end, timeout = "2s" }
]]

test("as a loan: owed while the run is open, given back in the end", function(t)
  set_up()
  local before = state()
  local dir = assert(sys.temporary_folder "tranship-gitops")
  local function run(verdict, ...)
    assert(sys.write_file(dir .. "/b.lua", BOOK:format(world.kubeconfig, verdict)))
    return assert(sys.run { args = { sys.executable(), ... }, cwd = dir })
  end
  local planned = run("true", "plan", "b.lua")
  t.match(planned.stdout, "pause Argo CD Application bus in argocd on here")
  t.match(planned.stdout, "taken back at the end of the run")
  t.equal(state(), before, "a plan changes nothing")
  local done = run("true", "run", "b.lua", "--yes")
  t.equal(done.code, 0, done.stdout .. done.stderr)
  t.equal(state(), before)
  local failed = run("false", "run", "b.lua", "--yes")
  t.equal(failed.code, 1, failed.stdout .. failed.stderr)
  t.equal(state(), before, "given back where the run failed, too")
  sys.run { "rm", "-rf", dir }
end)

test("everything ends", function(t)
  world:stop()
  t.ok(true)
end)
