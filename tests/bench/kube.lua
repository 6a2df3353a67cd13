--- The Kubernetes client on a real API server: listing many objects against
-- `kubectl get -o json` in turns (time and largest memory of each process), and
-- how many watch events per second are taken in.
--   tranship --lua tests/bench/kube.lua [OBJECTS] [RUNS]

local sys = require "vm.sys"
local task = require "vm.task"
local try = require "base.try"
local kubernetes = require "kube.kubernetes"
-- luacheck: read_globals dofile
local world_of = dofile "tests/support/kube.lua"

local objects = math.tointeger(tonumber((...))) or 10000
local runs = math.tointeger(tonumber((select(2, ...)))) or 5
local WRITERS = 16
local NAMESPACE = "bench"

--- Wall seconds and KiB of a command whose output nobody wants.
local METER = [[
import resource, subprocess, sys, time
t = time.time(); code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(code, time.time() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
]]

local function measure(args)
  local done = try(sys.run { args = { "python3", "-c", METER,
    table.unpack(args) } })
  local code, seconds, kib = done.stdout:match "(%S+) (%S+) (%S+)"
  assert(code == "0", table.concat(args, " ") .. ": " .. done.stderr)
  return { tonumber(seconds), tonumber(kib) / 1024 }
end

local function median(list, field)
  local values = {}
  for i, one in ipairs(list) do values[i] = one[field] end
  table.sort(values)
  return values[(#values + 1) // 2]
end

local function object(i, version)
  return { apiVersion = "v1", kind = "ConfigMap",
    metadata = { name = ("object-%05d"):format(i), namespace = NAMESPACE,
      labels = { app = "bench", shard = tostring(i % 16) } },
    data = { text = ("x"):rep(600), version = tostring(version) } }
end

local function write_all(kube, version)
  local writers = {}
  for writer = 1, WRITERS do
    writers[writer] = function()
      for i = writer, objects, WRITERS do
        try(kube:_send("write", { method = version == 1 and "POST" or "PUT",
          path = "/api/v1/namespaces/" .. NAMESPACE .. "/configmaps"
            .. (version == 1 and "" or ("/object-%05d"):format(i)),
          body = object(i, version), doing = "write" }))
      end
    end
  end
  try(task.together(writers))
end

--- Events that come while `write` runs: how many a second, and how long after
-- the last write the last one was seen.
local function live_events(kube, write)
  local watch <close> = try(kube:watch("ConfigMap", { namespace = NAMESPACE }))
  repeat local event = try(watch:next(60000)) until event.type == "SYNCED"
  local begin, written = task.now_us()
  local writer <close> = task.spawn(function()
    write()
    written = task.now_us()
  end)
  for _ = 1, objects do try(watch:next(60000)) end
  local seen = task.now_us()
  assert(writer:join())
  return objects / (seen - begin) * 1e6, math.max(0, seen - written) / 1000
end

--- The same events again, as fast as the server gives them.
local function replayed_events(kube, version)
  local watch <close> = try(kube:watch("ConfigMap", { namespace = NAMESPACE,
    from = version }))
  local begin, count = task.now_us(), 0
  while count < objects do
    if try(watch:next(60000)).type ~= "SYNCED" then count = count + 1 end
  end
  return objects / (task.now_us() - begin) * 1e6
end

local world <close> = world_of.start { parts = { "etcd", "apiserver" } }
local kube <close> = kubernetes.new { name = "bench",
  kubeconfig = world.kubeconfig, calls_at_once = WRITERS }
world:kubectl("create", "ns", NAMESPACE)
write_all(kube, 1)

local ours, theirs = {}, {}
local list = { sys.executable(), "--lua", "tests/bench/kube_list.lua",
  world.kubeconfig, NAMESPACE }
local peer = { world._kubectl, "--kubeconfig", world.kubeconfig, "-n", NAMESPACE,
  "get", "configmaps", "-o", "json" }
for i = 1, runs do ours[i], theirs[i] = measure(list), measure(peer) end
for field, what in ipairs { "s  ", "MiB" } do
  local us, them = median(ours, field), median(theirs, field)
  sys.out(("kube list  %d objects  tranship %7.2f %s  kubectl get -o json "
    .. "%7.2f %s  ratio %.2f (aim %s)  (medians of %d)\n"):format(objects, us,
    what, them, what, us / them, field == 1 and "0.33" or "0.20", runs))
end

local _, version = kube:list("ConfigMap", { namespace = NAMESPACE })
local rate, late = live_events(kube, function() write_all(kube, 2) end)
sys.out(("kube watch %d events   as written %6.0f/s, the last one %.0f ms "
  .. "after its write\n"):format(objects, rate, late))
sys.out(("kube watch %d events   replayed   %6.0f/s (aim 1000)\n"):format(
  objects, replayed_events(kube, version)))
