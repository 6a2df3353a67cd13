--- Lists all ConfigMaps of a namespace, and looks at each one's name: what
-- bench/kube.lua measures against kubectl.
--   tranship --lua tests/bench/kube_list.lua KUBECONFIG NAMESPACE

local sys = require "vm.sys"
local try = require "base.try"

local kubeconfig, namespace = ...
local kube <close> = require "kube.kubernetes".new { name = "bench",
  kubeconfig = kubeconfig, namespace = namespace }
local list, count = try(kube:list "ConfigMap"), 0
for _, one in ipairs(list) do
  if one.metadata.name ~= "" then count = count + 1 end
end
sys.out(count .. "\n")
