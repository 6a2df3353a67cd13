-- Wrong types and units, and references to what is not there.
runbook "values" { version = 1, order = "writers before readers" }

local p = params {
  soak  = a.duration { default = 48 },
  size  = a.sise { default = "1MiB" },
  ratio = a.share { default = "1 percent" },
  level = a.choice { "low", "high", default = "middle" },
  app   = a.workload "app",
}

local source = cluster "source" { bootstrap = 9092 }
local target = cluster "target" { bootstrap = "127.0.0.1:9093" }
local other  = cluster "other" { bootstrap = "127.0.0.1" }
local third  = cluster "third" { bootstrap = "127.0.0.1:9094" }
local road   = bridge "road" { from = target, to = "other", topics = {} }
local app    = workload "app" { group = "app", reads = { "apps.a", 7 } }
local good   = bridge "good" { from = target, to = third, topics = "apps.*" }

local arrived
step "Units" {
  verify   = good:lag { at_most = 1 },
  steady   = 2,
  timeout  = "5",
  good_for = "two minutes",
  retry    = { wait = 10 },
  approve  = { "Go?", within = 2 },
}
step "Kinds" { ensure = target, needs = { arrived, "Units" }, when = "yes", tags = { 1 } }
step "Ways out" { verify = good:lag { at_most = 1 }, on_failure = "undo al" }
step "Numbers" { verify = good:lag { at_most = 1 }, retry = 0, lasts = "forever" }
