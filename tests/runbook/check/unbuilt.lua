-- What the language knows and this version does not do is refused, not ignored.
runbook "unbuilt" { window = { opens = "Sat 01:00", closes = "Sun 05:00" } }

local ocp = kubernetes "ocp" { context = "prod" }
local source = cluster "source" { strimzi = "event-bus", on = ocp, listener = "external", user = "migration" }
local target = cluster "target" { bootstrap = "127.0.0.1:9093" }
local unit = workload "unit" { unit = "greeter.service", group = "g", reads = "a" }

step "Keep GitOps away" { ensure = gitops_paused { ocp }, lasts = "run" }
step "Ask two people" {
  verify  = function() return true end,
  approve = { "Go?", by = 2, from = "sre-leads" },
  window  = "any",
}
