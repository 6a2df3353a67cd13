-- Secrets are given by reference and never shown.
runbook "secrets" {}

local p = params {
  admin = a.secret { from = "env:HOME", help = "any variable that is set" },
  plain = a.secret { from = "hunter2" },
  vault = a.secret { from = "vault:kafka/target#admin" },
  gone  = a.secret { from = "env:TRANSHIP_NO_SUCH_VARIABLE" },
}
local source = cluster "source" { bootstrap = "127.0.0.1:9092", login = scram { "admin", "hunter2" } }
local target = cluster "target" { bootstrap = "127.0.0.1:9093", login = scram { "admin", p.admin } }
local third = cluster "third" { bootstrap = "127.0.0.1:9094" }
local road = bridge "road" { from = target, to = third, topics = "apps.*" }

step("Log in with " .. p.admin) { verify = road:lag { at_most = 1 } }
step "Ask" {
  verify  = road:lag { at_most = 1 },
  approve = { "Is " .. tostring(p.admin) .. " the password?" },
  note    = p.admin,
}
