--- The records of a bridge's topic: keys, values, format version.
-- A key says what a record is about; the topic is compacted, so the newest
-- record of a key is what holds. Values are JSON objects with a `format`.
--
--   bridge               who we are: ids and names of both clusters, policy
--   wanted               what the run wants of the bridge: open or closed
--   origin/T             where T began and ended as the bridge was opened to copy
--                        only what is written after that
--   want/T               what the run wants of topic T: leg number and writer
--   claim                which engine works: instance, host, process
--   engine               what that engine reached: running, stopped, closed
--   goodbye              the engine that ended last: nothing of it runs
--   ask                  somebody waits for progress: write it at once
--   turn/T/P/N/G         announced before the fence that begins leg N
--   leg/T/P/N/G          leg N of partition P: producer id, starts, kind
--   seg/T/P/N/S/G        a run of leg N's map that begins at source offset S
--   txn/T/P/N/I/G        source producer I of leg N has a transactional id
--   group/X              where group X is at home: on which side (X is hexadecimal)
--   shadow/X             what the engine did for it on the other side
--   loan/B               a setting of target broker B, or of a topic (B is then
--                        SIDE:TOPIC:SETTING), and what it was before
--   at/T/P               how far the copy of partition P is, and its state
-- T is the topic's name on the side that `from` names. G is the number of the
-- engine's claim: an older engine that wakes up late cannot write over what
-- its successor said, because its keys are its own.

local json = require "vm.json"
local sys = require "vm.sys"
local err = require "base.err"

local M = {}

--- The version of everything this module writes.
M.FORMAT = 1

--- The name of the topic that belongs to bridge `name`.
function M.topic_name(name) return "__tranship." .. name end

local function join(kind)
  return function(...) return table.concat({ kind, ... }, "/") end
end

-- A group's name may hold anything, so it is written in hexadecimal.
local function of_group(kind)
  return function(name) return kind .. "/" .. sys.hex(name) end
end

M.key = {
  bridge = "bridge", wanted = "wanted", claim = "claim", engine = "engine",
  ask = "ask", goodbye = "goodbye",
  want = join "want", origin = join "origin", at = join "at", leg = join "leg", turn = join "turn",
  segment = join "seg", txn = join "txn",
  group = of_group "group", shadow = of_group "shadow",
  loan = join "loan",
}

--- One record as a producer takes it.
---@param key string
---@param value table  plain data; `format` is added
---@return table record
function M.encode(key, value)
  local copy = { format = M.FORMAT }
  for name, field in pairs(value) do copy[name] = field end
  return { partition = 0, key = key, value = json.encode(copy) }
end

local function split(key)
  local parts = {}
  for part in key:gmatch "[^/]+" do parts[#parts + 1] = part end
  return parts
end

local function refuse(format, ...)
  return nil, err.new {
    kind = "invalid", origin = "bridge", message = format:format(...),
  }
end

--- What a record of the topic says: its kind, its path, its value.
-- A record without a value has been taken back and is nil without an err.
---@return table? said { kind, topic?, partition?, path, value }, tranship.Err?
function M.decode(record)
  if not record.key or not record.value then return nil end
  local value, why = json.decode(record.value)
  if type(value) ~= "table" then
    return refuse("record at offset %d is no JSON object: %s", record.offset,
      tostring(why or record.value:sub(1, 40)))
  elseif value.format ~= M.FORMAT then
    return refuse("record at offset %d has format %s; this build reads %d",
      record.offset, tostring(value.format), M.FORMAT)
  end
  local parts = split(record.key)
  local path = {}
  for index = 3, #parts do path[index - 2] = math.tointeger(parts[index]) end
  return {
    kind = parts[1], topic = parts[2], partition = path[1], path = path,
    value = value,
  }
end

return M
