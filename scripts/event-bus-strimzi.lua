-- Moves the event bus from one Kubernetes to another: Kafka by Strimzi on both,
-- applications as Deployments. Readers first, then writers, with a way back at
-- every step until the bridge is closed.
runbook "event-bus-strimzi" {
  version = "1.0.0",
  owner   = "streaming-platform@example.com",
  order   = "readers before writers",
}

local move = require "acme/moves".move

local p = params {
  ocp3     = a.text     { help = "kubeconfig of the platform to leave" },
  ocp4     = a.text     { help = "kubeconfig of the platform to move to" },
  max_lag  = a.count    { default = 5000, help = "records a reader may be behind" },
  rate     = a.rate     { default = "200/s", help = "records a second that the producer writes at least" },
  watch    = a.duration { default = "3s", help = "how long a moved application is watched" },
  soak     = a.duration { default = "5s", help = "how long both sides stay usable" },
  patience = a.duration { default = "60s", help = "how long a check may take until it holds" },
}

local ocp3 = kubernetes "ocp3" { kubeconfig = p.ocp3 }
local ocp4 = kubernetes "ocp4" { kubeconfig = p.ocp4 }
local old  = cluster "old" { strimzi = "event-bus", on = ocp3, listener = "external", user = "migration",
                             never = { "delete topics", "delete records" } }
local new  = cluster "new" { strimzi = "event-bus", on = ocp4, listener = "external", user = "migration" }

-- Each is the Deployment of its name, on both platforms.
local greetings, reversed = "apps.samples.greetings", "apps.samples.greetings.reversed"
local consumer = workload "hello-world-consumer" { group = "greeter",  reads = reversed }
local streams  = workload "hello-world-streams"  { group = "reverser", reads = greetings, writes = reversed }
local producer = workload "hello-world-producer" { writes = greetings }

local road = bridge "event-bus" { from = old, to = new, topics = { "apps.*", "monitor.*" } }

-- Of scripts/rights/kubernetes-role.yaml; all that is missing is named at once.
local rights = { "move workloads", "get,patch Kafka", "get,list KafkaNodePool", "get Secret",
                 "get,list,create,patch,delete KafkaUser", "get,list,create,patch,delete KafkaTopic" }
step "0. See that we may do what we must on both platforms" { verify = { ocp3:rights(rights), ocp4:rights(rights) } }

parallel "1. Make both sides ready" {
  step "1a. Open the source to outside, for a user of its own" {
    ensure = { old:listener { "external" }, old:user { "migration", superuser = true } },
  },
  step "1b. Open the target likewise" {
    ensure = { new:listener { "external", authentication = "scram-sha-512" },
               new:user { "migration", superuser = true, authentication = "scram-sha-512" } },
  },
}

step "2. Reach every broker, and see that we may do what we must" {
  verify = { old:reachable(), new:reachable(), old:rights { "mirror" }, new:rights { "mirror", "create topics" } },
}
step "2a. Back up what we are about to touch" { ensure = backup { old:definitions(), old:offsets() } }

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
  verify     = { producer:rate { at_least = p.rate }, road:lag { at_most = p.max_lag } },
  timeout    = p.patience,
  on_failure = "undo all",
}

step "9a. Live with both sides" {
  verify     = { producer:rate { at_least = p.rate }, streams:lag { at_most = p.max_lag },
                 consumer:lag { at_most = p.max_lag }, road:same_records {} },
  steady     = p.soak, timeout = p.patience,
  on_failure = "undo all",
}

point_of_no_return "9b. The old platform stops being a way back" {
  approve = { "Both sides agreed for " .. p.soak .. ". Close the bridge?", within = "1h" },
}
step "9c. Close the bridge"       { ensure = road:closed() }
step "9d. Retire the old cluster" { ensure = old:retired { quiet = "3s" } }
