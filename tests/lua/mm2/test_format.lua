--- MirrorMaker 2's bytes, as a MirrorMaker 4.3.1 wrote them: read, and written
-- again the same. And its names, under both policies.

local format = require "mirror.mm2.format"
local names = require "mirror.mm2.names"

local test = ...

local function bytes(hex)
  return (hex:gsub("%s", ""):gsub("%x%x", function(two)
    return string.char(tonumber(two, 16))
  end))
end

local function record(key, value)
  return { key = key, value = value, offset = 7, timestamp = 1700 }
end

-- Read from the topics of flow old -> new, group "billing" on orders/0.
local SYNC = record(bytes "0006 6f7264657273 00000000",
  bytes "0000000000000065 0000000000000065")
local CHECKPOINT = record(
  bytes "0007 62696c6c696e67 0006 6f7264657273 00000000",
  bytes "0000 00000000000000fa 00000000000000cb 0005 6dc3a97461")
local HEARTBEAT = record(bytes "0003 6e6577 0003 6f6c64",
  bytes "0000 000001a21372f4e8")
local OFFSET = record('["MirrorSourceConnector",{"cluster":"old",'
  .. '"partition":0,"topic":"heartbeats"}]', '{"offset":23}')

test("an offset sync", function(t)
  local sync = t.ok(format.sync(SYNC))
  t.equal(sync, { topic = "orders", partition = 0, upstream = 101,
    downstream = 101 })
  local key, value = format.encode_sync(sync)
  t.equal(key, SYNC.key)
  t.equal(value, SYNC.value)
end)

test("a checkpoint, with its metadata", function(t)
  local one = t.ok(format.checkpoint(CHECKPOINT))
  t.equal(one, { group = "billing", topic = "orders", partition = 0,
    upstream = 250, downstream = 203, metadata = "m\u{e9}ta", time = 1700 })
  local key, value = format.encode_checkpoint(one)
  t.equal(key, CHECKPOINT.key)
  t.equal(value, CHECKPOINT.value)
end)

test("a heartbeat", function(t)
  local beat = t.ok(format.heartbeat(HEARTBEAT))
  t.equal(beat, { source = "new", target = "old", time = 1795622630632 })
  local key, value = format.encode_heartbeat(beat)
  t.equal(key, HEARTBEAT.key)
  t.equal(value, HEARTBEAT.value)
end)

test("a source offset of Connect", function(t)
  local at = t.ok(format.offset(OFFSET))
  t.equal(at, { connector = "MirrorSourceConnector", cluster = "old",
    topic = "heartbeats", partition = 0, offset = 23 })
  local key, value = format.encode_offset(at)
  t.equal(key, OFFSET.key)
  t.equal(value, OFFSET.value)
end)

test("a source offset of a shared Connect cluster", function(t)
  -- Fields in another order, blanks, a converter with schemas.
  local at = t.ok(format.offset(record(
    '{"schema":{"type":"string"},"payload":[ "east-to-west", { "topic":"t", '
    .. '"partition":3, "cluster":"east" } ]}',
    '{"schema":null,"payload":{"offset":9007199254740993}}')))
  t.equal(at.connector, "east-to-west")
  t.equal(at.partition, 3)
  t.equal(at.offset, 9007199254740993)
end)

test("positions of other connectors are passed over", function(t)
  for _, key in ipairs {
    '["MirrorCheckpointConnector",{"group":"g","partition":0,"topic":"t"}]',
    '["MirrorHeartbeatConnector",{"sourceClusterAlias":"a"}]',
    '["file-source",{"filename":"x"}]', "no json", "17",
  } do
    local at, why = format.offset(record(key, '{"offset":1}'))
    t.equal(at, nil, key)
    t.equal(why, nil, key)
  end
end)

test("tombstones are survived", function(t)
  for _, name in ipairs { "sync", "checkpoint", "heartbeat" } do
    local said, why = format[name](record("key", nil))
    t.equal(said, nil)
    t.equal(why, nil)
  end
  local reset = t.ok(format.offset(record(OFFSET.key, nil)))
  t.equal(reset.offset, nil)
  t.equal(t.ok(format.offset(record(OFFSET.key, "null"))).offset, nil)
end)

