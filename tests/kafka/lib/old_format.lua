--- Log segments as brokers before 0.11 wrote them: messages of the formats 0
-- and 1, single and gzipped. Newer brokers read such segments but have no way
-- to write one, so a test puts one into the folder of a broker that is stopped.

local sys = require "vm.sys"

local M = {}

local GZIP, APPEND_TIME = 1, 8

local TABLE = {}
for byte = 0, 255 do
  local crc = byte
  for _ = 1, 8 do
    crc = crc & 1 == 1 and crc >> 1 ~ 0xEDB88320 or crc >> 1
  end
  TABLE[byte] = crc
end

local function crc32(bytes)
  local crc = 0xFFFFFFFF
  for at = 1, #bytes do
    crc = TABLE[(crc ~ bytes:byte(at)) & 255] ~ crc >> 8
  end
  return ~crc & 0xFFFFFFFF
end

local function bytes_of(value)
  return value and string.pack(">s4", value) or string.pack(">i4", -1)
end

--- One message; `magic` 1 has a timestamp.
local function message(magic, attributes, offset, one)
  local body = string.pack(">BB", magic, attributes)
    .. (magic == 1 and string.pack(">i8", one.timestamp) or "")
    .. bytes_of(one.key) .. bytes_of(one.value)
  body = string.pack(">I4", crc32(body)) .. body
  return string.pack(">i8I4", offset, #body) .. body
end

local function gzip(bytes)
  local path = os.tmpname()
  local plain <close> = assert(io.open(path, "wb"))
  assert(plain:write(bytes) and plain:flush())
  local done = assert(sys.run { "gzip", "-f", path })
  assert(done.code == 0, done.stderr)
  local packed = assert(sys.read_file(path .. ".gz"))
  os.remove(path .. ".gz")
  return packed
end

--- A set of records { key, value, timestamp } in one message.
local function wrapped(magic, attributes, offset, list)
  local set = {}
  for index, one in ipairs(list) do
    set[index] = message(magic, 0, (magic == 0 and offset or 0) + index - 1, one)
  end
  return message(magic, GZIP | attributes, offset + #list - 1,
    { value = gzip(table.concat(set)), timestamp = 1600000000000 })
end

local function records(first, count)
  local list = {}
  for n = first, first + count - 1 do
    list[#list + 1] = { key = n % 5 ~= 0 and "key-" .. n or nil,
      value = n % 7 ~= 0 and ("value %d "):format(n):rep(n % 9 + 1) or nil,
      timestamp = 1500000000000 + n }
  end
  return list
end

--- A segment of both formats from offset 0 on, with gaps as the cleaner leaves
-- them; and how many records it holds, and its next offset.
---@return string bytes, integer records, integer next
function M.segment()
  local parts, offset, count = {}, 0, 0
  local function singles(magic, attributes, some, step)
    for _, one in ipairs(records(offset, some)) do
      parts[#parts + 1] = message(magic, attributes, offset, one)
      offset, count = offset + step, count + 1
    end
  end
  local function set(magic, attributes, some)
    parts[#parts + 1] = wrapped(magic, attributes, offset,
      records(offset, some))
    offset, count = offset + some, count + some
  end
  for magic = 0, 1 do
    singles(magic, 0, 30, 1)
    set(magic, 0, 200)
    singles(magic, 0, 20, 3)
    set(magic, 0, 1)
  end
  singles(1, APPEND_TIME, 10, 1)
  set(1, APPEND_TIME, 50)
  return table.concat(parts), count, offset
end

return M
