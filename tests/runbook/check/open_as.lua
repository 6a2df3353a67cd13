-- Who an engine is: a login, or a KafkaUser where there is one to read.
runbook "b" { version = "1" }
local k = kubernetes "k" { context = "x" }
local old = cluster "old" { strimzi = "bus", on = k, listener = "external", user = "x" }
local new = cluster "new" { bootstrap = "127.0.0.1:9092" }
local road = bridge "road" { from = old, to = new, topics = { "a" } }
local back = bridge "back" { from = new, to = old, topics = { "b" } }
step "1" { ensure = road:open { as = 5 } }
step "2" { ensure = road:open { as = { form = "migration" } } }
step "3" { ensure = back:open { as = "migration" } }
step "4" { ensure = road:open { as = { from = "migration", to = "mover" } } }
step "good 1" { ensure = road:open { as = "migration" } }
step "good 2" { ensure = road:open { as = { from = "migration", to = token { "get-token" } } } }
step "good 3" { ensure = back:open { as = { to = "migration" } } }
step "good 4" { ensure = back:open { as = token { "get-token" } } }
