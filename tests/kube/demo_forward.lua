-- The demo on Kubernetes, forward.
local test = ...
local demo = dofile "tests/support/demo_kube.lua"

test("the pods of one platform end, those of the other work", function(t)
  local said = demo(t, {}, "-p", "watch=1s", "-p", "soak=2s", "-p", "patience=3m")
  t.match(said, "very next record: 6 of 6 partitions")
  t.match(said, 'patch deployments/scale hello%-world%-producer {"replicas": 1} %-> 200')
end)
