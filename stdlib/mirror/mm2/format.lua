--- The byte formats of MirrorMaker 2's own topics, read and written.
-- Numbers are big-endian, strings have their length in two bytes before them.
-- A tombstone says nothing and is nil without an err; what cannot be read, or
-- has another version than 0, is refused and never guessed. Nothing here can
-- write a tombstone: MirrorMaker's readers would break on it.

local err = require "base.err"
local json = require "vm.json"

local M = {}

local VERSION = 0
local CHECKPOINT_KEY, CHECKPOINT_VALUE = ">s2s2i4", ">i2i8i8s2"
local SYNC_KEY, SYNC_VALUE = ">s2i4", ">i8i8"
local HEARTBEAT_KEY, HEARTBEAT_VALUE = ">s2s2", ">i2i8"

local function refuse(what, record, format, ...)
  return nil, err.new {
    kind = "invalid", origin = "mm2",
    message = ("%s at offset %s: %s"):format(what, tostring(record.offset),
      format:format(...)),
  }
end

--- The fields of `bytes`, which hold them and no more; or nil.
local function unpack(format, bytes)
  local fields = table.pack(pcall(string.unpack, format, bytes))
  local ok, stop = fields[1], fields[fields.n]
  if not ok or stop ~= #bytes + 1 then return nil end
  return table.unpack(fields, 2, fields.n - 1)
end

local function is_tombstone(record) return not record.key or not record.value end

--- Refuses versions but ours, before anything behind them is looked at.
local function check_version(what, record)
  local version = #record.value >= 2 and (">i2"):unpack(record.value)
  if version == VERSION then return true end
  return refuse(what, record, "version %s; this build reads version %d",
    tostring(version or "missing"), VERSION)
end

--- Of the sync topic: { topic, partition, upstream, downstream }.
function M.sync(record)
  if is_tombstone(record) then return nil end
  local topic, partition = unpack(SYNC_KEY, record.key)
  local upstream, downstream = unpack(SYNC_VALUE, record.value)
  if not topic or not upstream then
    return refuse("offset sync", record, "its bytes are none")
  end
  return { topic = topic, partition = partition, upstream = upstream,
    downstream = downstream }
end

--- Of the checkpoint topic: { group, topic, partition, upstream, downstream,
-- metadata, time }; the topic as the target calls it.
function M.checkpoint(record)
  if is_tombstone(record) then return nil end
  local ok, why = check_version("checkpoint", record)
  if not ok then return nil, why end
  local group, topic, partition = unpack(CHECKPOINT_KEY, record.key)
  local version, upstream, downstream, metadata = unpack(CHECKPOINT_VALUE,
    record.value)
  if not group or not version then
    return refuse("checkpoint", record, "its bytes are none")
  end
  return { group = group, topic = topic, partition = partition,
    upstream = upstream, downstream = downstream, metadata = metadata,
    time = record.timestamp }
end

--- Of the heartbeat topic: { source, target, time }.
function M.heartbeat(record)
  if is_tombstone(record) then return nil end
  local ok, why = check_version("heartbeat", record)
  if not ok then return nil, why end
  local source, target = unpack(HEARTBEAT_KEY, record.key)
  local version, time = unpack(HEARTBEAT_VALUE, record.value)
  if not source or not version then
    return refuse("heartbeat", record, "its bytes are none")
  end
  return { source = source, target = target, time = time }
end

--- What a JSON converter with schemas wraps around a value.
local function payload(value)
  if type(value) == "table" and value.payload ~= nil and value.schema ~= nil then
    return value.payload
  end
  return value
end

--- Of Connect's offset topic: { connector, cluster, topic, partition, offset },
-- the offset being that of the last record copied, nil when it was reset. Nil
-- without an err for positions that are not those of a copied partition.
function M.offset(record)
  if not record.key then return nil end
  local key = payload(json.decode(record.key))
  local at = type(key) == "table" and key[2]
  if type(at) ~= "table" or not at.cluster or not at.topic
    or math.type(at.partition) ~= "integer" then
    return nil
  end
  local said = { connector = key[1], cluster = at.cluster, topic = at.topic,
    partition = at.partition }
  if not record.value then return said end
  local value = payload(json.decode(record.value))
  if value == json.null then return said end
  said.offset = type(value) == "table" and math.tointeger(value.offset) or nil
  if not said.offset then
    return refuse("source offset", record, "%q holds no offset",
      record.value:sub(1, 60))
  end
  return said
end

--- Key and value of a sync, as a producer takes them.
function M.encode_sync(sync)
  return SYNC_KEY:pack(sync.topic, sync.partition),
    SYNC_VALUE:pack(sync.upstream, sync.downstream)
end

function M.encode_checkpoint(one)
  return CHECKPOINT_KEY:pack(one.group, one.topic, one.partition),
    CHECKPOINT_VALUE:pack(VERSION, one.upstream, one.downstream,
      one.metadata or "")
end

function M.encode_heartbeat(beat)
  return HEARTBEAT_KEY:pack(beat.source, beat.target),
    HEARTBEAT_VALUE:pack(VERSION, beat.time)
end

--- As Connect writes it: fields in the order of their names, no blanks.
function M.encode_offset(at)
  return json.encode(json.array { at.connector, {
    cluster = at.cluster, partition = at.partition, topic = at.topic,
  } }), json.encode { offset = at.offset }
end

return M
