-- The demo on Kubernetes, taken back from three of its steps and then killed in
-- every one: real API servers, brokers and applications, stand-ins for Strimzi's
-- operators and the kubelet. The audit is the judge.
local test = ...
local sys = require "vm.sys"

test("back from steps 6, 7 and 8; killed in every step and resumed", function(t)
  local folder = t.ok(sys.temporary_folder "tranship-hardship-test")
  local ended = t.ok(sys.run {
    args = { "tests/world/demo-kube" }, stdin = "null",
    env = { BUILD = sys.executable():match "^(.*)/", HARDSHIP = "1",
      ROLLBACK = "0", TMPDIR = folder },
  })
  sys.run { "rm", "-rf", folder }
  local said = ended.stdout .. ended.stderr
  t.equal(ended.code, 0, said)
  t.match(said, "produced %d+  seen %d+  lost 0  doubled 0  out of order 0  altered 0")
  local count, steps = said:match "killed in (%d+) steps %(([^)]*)%)"
  t.note(("killed in %s steps: %s"):format(count, steps))
  t.ok(tonumber(count) >= 15, said)
end)
