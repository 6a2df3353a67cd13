--- Deletes the objects of bench/kube.lua at a steady rate: batch number i, by its
-- label, is begun i times EVERY ms after the first, by whichever of several tasks is
-- free. Prints how that went, then when each batch was begun and answered.
--   tranship --lua tests/bench/kube_delete.lua KUBECONFIG NAMESPACE BATCHES SIZE EVERY

local sys = require "vm.sys"
local task = require "vm.task"
local try = require "base.try"
-- luacheck: read_globals dofile
local lib = dofile "tests/bench/lib.lua"

local kubeconfig, namespace, batches, size, every_ms = ...
batches, size, every_ms = batches // 1 | 0, size // 1 | 0, every_ms // 1 | 0
local WRITERS = 8
local kube <close> = require "kube.kubernetes".new { name = "writer",
  kubeconfig = kubeconfig, namespace = namespace, calls_at_once = WRITERS }

local begun, next_one, times, took = task.now_us(), 0, {}, {}
local function writer()
  while next_one < batches do
    next_one = next_one + 1
    local i = next_one
    local wait = begun + (i - 1) * every_ms * 1000 - task.now_us()
    if wait >= 1000 then task.sleep(wait // 1000) end
    local from = task.now_us()
    try(kube:_send("write", { method = "DELETE", doing = "delete a batch",
      path = ("/api/v1/namespaces/%s/configmaps"):format(namespace),
      query = { labelSelector = "batch=" .. i } }))
    times[i] = ("%d-%d"):format(from, task.now_us())
    took[i] = (task.now_us() - from) / 1000
  end
end
local writers = {}
for i = 1, WRITERS do writers[i] = writer end
try(task.together(writers))
local reached = batches * size / (task.now_us() - begun) * 1000000
table.sort(took)
sys.out(("%.0f/s, in requests for %d that took p50 %.0f p99 %.0f ms\n%s\n"):format(reached,
  size, lib.quantile(took, 0.5), lib.quantile(took, 0.99), table.concat(times, " ")))
