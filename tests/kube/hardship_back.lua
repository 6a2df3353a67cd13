-- The demo on Kubernetes, taken back from three of its steps, one run after the
-- other; from the steps after them: demo_rollback.lua.
local test = ...
local demo = dofile "tests/support/demo_kube.lua"

test("back from steps 6, 7 and 8", function(t)
  local said = demo(t, { HARDSHIP = "back", RATE = "300" }, "-p", "rate=100/s",
    "-p", "watch=1s", "-p", "patience=3m")
  local count = select(2, said:gsub("taken back with exit code 5", ""))
  t.equal(count, 3, said)
end)
