-- Unknown words, names and fields: each with what was probably meant.
runbook "words" { versoin = "1.0.0" }

local source = cluster "source" { bootstrap = "127.0.0.1:9092" }
local target = cluster "target" { bootstrap = "127.0.0.1:9093", nevr = { "delete topics" } }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }

stpe "A misspelt word" { verify = road:lag { at_most = 1 } }

step "A misspelt field" {
  verify  = road:lag { at_most = 1 },
  retyr   = { times = 2, wiat = "1s" },
  approve = { "Go?", witin = "2h" },
}

step "A misspelt reading" { verify = { road:lagg { at_most = 1 }, sauce:reachable() } }

parallel "A misspelt option" { at_onec = 2, step "Inside" { verify = road:lag { at_most = 1 } } }

step "Without a table"
step "Items where fields belong" { road:lag { at_most = 1 } }
limit = 100
