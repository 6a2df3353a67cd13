-- The shape of the whole: names, needs, ways back, groups.
runbook "steps" {}

local source = cluster "source" { bootstrap = "127.0.0.1:9092" }
local target = cluster "target" { bootstrap = "127.0.0.1:9093" }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }
local app = workload "app" { group = "app", reads = "apps.a", process = { "true" } }
local move = require "acme/moves".move
local seen = function() return true end

local first = step "First" { verify = road:lag { at_most = 1 } }
step "First" { verify = road:lag { at_most = 2 } }

local one = step "One"
local two = step "Two" { needs = { one }, verify = road:lag { at_most = 1 } }
one { needs = { two }, verify = road:lag { at_most = 1 } }

local late = step "Late"
step "Early" { needs = { late }, verify = road:lag { at_most = 1 }, on_failure = undo_to(late) }
late { verify = road:lag { at_most = 1 } }

step "Empty" { note = "nothing here" }
step "Both" { ensure = road:closed(), apply = seen }
step "Unsure" { apply = seen, irreversible = "nothing stays" }
step "Passing over" { ensure = road:closed(), on_failure = "go on" }
step "Nothing to hold" { ensure = road:closed(), steady = "5m", good_for = "1h" }

parallel "Two at once" {
  step "Forth" { ensure = move { app, to = target, over = road } },
  step "Back"  { ensure = move { app, to = source, over = road } },
  point_of_no_return "Inside" { approve = "Go?" },
  road:closed(),
}

point_of_no_return "The line" { verify = road:lag { at_most = 1 } }
step "Too far back" { ensure = road:closed(), on_failure = undo_to(first) }
step "Much too far back" { ensure = road:closed(), on_failure = "undo all" }
