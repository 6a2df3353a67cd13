-- The demo on Kubernetes, both ways: real API servers, brokers and applications,
-- stand-ins for Strimzi's operators and the kubelet. The audit is the judge.
local test = ...
local sys = require "vm.sys"

local function demo(t, rollback)
  local folder = t.ok(sys.temporary_folder "tranship-demo-test")
  local ended = t.ok(sys.run {
    args = { "tests/world/demo-kube" }, stdin = "null",
    env = { BUILD = sys.executable():match "^(.*)/", ROLLBACK = rollback,
      TMPDIR = folder },
  })
  sys.run { "rm", "-rf", folder }
  local said = ended.stdout .. ended.stderr
  t.equal(ended.code, 0, said)
  t.match(said, "produced %d+  seen %d+  lost 0  doubled 0  out of order 0  altered 0")
  return said
end

test("forward: the pods of one platform end, those of the other work", function(t)
  local said = demo(t, "0")
  t.match(said, "very next record: 6 of 6 partitions")
  t.match(said, 'patch deployments/scale hello%-world%-producer {"replicas": 1} %-> 200')
end)

test("somebody scales the wrong Deployment: all the way back", function(t)
  t.match(demo(t, "1"), "exit code 5")
end)