test("another version is refused, whatever follows it", function(t)
  local later = CHECKPOINT.value:gsub("^\0\0", "\0\1")
  local why = t.fails("invalid",
    format.checkpoint(record(CHECKPOINT.key, later)))
  t.match(why, "checkpoint at offset 7: version 1; this build reads version 0")
  t.fails("invalid", format.checkpoint(record(CHECKPOINT.key, "\0\1?")))
  t.fails("invalid", format.heartbeat(record(HEARTBEAT.key, "\1\0" .. "x")))
  t.fails("invalid", format.heartbeat(record(HEARTBEAT.key, "")))
end)

test("bytes cut off anywhere are refused, and bytes too many", function(t)
  local function refused(read, whole)
    for length = 0, #whole.value - 1 do
      t.fails("invalid", read(record(whole.key, whole.value:sub(1, length))))
    end
    for length = 0, #whole.key - 1 do
      t.fails("invalid", read(record(whole.key:sub(1, length), whole.value)))
    end
    t.fails("invalid", read(record(whole.key, whole.value .. "x")))
  end
  refused(format.sync, SYNC)
  refused(format.checkpoint, CHECKPOINT)
  refused(format.heartbeat, HEARTBEAT)
  t.match(t.fails("invalid", format.offset(record(OFFSET.key, "{}"))),
    "holds no offset")
  t.fails("invalid", format.offset(record(OFFSET.key, '{"offset":"x"}')))
end)

test("names of a flow under the default policy", function(t)
  local flow = t.ok(names.new { source = "A", target = "B" })
  t.equal(flow.syncs, "mm2-offset-syncs.B.internal")
  t.equal(flow.syncs_side, "from")
  t.equal(flow.checkpoints, "A.checkpoints.internal")
  t.equal(flow.remote_heartbeats, "A.heartbeats")
  t.equal(flow.offsets, "mm2-offsets.A.internal")
  t.equal(flow.group, "A-mm2")
  t.equal(flow:on_target "t", "A.t")
  t.equal(flow:on_target "C.t", "A.C.t")
  t.equal(flow:on_target "B.t", "t") -- came from there
  t.equal(flow:on_source "A.t", "t")
  t.equal(flow:on_source "A.C.t", "C.t")
  t.equal(flow:on_source "t", nil)
  t.equal(flow:for_bridge(), { prefix = "A." })
end)

test("names under the identity policy, but for heartbeats", function(t)
  local flow = t.ok(names.new { source = "A", target = "B",
    policy = "identity", offset_syncs = "target" })
  t.equal(flow.syncs, "mm2-offset-syncs.A.internal")
  t.equal(flow.syncs_side, "to")
  t.equal(flow:on_target "A.t", "A.t")
  t.equal(flow:on_source "t", "t")
  t.equal(flow:on_target "heartbeats", "A.heartbeats")
  t.equal(flow:on_source "A.heartbeats", "heartbeats")
  t.equal(flow:for_bridge(), "same")
end)

test("a separator of one's own, in internal names too or not", function(t)
  local spec = { source = "A", target = "B", separator = "_" }
  local flow = t.ok(names.new(spec))
  t.equal(flow.syncs, "mm2-offset-syncs_B_internal")
  t.equal(flow.checkpoints, "A_checkpoints_internal")
  t.equal(flow.offsets, "mm2-offsets.A.internal")
  t.equal(flow:on_target "t", "A_t")
  spec.internal_separator = false
  flow = t.ok(names.new(spec))
  t.equal(flow.syncs, "mm2-offset-syncs.B.internal")
  t.equal(flow.checkpoints, "A.checkpoints.internal")
  t.equal(flow.remote_heartbeats, "A_heartbeats")
end)

test("a flow that cannot be is refused", function(t)
  t.fails("invalid", names.new { source = "A" })
  t.fails("invalid", names.new { source = "A", target = "A" })
  t.match(t.fails("invalid", names.new { source = "A", target = "B",
    policy = "custom" }), "'default' and 'identity'")
end)
