-- Nothing is wrong here.
runbook "good" { version = "1.0.0" }

local source = cluster "source" { bootstrap = "127.0.0.1:9092" }
local target = cluster "target" { bootstrap = "127.0.0.1:9093" }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }

step "Look" { verify = road:lag { at_most = 1 } }
