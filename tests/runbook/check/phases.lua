-- Declaring contacts nothing, changes nothing, and knows no other world.
runbook "phases" {}

local source = cluster "source" { bootstrap = "127.0.0.1:9092" }
local target = cluster "target" { bootstrap = "127.0.0.1:9093" }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }

for _, topic in ipairs(source:topics()) do log(topic.name) end
target:create_topic { name = "apps.a", partitions = 3 }
source:client()
source.bootstrap = "elsewhere:9092"
os.remove("/etc/passwd")
local text = io.open("/etc/passwd")
road.lag { at_most = 1 }
local moves = require "acme/movs"
local sly = require "../../../etc/passwd"
step "Look" { verify = function() return raod:lag { at_most = 1 } and load("x") end }
