-- Moves Kafka's own test clients: VerifiableProducer, VerifiableConsumer, and
-- between them the app that reverses. Each start of the producer has a prefix
-- of its own, its process id.
runbook "verifiable" { version = "1", order = "readers before writers" }

local move = require "acme/moves".move

local p = params {
  old    = a.text { help = "bootstrap address of one cluster" },
  new    = a.text { help = "bootstrap address of the other" },
  apps   = a.text { help = "folder of the applications" },
  trails = a.text { help = "folder of their trails" },
  java   = a.text { help = "what runs a class of Kafka's tools" },
}

local old = cluster "old" { bootstrap = p.old }
local new = cluster "new" { bootstrap = p.new }

local function tool(class, options)
  return { "/bin/sh", "-c", "exec " .. p.java .. " -Xmx96m org.apache.kafka.tools." .. class
    .. " --bootstrap-server {bootstrap} " .. options }
end

local greetings, reversed = "apps.samples.greetings", "apps.samples.greetings.reversed"
local consumer = workload "consumer" { group = "greeter", reads = reversed,
  process = tool("VerifiableConsumer", "--topic " .. reversed .. " --group-id greeter --verbose --reset-policy earliest") }
local streams = workload "streams" { group = "reverser", reads = greetings, writes = reversed,
  process = { p.apps .. "/reverser", "--bootstrap", "{bootstrap}", "--cluster", "{cluster}", "--reset", "earliest",
              "--trail", p.trails .. "/reverser.trail" } }
local producer = workload "producer" { writes = greetings,
  process = tool("VerifiableProducer", "--topic " .. greetings .. " --throughput 400 --acks -1 --repeating-keys 40 --value-prefix $$") }

local road = bridge "road" { from = old, to = new, topics = { "apps.samples.*" } }

step "Open the bridge"   { ensure = road:open {} }
step "Move the consumer" { ensure = move { consumer, to = new, over = road } }
step "Move the streams"  { ensure = move { streams, to = new, over = road } }
step "Move the producer" { ensure = move { producer, to = new, over = road } }
step "Close the bridge"  { ensure = road:closed() }
