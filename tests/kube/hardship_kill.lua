-- The demo on Kubernetes, forward, killed (-9) in every step and resumed.
local test = ...
local demo = dofile "tests/support/demo_kube.lua"

test("killed in every step and resumed", function(t)
  local said = demo(t, { HARDSHIP = "kill", RATE = "300" }, "-p", "rate=100/s",
    "-p", "watch=1s", "-p", "soak=2s", "-p", "patience=3m")
  local count, steps = said:match "killed in (%d+) steps %(([^)]*)%)"
  t.note(("killed in %s steps: %s"):format(count, steps))
  t.ok(tonumber(count) >= 15, said)
end)
