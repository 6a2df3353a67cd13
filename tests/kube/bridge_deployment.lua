--- A bridge whose engine is a Deployment: real API server and controllers, two
-- real Kafkas (the source with TLS and a password), pods that are processes of
-- this machine. The run has the shipped rights and no others. The bridge is made by
-- it and outlives it, is killed, sized, turned, broken, taken away; the judges are
-- kubectl, the audit log and the records.
local test = ...
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local cluster = require "kafka.cluster"
local context = require "base.context"
local kubernetes = require "kube.kubernetes"
local kube_of = dofile "tests/support/kube.lua"
local secure = dofile "tests/support/secure.lua"
local world_of = loadfile "tests/kafka/lib/mirror_world.lua" "tests/kafka/lib"

local NAME, PASSWORD = "tranship-road", "carol-pw"
local LONG_MS = 90000

local BOOK = [[
runbook "deployed" { version = "1" }
local p = params { word = a.secret { from = "env:OLD_WORD" },
  ca = a.secret { from = "env:OLD_CA" } }
local here = kubernetes "here" { kubeconfig = "%s" }
local old = cluster "old" { bootstrap = "%s", ca = p.ca,
  login = plain { "carol", p.word } }
local new = cluster "new" { bootstrap = "%s" }
local road = bridge "road" { from = old, to = new, topics = { "apps.*" },
  on = here%s }
step "Ask"     { verify = here:rights { "run a bridge" } }
step "Open it" { ensure = road:open(), timeout = "5m" }
step "See it"  { verify = road:lag { at_most = 0 }%s }
]]

local CLOSE = [[
step "Close it" { ensure = road:closed(), timeout = "5m" }
]]

