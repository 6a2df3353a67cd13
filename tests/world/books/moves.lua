-- Moves three applications to one of two clusters, whichever is named: the
-- recipe acme/moves, for a reader, a reader that writes, and a writer.
-- With spoil, the last step fails and the run undoes itself.
runbook "moves" { version = "1" }

local move = require "acme/moves".move

local p = params {
  old    = a.text   { help = "bootstrap address of one cluster" },
  new    = a.text   { help = "bootstrap address of the other" },
  apps   = a.text   { help = "folder of the applications" },
  trails = a.text   { help = "folder of their trails" },
  to     = a.choice { "old", "new", default = "new", help = "where to" },
  spoil  = a.flag   { default = false, help = "fail at the end" },
}

local old = cluster "old" { bootstrap = p.old }
local new = cluster "new" { bootstrap = p.new }
local to = p.to == "old" and old or new

local function app(name)
  return { p.apps .. "/" .. name, "--bootstrap", "{bootstrap}", "--cluster", "{cluster}",
           "--trail", p.trails .. "/" .. name .. ".trail", "--reset", "earliest", "--rate", "500" }
end

local greetings, reversed = "apps.samples.greetings", "apps.samples.greetings.reversed"
local consumer = workload "consumer" { group = "greeter",  reads = reversed, process = app "consumer" }
local streams  = workload "streams"  { group = "reverser", reads = greetings, writes = reversed, process = app "reverser" }
local producer = workload "producer" { writes = greetings, process = app "producer" }

local road = bridge "road" { from = old, to = new, topics = { "apps.samples.*" } }

step "Open the bridge"   { ensure = road:open {} }
step "Move the consumer" { ensure = move { consumer, to = to, over = road } }
step "Move the streams"  { ensure = move { streams, to = to, over = road } }
step "Move the producer" { ensure = move { producer, to = to, over = road } }
step "See it at work"    {
  verify = function() return not p.spoil and producer:runs_on(to) end,
  timeout = p.spoil and "1s" or "1m", on_failure = "undo all",
}
