--- The journal of a run: append-only JSON lines, each holding the hash of the
-- line before it. It says what was meant; the clusters say what is.
--
-- The writer never repairs anything but a torn last line, which is what a dead
-- process or a full disk leaves behind. A line changed later breaks the chain
-- and the journal is refused. After a failed write the journal takes no more
-- records: text half written must stay the last thing in the file.

local err = require "base.err"
local json = require "vm.json"
local secret = require "vm.secret"
local sys = require "vm.sys"
local crash = require "runbook.drive.crash"
local plain = require "runbook.record.plain"

local M = { FORMAT = 1 }

---@class tranship.Record  one line: seq, time (wall ms), prev, kind and fields of that kind

---@class tranship.Journal
---@field path string
---@field seq integer   of the last record
---@field head string   hash of the last line
local Journal = {}
Journal.__index = Journal

--- Hash of a line, in hex.
M.hash = sys.sha256

local function refuse(kind, format, ...)
  return nil, err.new { kind = kind, origin = "journal",
                        message = format:format(...) }
end

local function lines_of(text)
  local lines, start = {}, 1
  while true do
    local stop = text:find("\n", start, true)
    if not stop then return lines, text:sub(start) end
    lines[#lines + 1] = text:sub(start, stop - 1)
    start = stop + 1
  end
end

local function check_line(record, number, prev, path)
  if type(record) ~= "table" or type(record.kind) ~= "string" then
    return refuse("tampered", "%s: line %d is no record", path, number)
  elseif record.seq ~= number then
    return refuse("tampered", "%s: line %d carries number %s; a line is "
      .. "missing or was added", path, number, tostring(record.seq))
  elseif record.prev ~= prev then
    return refuse("tampered", "%s: the chain breaks before record %d (%s); "
      .. "an earlier line was changed", path, number, record.kind)
  end
  return true
end

local function check_format(first, path)
  if first.kind ~= "run.open" then
    return refuse("tampered", "%s does not begin with run.open", path)
  elseif first.format ~= M.FORMAT then
    return refuse("format", "%s is of journal format %s, written by tranship "
      .. "%s; this build reads format %d: use that version for this run",
      path, tostring(first.format), tostring(first.build), M.FORMAT)
  end
  return true
end

--- Checks and decodes the text of a journal.
---@return table? parsed  { records, head, torn = text cut or nil, kept = bytes }
---@return tranship.Err? err
function M.parse(text, path)
  local lines, tail = lines_of(text)
  local records, prev, kept = {}, "", 0
  for number, line in ipairs(lines) do
    local record = json.decode(line)
    if record == nil and number == #lines and tail == "" then
      tail = line .. "\n"                   -- torn, though it ends a line
      break
    end
    local sound, why = check_line(record, number, prev, path)
    if not sound then return nil, why end
    if number == 1 then
      sound, why = check_format(record, path)
      if not sound then return nil, why end
    end
    records[number], prev = record, M.hash(line)
    kept = kept + #line + 1
  end
  return { records = records, head = prev, kept = kept,
           torn = tail ~= "" and tail or nil }
end

--- Reads a journal without changing it.
---@async
function M.read(path)
  local text, why = sys.read_file(path)
  if not text then return nil, why end
  return M.parse(text, path)
end

local function open_file(path, seq, head)
  local file, why = sys.append(path)
  if not file then return nil, why end
  return setmetatable({ path = path, seq = seq, head = head, _file = file },
                      Journal)
end

--- Starts an empty journal; refuses a file that exists.
---@async
function M.create(path)
  if sys.stat(path) then
    return refuse("exists", "%s exists already", path)
  end
  return open_file(path, 0, "")
end

--- Opens a journal for more records: verified, torn last line cut off.
---@async
---@return tranship.Journal? journal
---@return tranship.Record[]|tranship.Err records
function M.open(path)
  local text, why = sys.read_file(path)
  if not text then return nil, why end
  local parsed
  parsed, why = M.parse(text, path)
  if not parsed then return nil, why end
  if #parsed.records == 0 then
    return refuse("tampered", "%s is empty", path)
  end
  if parsed.torn then
    local done, failed = sys.write_file(path, text:sub(1, parsed.kept),
                                        { sync = true, atomic = true })
    if not done then return nil, failed end
  end
  local journal
  journal, why = open_file(path, #parsed.records, parsed.head)
  if not journal then return nil, why end
  journal.cut = parsed.torn
  return journal, parsed.records
end

local function broken(journal, cause)
  journal.failed = err.new {
    kind = "journal", origin = "journal", cause = cause,
    message = ("%s cannot be written (%s); nothing is sent that is not "
      .. "journalled first"):format(journal.path, tostring(cause)),
  }
  return nil, journal.failed
end

-- A second net under plain.copy: a secret split over keys and values.
local function encode(record)
  local line = assert(json.encode(record))
  local clean = secret.redact(line)
  if clean == line or json.decode(clean) then return clean end
  return assert(json.encode {
    kind = record.kind, seq = record.seq, prev = record.prev,
    time = record.time, step = record.step, redacted = true,
  })
end

--- Writes one record; `sync` waits until it is on the disk.
---@async
---@param kind string
---@param fields? table  plain data; secrets in it are blanked
---@return tranship.Record? record
---@return tranship.Err? err
function Journal:append(kind, fields, sync)
  if self.failed then return nil, self.failed end
  crash.at "journal:before"
  local record = plain.copy(fields or {})
  record.kind, record.seq, record.prev = kind, self.seq + 1, self.head
  record.time = sys.time()
  local line = encode(record)
  self.seq, self.head = record.seq, M.hash(line)
  local written, why = self._file:write(line .. "\n")
  if not written then return broken(self, why) end
  if sync then
    written, why = self._file:sync()
    if not written then return broken(self, why) end
  end
  crash.at "journal:after"
  return record
end

function Journal:close()
  if self._file then self._file:close() end
  self._file = nil
end

Journal.__close = Journal.close

return M
