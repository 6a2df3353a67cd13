--- Makes one topic: tranship --lua tests/bench/topic.lua HOST:PORT NAME PARTITIONS
local kafka = require "vm.kafka"
local try = require "base.try"

local at, name, partitions = ...
local client <close> = try(kafka.open { bootstrap = at, name = "bench" })
local made = try(client:create_topics {
  { name = name, partitions = math.tointeger(partitions), replication = 1 } })
if made[1].err then error(made[1].err, 0) end
