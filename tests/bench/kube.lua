--- The Kubernetes client on a real API server, without its audit log: listing many
-- objects against `kubectl get -o json` in turns (time and largest memory of each
-- process); a watch while this process writes as fast as it can; the same events
-- once more; and a watch while another process deletes them, batch by batch, at a
-- steady rate: how long after its batch was begun each event is seen.
--   tranship --lua tests/bench/kube.lua [OBJECTS] [RUNS] [RATE]

local sys = require "vm.sys"
local task = require "vm.task"
local try = require "base.try"
local kubernetes = require "kube.kubernetes"
-- luacheck: read_globals dofile
local lib = dofile "tests/bench/lib.lua"
local world_of = dofile "tests/support/kube.lua"

local objects = math.tointeger(tonumber((...))) or 10000
local runs = math.tointeger(tonumber((select(2, ...)))) or 5
local rate = math.tointeger(tonumber((select(3, ...)))) or 1000
local BATCHES_PER_S = 10
local BATCH = rate // BATCHES_PER_S
local WRITERS = 16
local NAMESPACE = "bench"
local BEHIND_MS = 50
local FLAGS = { "--audit-log-path=", "--audit-policy-file=",
  "--delete-collection-workers=4" }

--- Wall seconds and KiB of a command whose output nobody wants.
local METER = [[
import resource, subprocess, sys, time
t = time.time(); code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(code, time.time() - t, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
]]

local function measure(args)
  local done = try(sys.run { args = { "python3", "-c", METER,
    table.unpack(args) } })
  local code, took_s, kib = done.stdout:match "(%S+) (%S+) (%S+)"
  assert(code == "0", table.concat(args, " ") .. ": " .. done.stderr)
  return { tonumber(took_s), tonumber(kib) / 1024 }
end

local function object(i, version)
  return { apiVersion = "v1", kind = "ConfigMap",
    metadata = { name = ("object-%05d"):format(i), namespace = NAMESPACE,
      labels = { app = "bench", batch = tostring((i - 1) // BATCH + 1) } },
    data = { text = ("x"):rep(600), version = tostring(version) } }
end

local PATH = "/api/v1/namespaces/" .. NAMESPACE .. "/configmaps"

local function write_all(kube, version)
  local writers = {}
  for writer = 1, WRITERS do
    writers[writer] = function()
      for i = writer, objects, WRITERS do
        try(kube:_send("write", { method = version == 1 and "POST" or "PUT",
          path = version == 1 and PATH or ("%s/object-%05d"):format(PATH, i),
          body = object(i, version), doing = "write" }))
      end
    end
  end
  try(task.together(writers))
end

--- Lags of a part of the events, in milliseconds.
local function shown(lags, from, to)
  local part = table.move(lags, from, to, 1, {})
  table.sort(part)
  return ("p50 %.1f p99 %.1f max %.1f ms"):format(lib.quantile(part, 0.5),
    lib.quantile(part, 0.99), part[#part]), lib.quantile(part, 0.5)
end

--- Milliseconds from when a batch was begun, and from when the server had answered
-- its writer, until each of its events was seen.
local function lags_of(seen, times)
  local begun, answered, after, late = {}, {}, {}, {}
  for from, to in times:gmatch "(%d+)-(%d+)" do
    begun[#begun + 1], answered[#answered + 1] = tonumber(from), tonumber(to)
  end
  for i, one in ipairs(seen) do
    after[i] = (one.at - begun[one.batch]) / 1000
    late[i] = (one.at - answered[one.batch]) / 1000
  end
  return after, late
end

--- It has fallen behind when events of the last second are seen long after the
-- writer had its answer.
local function paced_events(kube, world)
  local batches, seen = objects // BATCH, {}
  local watch <close> = try(kube:watch("ConfigMap", { namespace = NAMESPACE }))
  repeat local event = try(watch:next(60000)) until event.type == "SYNCED"
  local cpu, said, times = lib.cpu(), nil, nil
  local writer <close> = task.spawn(function()
    local done = try(sys.run { sys.executable(), "--lua", "tests/bench/kube_delete.lua",
      world.kubeconfig, NAMESPACE, tostring(batches), tostring(BATCH),
      tostring(1000 // BATCHES_PER_S) })
    assert(done.code == 0, done.stderr)
    said, times = done.stdout:match "^([^\n]*)\n(.*)$"
  end)
  for i = 1, batches * BATCH do
    local event = try(watch:next(60000))
    seen[i] = { batch = tonumber(event.object.metadata.labels.batch), at = task.now_us() }
  end
  cpu = lib.cpu() - cpu
  assert(writer:join())
  local after, late = lags_of(seen, times)
  local behind, middle = shown(late, #late - rate + 1, #late)
  sys.out(("kube watch %d events   paced at %d/s by another process: %s\n"):format(#seen,
    rate, said))
  sys.out(("           seen after their batch was begun: %s; in the last second, after it "
    .. "was answered: %s\n"):format((shown(after, 1, #after)), behind))
  sys.out(("           %s; the watching process took %.2f s of CPU\n"):format(
    middle <= BEHIND_MS and "it did not fall behind" or "IT FELL BEHIND", cpu))
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

local world <close> = world_of.start { parts = { "etcd", "apiserver" },
  api = FLAGS }
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
  local us, them = lib.median(ours, field), lib.median(theirs, field)
  sys.out(("kube list  %d objects  tranship %7.2f %s  kubectl get -o json "
    .. "%7.2f %s  ratio %.2f (aim %s)  (medians of %d)\n"):format(objects, us,
    what, them, what, us / them, field == 1 and "0.33" or "0.20", runs))
end

local _, version = kube:list("ConfigMap", { namespace = NAMESPACE })
local most, late = live_events(kube, function() write_all(kube, 2) end)
sys.out(("kube watch %d events   as fast as this process writes: %.0f/s, the last one "
  .. "%.0f ms after its write\n"):format(objects, most, late))
sys.out(("kube watch %d events   replayed   %6.0f/s (aim 1000)\n"):format(
  objects, replayed_events(kube, version)))
paced_events(kube, world)
