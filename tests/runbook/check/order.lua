-- Readers before writers: a writer must not move before whoever reads it.
runbook "order" { order = "readers before writers" }

local source = cluster "source" { bootstrap = "127.0.0.1:9092" }
local target = cluster "target" { bootstrap = "127.0.0.1:9093" }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }
local move = require "acme/moves".move

local producer = workload "producer" { writes = "apps.a", process = { "true" } }
local streams  = workload "streams" { group = "s", reads = "apps.a", writes = "apps.b", process = { "true" } }
local consumer = workload "consumer" { group = "c", reads = "apps.*", process = { "true" } }
local ping     = workload "ping" { group = "i", reads = "x.pong", writes = "x.ping", process = { "true" } }
local pong     = workload "pong" { group = "o", reads = "x.ping", writes = "x.pong", process = { "true" } }

step "1. Move the streams app" { ensure = move { streams, to = target, over = road } }
step "2. Move the consumer"    { ensure = move { consumer, to = target, over = road } }
step "3. Move the producer"    { ensure = move { producer, to = target, over = road } }
step "4. Move ping"            { ensure = move { ping, to = target, over = road } }
step "5. Move pong"            { ensure = move { pong, to = target, over = road } }
