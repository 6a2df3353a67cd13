-- The demo on Kubernetes when somebody scales the wrong Deployment, after the
-- producer has moved.
local test = ...
local demo = dofile "tests/support/demo_kube.lua"

test("all the way back", function(t)
  local said = demo(t, { ROLLBACK = "1" }, "-p", "watch=1s", "-p", "max_lag=2000",
    "-p", "patience=20s")
  t.match(said, "exit code 5")
end)
