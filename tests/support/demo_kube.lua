--- tests/world/demo-kube as a test runs it: real API servers, brokers and
-- applications, stand-ins for Strimzi's operators and the kubelet. Loaded by path:
--     local said = dofile("tests/support/demo_kube.lua")(t, env, "-p", "x=y", ..)
-- Its audit is the judge; what it said is given.

local sys = require "vm.sys"

return function(t, env, ...)
  local folder = t.ok(sys.temporary_folder "tranship-demo-test")
  local all = { BUILD = sys.executable():match "^(.*)/", TMPDIR = folder,
    ROLLBACK = "0", HARDSHIP = "" }
  for name, value in pairs(env) do all[name] = value end
  local ended = t.ok(sys.run { args = { "tests/world/demo-kube", ... },
    stdin = "null", env = all })
  sys.run { "rm", "-rf", folder }
  local said = ended.stdout .. ended.stderr
  t.equal(ended.code, 0, said)
  local produced = said:match(
    "produced (%d+)  seen %d+  lost 0  doubled 0  out of order 0  altered 0")
  t.ok(produced and tonumber(produced) > 1000, said)
  return said
end
