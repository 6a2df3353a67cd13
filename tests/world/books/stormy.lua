-- Moves three Deployments from one platform to another, after a fourth that takes
-- its time has been awaited by a watch. For bad weather: no step undoes itself.
runbook "stormy" { version = "1" }

local move = require "acme/moves".move

local p = params {
  old  = a.text { help = "bootstrap address of one cluster" },
  new  = a.text { help = "bootstrap address of the other" },
  kube = a.text { help = "kubeconfig of both platforms, which are two namespaces" },
}

local left  = kubernetes "left"  { kubeconfig = p.kube, namespace = "left" }
local right = kubernetes "right" { kubeconfig = p.kube, namespace = "right" }
local old = cluster "old" { bootstrap = p.old, on = left }
local new = cluster "new" { bootstrap = p.new, on = right }

local greetings, reversed = "apps.samples.greetings", "apps.samples.greetings.reversed"
local consumer = workload "consumer" { group = "greeter",  reads = reversed, deployment = { "consumer", size = 1 } }
local streams  = workload "reverser" { group = "reverser", reads = greetings, writes = reversed, deployment = { "reverser", size = 1 } }
local producer = workload "producer" { writes = greetings, deployment = { "producer", size = 1 } }

local road = bridge "road" { from = old, to = new, topics = { "apps.samples.*" } }

local available = goal "{name} is available on {on}" {
  takes = { a.kubernetes "on", a.text "name" },
  check = function(g)
    local there = g.on:get("Deployment", g.name)
    return (there.status.availableReplicas or 0) > 0
  end,
  apply = function(g)
    g.on:scale("Deployment", g.name, 1)
    g.on:wait_for("Deployment", g.name, { condition = "Available" })
  end,
  undo = function(g) g.on:scale("Deployment", g.name, 0) end,
}

step "1. Open the bridge"      { ensure = road:open {} }
step "2. Await a slow one"     { ensure = available { right, "late" } }
step "3. Move the consumer"    { ensure = move { consumer, to = new, over = road } }
step "4. Move the streams"     { ensure = move { streams, to = new, over = road }, timeout = "20s" }
step "5. Move the producer"    { ensure = move { producer, to = new, over = road } }
step "6. See them at work"     {
  verify = { producer:rate { at_least = "50/s" }, streams:lag { at_most = 2000 },
             consumer:lag { at_most = 2000 }, road:same_records {} },
  timeout = "2m",
}