--- Everything there is: apps, their addresses, Kubernetes, and how to end it.
local function start(t)
  local dir = t.ok(sys.temporary_folder "tranship-deployed")
  local pem, on, settings = {}, { old = {}, new = {} }, {}
  secure.certificates(dir, pem)
  for _, one in ipairs(secure.settings(dir, on.old)) do
    settings[#settings + 1] = "old:" .. one
  end
  settings[#settings + 1] = "old:super.users=User:ANONYMOUS;User:admin;User:carol"
  local both = task.spawn(kube_of.start,
    { bin = sys.executable():match "^(.*)/" })
  local kafka = world_of.new(t, settings)
  kafka.old:close()
  kafka.old = cluster.new { name = "old", bootstrap = on.old.plaintext }
  local started, kube = both:join()
  if not started then error(kube, 0) end
  kube:kubectl("create", "-f", "scripts/rights/kubernetes-bridge-role.yaml")
  kube:kubectl("create", "rolebinding", "bridge", "--role=tranship-bridge",
    "--user=tranship")
  local all = { t = t, kafka = kafka, kube = kube, dir = dir, ca = pem.ca,
    old_address = on.old.sasl_ssl }
  return setmetatable(all, { __close = function()
    kube:stop()
    kafka:__close()
    sys.run { "rm", "-rf", dir }
  end })
end

--- Writes the runbook and runs a command on it.
local function ours(all, words, more, steps)
  local verify = ", steady = \"1s\", timeout = \"2m\""
  assert(sys.write_file(all.dir .. "/b.lua", BOOK:format(all.kube:config_of "token",
    all.old_address, all.kafka.new.bootstrap, more or "", verify) .. (steps or "")))
  local args = { sys.executable(), table.unpack(words) }
  return assert(sys.run { args = args, cwd = all.dir, env = {
    OLD_WORD = PASSWORD, OLD_CA = all.ca, TRANSHIP_STATE = all.kafka.state,
    PATH = sys.env "PATH" } })
end

local function run(all, more, steps)
  local done = ours(all, { "run", "b.lua", "--yes" }, more, steps)
  if done.code ~= 0 then
    all.t.note(done.stdout .. done.stderr .. tostring(all.kube:log "pods"))
  end
  all.t.equal(done.code, 0, "exit code")
  return done.stdout .. done.stderr, (done.stdout .. done.stderr):match "run (%x%x%x%x)"
end

--- The Deployment's pods by name: process id, started how often, ready.
local function pods(all)
  local list = {}
  for _, pod in ipairs(json.decode(all.kube:kubectl("get", "pods", "-l",
    "app.kubernetes.io/instance=" .. NAME, "-o", "json")).items) do
    local one = (pod.status.containerStatuses or {})[1]
    list[#list + 1] = { name = pod.metadata.name, ready = one and one.ready,
      restarts = one and one.restartCount,
      pid = one and math.tointeger(one.containerID:match "process://(%d+)") }
  end
  return list
end

--- Waits for so many ready pods, and which they are.
local function ready_pods(all, count)
  return all.kube:wait_for(count .. " ready pods", function()
    local list, ready = pods(all), 0
    for _, one in ipairs(list) do ready = ready + (one.ready and 1 or 0) end
    return #list == count and ready == count and list
  end, LONG_MS)
end

--- A bridge as the runbook has it, for questions of the test.
local function road_of(all)
  local login = { kind = "plain", user = "carol",
    password = require "vm.secret".new(PASSWORD, "carol") }
  all.here = kubernetes.new { name = "here", kubeconfig = all.kube:config_of "token" }
  all.seen = cluster.new { name = "old", bootstrap = all.old_address,
    ca = require "vm.secret".new(all.ca, "ca"), login = login }
  return all.kafka:bridge { from = all.seen, on = all.here,
    topics = { "apps.*" } }
end

local function kinds_left(all)
  return all.kube:kubectl("get", "deploy,replicaset,pods,cm,secret", "-A", "-l",
    "app.kubernetes.io/managed-by=tranship", "-o", "name")
end

local function planned(t, all)
  local said = ours(all, { "plan", "b.lua" })
  t.equal(said.code, 0, said.stdout .. said.stderr)
  for _, kind in ipairs { "Secret", "ConfigMap", "Deployment" } do
    t.match(said.stdout, ("apply %s %s in default on here"):format(kind, NAME:gsub(
      "%-", "%%-")))
  end
  t.equal(kinds_left(all), "", "a plan has made something")
end

--- What was made, and that no secret is anywhere but in the Secret.
local function made(t, all, id)
  local one = all.kube:get("deployment", NAME)
  local spec = one.spec.template.spec
  t.equal(spec.securityContext.runAsNonRoot, true)
  t.equal(spec.automountServiceAccountToken, false)
  local pod = spec.containers[1]
  t.equal({ pod.readinessProbe.httpGet.path, pod.livenessProbe.httpGet.path },
    { "/readyz", "/healthz" })
  t.ok(pod.resources.limits.memory and pod.resources.requests.cpu)
  t.match(pod.image, "^tranship:%d")
  local held = all.kube:get("secret", NAME).data
  t.equal(sys.from_base64(held["from.login.password"]), PASSWORD)
  t.ok(not all.kube:kubectl("get", "cm", NAME, "-o", "yaml"):find(PASSWORD, 1,
    true))
  for _, event in ipairs(all.kube:audit { verb = "patch", name = NAME }) do
    if not event.requestURI:find "dryRun" then
      t.match(event.requestURI, "fieldManager=tranship%%2F" .. id)
    end
  end
  local found = sys.run { "grep", "-rlE", PASSWORD .. "|PRIVATE KEY",
    all.kafka.state }
  t.equal(found.stdout, "", "files with the password")
end

--- A pod that is killed is started again, and nothing is lost or doubled.
local function killed(t, all, road)
  local stop = all.kafka:load(all.kafka.old, { { "apps.a", 0 }, { "apps.a", 1 },
    { "apps.a", 2 } }, 20)
  sys.kill(ready_pods(all, 1)[1].pid, "KILL")
  all.kube:wait_for("restart", function()
    local now = pods(all)[1]
    return now and now.restarts == 1 and now.ready
  end, LONG_MS)
  t.note(stop() .. " records were appended meanwhile")
  all.kafka:settle(road, LONG_MS)
  for n = 0, 2 do all.kafka:must_be_same("apps.a", n, true) end
end

--- Two pods divide the partitions; each copies some.
local function divided(t, all, road)
  t.match(run(all, ", replicas = 2"), "Deployment " .. NAME:gsub("%-", "%%-")
    .. " in default on here, 2 of 2 pods ready")
  ready_pods(all, 2)
  all.kafka:await("both copy", function()
    local book, members, count = road:ledger(), {}, 0
    for _, row in ipairs(road:progress() or {}) do
      local at = book:partition(row.topic, row.partition).at
      if at and not members[at.claim] then
        members[at.claim], count = true, count + 1
      end
    end
    return count == 2
  end, LONG_MS)
  all.kafka:append(all.kafka.old, all.kafka.records("apps.a", 0, 0, 200))
  all.kafka:settle(road, LONG_MS)
  all.kafka:must_be_same("apps.a", 0, true)
end

local function turned(t, all, road)
  t.ok(road:turn({ "apps.a" }, { writer = road.to }))
  for n = 0, 2 do
    all.kafka:append(all.kafka.new, all.kafka.records("apps.a", n, 0, 100))
  end
  all.kafka:settle(road, LONG_MS)
  for n = 0, 2 do all.kafka:must_be_same("apps.a", n, true) end
  t.equal(road:writer_of "apps.a", "new")
end

--- A size that somebody else sets stays theirs, and every exit says how it is.
local function sized_by_hand(t, all, road)
  all.kube:kubectl("scale", "deployment", NAME, "--replicas=0")
  all.kube:wait_for("end of the pods", function() return #pods(all) == 0 end)
  local status = t.ok(road:status())
  t.match(status.text, "NOTHING COPIES .*0 of 0 pods")
  t.match(status.text, "kubectl %-n default scale deployment/" .. NAME:gsub("%-",
    "%%-") .. " %-%-replicas=1")
  t.match(t.ok(road:open():check {}).text, "its size is 0, not 1")
  run(all)
  all.kube:kubectl("scale", "deployment", NAME, "--replicas=2")
  all.kube:kubectl("scale", "deployment", NAME, "--replicas=1")
  run(all, ", replicas = 2")
  t.equal(all.kube:get("deployment", NAME).spec.replicas, 1)
end

--- Why a pod does not start is the error, with its own words; fields of others
-- are never taken from them; the undo takes everything away.
local function broken(t, all)
  all.kube:kubectl("patch", "deployment", NAME, "--type=json", "-p", json.encode {
    { op = "replace", path = "/spec/template/spec/containers/0/command",
      value = json.array { "/bin/sh", "-c", "echo no such cluster here; exit 3" } },
  })
  all.kube:wait_for("trouble", function()
    for _, one in ipairs(pods(all)) do
      if (one.restarts or 0) >= 2 then return true end
    end
  end)
  local said = ours(all, { "run", "b.lua", "--yes" })
  t.equal(said.code, 1)
  t.match(said.stderr, "exit code 3")
  t.match(said.stderr, "no such cluster here")
  t.match(said.stderr, "bridge road is open but NOTHING COPIES")
  local other = all.kafka:bridge { from = all.seen, on = all.here,
    topics = { "apps.*" }, image = "tranship:next" }
  local why = t.fails("conflict", other:home():start())
  t.match(why, "belong to others: .*command %(kubectl")
  t.equal(all.kube:get("deployment", NAME).spec.template.spec.containers[1].image,
    "tranship:" .. require "vm.host".version)
  local undone = ours(all, { "undo", (said.stdout .. said.stderr):match "run (%x%x%x%x)",
    "--yes" })
  t.equal(undone.code, 5, undone.stderr)
  t.equal(kinds_left(all), "")
end

local function closed(t, all, road)
  run(all)
  all.kube:kubectl("delete", "deployment", NAME) -- by hand: the rest is owed
  t.match(t.ok(road:status()).text, "NOTHING COPIES %(there is no Deployment")
  local said = run(all, nil, CLOSE)
  t.match(said, "bridge road is closed\n")
  t.equal(kinds_left(all), "")
  t.equal(pods(all), {})
  t.equal(t.ok(road:status()).text, "bridge road is closed")
end

test("a bridge on Kubernetes", function(t)
  local all <close> = start(t)
  all.kafka:create(all.kafka.old, { { name = "apps.a", partitions = 3 } })
  for n = 0, 2 do
    all.kafka:append(all.kafka.old, all.kafka.records("apps.a", n, 0, 500),
      { codec = n == 0 and "zstd" or "none" })
  end
  local road = road_of(all)
  local begin = task.now()
  local function note(text)
    t.note(("%s after %d s"):format(text, (task.now() - begin) // 1000))
  end
  planned(t, all)
  note "planned"
  local said, id = run(all)
  t.match(said, "bridge road copies on %(Deployment tranship%-road in default on "
    .. "here, 1 of 1 pods ready, 0 records behind%)")
  made(t, all, id)
  note "made"
  killed(t, all, road)
  note "killed"
  divided(t, all, road)
  note "divided"
  turned(t, all, road)
  note "turned"
  sized_by_hand(t, all, road)
  note "sized"
  broken(t, all)
  note "broken"
  closed(t, all, road)
  all.seen:close()
  all.here:close()
end)

test("what cannot be meant", function(t)
  local here = kubernetes.new { name = "here" }
  local old = cluster.new { name = "old", bootstrap = "127.0.0.1:1" }
  local new = cluster.new { name = "new", bootstrap = "127.0.0.1:2" }
  local bridge = require "mirror.bridge"
  t.raises("say on = kubernetes", bridge.new, { name = "x", from = old, to = new,
    topics = { "*" }, replicas = 2 })
  local name = require "mirror.bridge.manifest".name
  t.equal(name "event-bus", "tranship-event-bus")
  t.match(name "Event_Bus", "^tranship%-event%-bus%-%x+$")
  t.ok(name "Event_Bus" ~= name "event.bus")
  t.ok(#name(("long."):rep(40)) <= 52)
  t.equal(context.get().phase, "tool")
  here:close()
end)
