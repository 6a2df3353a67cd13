-- Calls that cannot be meant: options that do not exist, values of another kind.
runbook "calls" {}

local p = params { most = a.count { default = 5 } }
local source = cluster "source" { bootstrap = "127.0.0.1:9092" }
local target = cluster "target" { bootstrap = "127.0.0.1:9093" }
local app = workload "app" { group = "g", reads = "apps.a", process = { "true" } }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }

step "1" { verify = road:lag { at_mst = 100 } }
step "2" { verify = road:lag {} }
step "3" { verify = road:lag { at_most = "100" } }
step "4" { verify = road:same_records { sample = "200%" } }
step "5" { verify = road:fence("apps.a", { stil = "10s" }) }
step "6" { verify = source:reachable { certificate = "30d" } }
step "7" { verify = source:rights { "mirror", topcs = "apps.*" } }
step "8" { verify = road:writer_is("apps.a") }
step "9" { verify = app:lag(100) }
step "10" { verify = app:ready(target) }
step "11" { ensure = road:carried { "g" } }
step "12" { ensure = target:shaped_like(nil) }
step "13" { verify = road:lag { at_most = p.mots } }
step "14" { verify = road:fence {} }
