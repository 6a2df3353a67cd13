-- The noun `kubernetes` in a runbook: checked, planned with dry runs, run,
-- resumed, undone; and nothing that only reads can write.
local test = ...
local context = require "base.context"
local json = require "vm.json"
local sys = require "vm.sys"
local kubernetes = require "kube.kubernetes"
local world_of = dofile "tests/support/kube.lua"

local BOOK = [[
runbook "kube-noun" { version = "1" }
local here = kubernetes "here" { kubeconfig = "%s", namespace = "default" }
local present = goal "{name} is there" {
  takes = { a.kubernetes "on", a.text "name" },
  check = function(g)
    local there = g.on:find("ConfigMap", g.name)
    return there and there.data.a == "1"
  end,
  apply = function(g)
    g.on:apply { apiVersion = "v1", kind = "ConfigMap",
      metadata = { name = g.name }, data = { a = "1" } }
    g.on:scale("deploy", "sized", 3)
  end,
  undo = function(g)
    g.on:scale("deploy", "sized", 1)
    g.on:delete("ConfigMap", g.name)
  end,
}
local gone = goal "{name} is gone" {
  takes = { a.kubernetes "on", a.text "name" },
  check = function(g) return not g.on:find("ConfigMap", g.name) end,
  apply = function(g) g.on:delete("ConfigMap", g.name) end,
  irreversible = "it is not needed",
}
step "Clean up" { ensure = gone { here, "old" } }
step "Make it" { ensure = present { here, "made" } }
step "See it"  { verify = function() return here:find("cm", "made") and true end }
]]

local DEPLOYMENT = [[
apiVersion: apps/v1
kind: Deployment
metadata: { name: sized }
spec:
  replicas: 1
  selector: { matchLabels: { app: sized } }
  template:
    metadata: { labels: { app: sized } }
    spec: { containers: [ { name: c, image: none } ] }
]]

local function check(value, why)
  if value == nil then error(debug.traceback(tostring(why), 2), 0) end
  return value
end

local function ours(dir, ...)
  return check(sys.run { args = { check(sys.executable()), ... }, cwd = dir })
end

local function writes(world)
  local found = {}
  for _, event in ipairs(world:audit { user = "admin", agent = "^tranship" }) do
    local verb, uri = event.verb, event.requestURI
    if verb ~= "get" and verb ~= "list" and verb ~= "watch"
      and not uri:find "selfsubject" then
      found[#found + 1] = verb .. (uri:find "dryRun=All" and " dry" or "")
    end
  end
  return found
end

local function book_cases(t, world, dir)
  world:apply(DEPLOYMENT)
  world:apply { apiVersion = "v1", kind = "ConfigMap",
    metadata = { name = "old" }, data = { a = "1" } }
  check(sys.write_file(dir .. "/k.lua", BOOK:format(world.kubeconfig)))
  local planned = ours(dir, "plan", "k.lua")
  t.equal(planned.code, 0, planned.stderr)
  t.match(planned.stdout, "apply ConfigMap made in default on here")
  t.match(planned.stdout, "scale Deployment sized in default on here from 1 to 3")
  t.match(planned.stdout, "delete ConfigMap old in default on here")
  t.equal(writes(world), { "delete dry", "patch dry", "patch dry" })
  t.equal(world:get("configmap", "old").data.a, "1", "a plan has deleted it")
  t.equal(world:get("configmap", "made"), nil)

  local ran = ours(dir, "run", "k.lua", "--yes")
  t.equal(ran.code, 0, ran.stdout .. ran.stderr)
  t.equal(world:get("deployment", "sized").spec.replicas, 3)
  local id = ran.stdout:match "run (%x+) of"
  local managed = world:audit { verb = "patch", name = "made" }
  t.match(managed[#managed].requestURI, "fieldManager=tranship%%2F" .. id)
  t.equal(ours(dir, "plan", "k.lua", "--exit-code").code, 0)
  local undone = ours(dir, "undo", id, "--yes")
  t.equal(undone.code, 5, undone.stdout .. undone.stderr)
  t.equal(world:get("configmap", "made"), nil)
  t.equal(world:get("deployment", "sized").spec.replicas, 1)
end

local function reading_only(t, world)
  local kube <close> = kubernetes.new { name = "k", kubeconfig = world.kubeconfig }
  local before = #writes(world)
  context.with({ phase = "run", read_only = true,
    perform = function(effect) return effect.send() end }, function()
    t.fails("read only", kube:apply { apiVersion = "v1", kind = "ConfigMap",
      metadata = { name = "no" } })
    t.fails("read only", kube:scale("deploy", "sized", 9))
    t.fails("read only", kube:delete("deploy", "sized"))
    t.fails("read only", kube:token "default")
  end)
  t.equal(#writes(world), before)
  local session <close> = check(require "vm.kube".open {
    kubeconfig = world.kubeconfig, read_only = true })
  t.fails("read only", session:request { method = "MERGE", path = "/api" })
  for want, ask in pairs {
    read = { method = "POST",
      path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" },
    ["dry run"] = { method = "PATCH", path = "/api/v1/namespaces/x",
      query = { dryRun = "All" } },
    write = { method = "GET", path = "/api/v1/namespaces/x/pods/y/exec" },
  } do
    t.equal(session:class(ask), want)
  end
  t.equal(session:class { method = "DELETE", path = "/api/v1/pods",
    query = { dryRun = "all" } }, "write")
  t.equal(session:class { method = "POST",
    path = "/api/v1/namespaces/x/serviceaccounts/y/token" }, "write")
end

local function explorer(t, world, dir)
  check(sys.write_file(dir .. "/k.lua", BOOK:format(world.kubeconfig)))
  local said = check(sys.run { args = { check(sys.executable()), "repl", "k.lua" },
    cwd = dir, input = 'here:get("deploy", "sized")\nhere:list "ns"\n'
      .. 'here:can_i("delete", "pods")\nhere:scale("deploy", "sized", 2)\n' })
  t.match(said.stdout, '"replicas": 1')
  t.match(said.stdout, "kube%-system")
  t.match(said.stdout, "yes: may delete Pod")
  t.match(said.stdout .. said.stderr, "only reads")
  t.equal(world:get("deployment", "sized").spec.replicas, 1)
end

test("runbooks", function(t)
  world_of.with(function(world)
    local dir = check(sys.temporary_folder "tranship-noun")
    local ok, why = pcall(function()
      book_cases(t, world, dir)
      reading_only(t, world)
      explorer(t, world, dir)
    end)
    sys.run { "rm", "-rf", dir }
    if not ok then error(why, 0) end
  end, { parts = { "etcd", "apiserver" } })
end)

test("what cannot be meant is a problem of the declaration", function(t)
  local dir = check(sys.temporary_folder "tranship-noun")
  check(sys.write_file(dir .. "/k.lua", [[
runbook "k" { version = "1" }
local a1 = kubernetes "a" { kontext = "x" }
local b1 = kubernetes "b" {}
local seen = b1:get("Pod", "x")
step "s" { verify = function() return true end }
]]))
  local said = ours(dir, "check", "k.lua")
  sys.run { "rm", "-rf", dir }
  t.equal(said.code, 3)
  t.match(said.stdout .. said.stderr, "did you mean 'context'")
  t.match(said.stdout .. said.stderr, "E0501")
  t.equal(json.is_view(nil), false)
end)
