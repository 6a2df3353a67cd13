-- Moves the event bus from the old cluster to the new one: readers first, then
-- writers, with a way back at every step until the bridge is closed.
runbook "event-bus" {
  version = "1.0.0",
  owner   = "streaming-platform@example.com",
  order   = "readers before writers",
}

local move = require "acme/moves".move

local p = params {
  old      = a.text     { help = "bootstrap address of the cluster to leave" },
  new      = a.text     { help = "bootstrap address of the cluster to move to" },
  apps     = a.text     { default = "build/apps", help = "folder of the applications" },
  trails   = a.text     { default = ".", help = "folder in which they write down what they do" },
  max_lag  = a.count    { default = 2000, help = "records a reader may be behind" },
  watch    = a.duration { default = "3s", help = "how long a moved application is watched" },
  soak     = a.duration { default = "5s", help = "how long both sides stay usable" },
  patience = a.duration { default = "30s", help = "how long a check may take until it holds" },
}

local old = cluster "old" { bootstrap = p.old, never = { "delete topics", "delete records" } }
local new = cluster "new" { bootstrap = p.new }

-- How an application is started on either cluster.
local function app(name)
  return { p.apps .. "/" .. name, "--bootstrap", "{bootstrap}", "--cluster", "{cluster}",
           "--trail", p.trails .. "/" .. name .. ".trail" }
end

local greetings, reversed = "apps.samples.greetings", "apps.samples.greetings.reversed"
local consumer = workload "hello-world-consumer" { group = "greeter",  reads = reversed, process = app "consumer" }
local streams  = workload "hello-world-streams"  { group = "reverser", reads = greetings, writes = reversed, process = app "reverser" }
local producer = workload "hello-world-producer" { writes = greetings, process = app "producer" }

local road = bridge "event-bus" { from = old, to = new, topics = { "apps.*", "monitor.*" } }

step "0. Back up what we are about to touch" { ensure = backup { old:definitions(), old:offsets() } }

step "1. Reach every broker of both sides" { verify = { old:reachable(), new:reachable() } }
step "2. See that we may do what we must"  { verify = { old:rights { "mirror" }, new:rights { "mirror", "create topics" } } }
step "3. Shape the target like the source" { ensure = new:shaped_like(old) }
step "4. Open the bridge"                  { ensure = road:open {}, retry = { times = 5, wait = "1s" } }

local arrived = step "5. See that topics and data have arrived" {
  verify  = { road:same_topics(), road:lag { at_most = p.max_lag, steady = p.watch }, road:same_records {} },
  timeout = "10m", good_for = "5m",
}

step "6a. Move the consumer"           { ensure = move { consumer, to = new, over = road }, on_failure = "undo this" }
step "6b. Move the streams app"        { ensure = move { streams, to = new, over = road }, on_failure = "undo this" }
step "6c. Carry the groups that sleep" { ensure = road:carried { "archive", "billing", "waiting", to = new } }

step "7. See the readers at work" {
  verify     = { consumer:lag { at_most = p.max_lag }, streams:lag { at_most = p.max_lag } },
  steady     = p.watch, timeout = p.patience,
  on_failure = undo_to(arrived),
}

step "8. Move the producer" { needs = { arrived }, ensure = move { producer, to = new, over = road }, on_failure = "undo this" }

step "9. See the writers at work" {
  verify     = { producer:rate { at_least = "1000/s" }, road:lag { at_most = p.max_lag } },
  timeout    = p.patience,
  on_failure = "undo all",
}

step "9a. Live with both sides" {
  verify     = { producer:rate { at_least = "1000/s" }, streams:lag { at_most = p.max_lag },
                 consumer:lag { at_most = p.max_lag }, road:same_records {} },
  steady     = p.soak, timeout = p.patience,
  on_failure = "undo all",
}

point_of_no_return "9b. The old cluster stops being a way back" {
  approve = { "Both sides agreed for " .. p.soak .. ". Close the bridge?", within = "1h" },
}
step "9c. Close the bridge"      { ensure = road:closed() }
step "9d. Retire the old cluster" { ensure = old:retired { quiet = "3s" } }
