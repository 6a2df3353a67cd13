-- Goals of clusters that Strimzi runs: what they take, and what they refuse.
runbook "b" { version = "1" }
local k = kubernetes "k" { context = "x" }
local old = cluster "old" { bootstrap = "127.0.0.1:9092" }
local new = cluster "new" { strimzi = "bus", on = k, listener = "plain" }
step "g" { ensure = gitops_paused { k, old }, lasts = "run" }
step "g2" { ensure = gitops_paused { "k" }, lasts = "run" }
step "m" { ensure = new:mirror_maker { "road", form = old, topics = { "apps.*" }, every = 30 } }
step "m2" { ensure = old:mirror_maker { "road" } }
step "t" { ensure = new:topic { partitions = 3 } }
step "good g" { ensure = gitops_paused { k, new }, lasts = "run" }
step "good s" { ensure = new:shaped_like(old) }
step "good s2" { ensure = new:shaped_like { old, pool = { storage = { type = "x" } } } }
step "good t" { ensure = new:topic { "orders", partitions = 3 } }
step "good m" { ensure = new:mirror_maker { "road", from = old, topics = { "apps.*" }, every = "30s" } }
step "good mr" { ensure = new:mirror_maker_retired { "road", from = old } }
step "good r" { ensure = new:retired { quiet = "3s" } }
