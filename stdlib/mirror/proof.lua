--- Proofs that rest on contents: what lies at two positions, and whether the
-- writers of a topic have stopped.

local task = require "vm.task"
local err = require "base.err"

local M = {}

local SAMPLE = 8              -- records compared from each position
local FIRST_WINDOW = 64       -- offsets looked at first; grows eightfold
local STILL_MS = 1000         -- log ends must stand still for so long

local function bounds(client, wants, at)
  local list = {}
  for index, want in ipairs(wants) do
    list[index] = { topic = want.topic, partition = want.partition, at = at }
  end
  local found, why = client:offsets(list)
  if not found then return nil, why end
  for index, item in ipairs(found) do
    if item.err then return nil, item.err end
    wants[index][at] = item.offset
  end
  return wants
end

local function read_window(client, open, window)
  local partitions, by_id = {}, {}
  for _, want in ipairs(open) do
    local to = math.min(want.next + window, want.stable)
    partitions[#partitions + 1] = {
      topic = want.topic, partition = want.partition, from = want.next,
      to = to,
    }
    by_id[want.topic .. "/" .. want.partition] = want
    want.next = to
  end
  local reader <close>, why = client:reader {
    partitions = partitions, isolation = "committed",
  }
  if not reader then return nil, why end
  while true do
    local records
    records, why = reader:read(1000)
    if not records then return nil, why end
    if #records == 0 then return true end
    for _, rec in ipairs(records) do
      local want = by_id[rec.topic .. "/" .. rec.partition]
      if #want.records < SAMPLE then
        want.records[#want.records + 1] = rec
      end
    end
  end
end

--- Fills each want { topic, partition, offset } with its first committed
-- `records` at or after the offset (up to a few), none if there are none.
---@async
function M.first_records(client, wants)
  local ok, why = bounds(client, wants, "stable")
  if not ok then return nil, why end
  ok, why = bounds(client, wants, "start")
  if not ok then return nil, why end
  local open = {}
  for _, want in ipairs(wants) do
    want.records, want.next = {}, math.max(want.offset, want.start)
    if want.next < want.stable then open[#open + 1] = want end
  end
  local window = FIRST_WINDOW
  while #open > 0 do
    ok, why = read_window(client, open, window)
    if not ok then return nil, why end
    local left = {}
    for _, want in ipairs(open) do
      if #want.records == 0 and want.next < want.stable then
        left[#left + 1] = want
      end
    end
    open, window = left, window * 8
  end
  return wants
end

local function same_headers(a, b)
  a, b = a.headers or {}, b.headers or {}
  if #a ~= #b then return false end
  for index, header in ipairs(a) do
    local other = b[index]
    if header.name ~= other.name or header.value ~= other.value then
      return false
    end
  end
  return true
end

--- Which part of two records differs: "key", "value", ..., or nil.
function M.difference(a, b)
  if a.key ~= b.key then return "key" end
  if a.value ~= b.value then return "value" end
  if a.timestamp ~= b.timestamp then return "timestamp" end
  if not same_headers(a, b) then return "headers" end
end

--- Is there a record at one place, and none at or after the other?
function M.is_one_sided(a, b) return (#a.records == 0) ~= (#b.records == 0) end

--- Is the first record at both places the same, or are there none at both?
---@return boolean same, string? why
function M.same_place(a, b)
  local count = math.min(#a.records, #b.records)
  if M.is_one_sided(a, b) then
    local there = #a.records > 0 and a or b
    return false, ("only one side has a record there (offset %d)")
      :format(there.records[1].offset)
  end
  for index = 1, count do
    local part = M.difference(a.records[index], b.records[index])
    if part then
      return false, ("the records at offsets %d and %d differ in their %s")
        :format(a.records[index].offset, b.records[index].offset, part)
    end
  end
  return true
end

--- Log ends of whole topics, { topic, partition, end, stable } each.
---@async
function M.ends(client, topics)
  local shapes, why = client:describe_topics(topics)
  if not shapes then return nil, why end
  local wants = {}
  for _, name in ipairs(topics) do
    for _, part in ipairs(shapes[name] and shapes[name].partitions or {}) do
      wants[#wants + 1] = { topic = name, partition = part.partition }
    end
  end
  if #wants == 0 then return wants end
  local ok
  ok, why = bounds(client, wants, "end")
  if not ok then return nil, why end
  ok, why = bounds(client, wants, "stable")
  if not ok then return nil, why end
  return wants
end

--- Writers have stopped when, over a while, no log end moved, and no
-- transaction is open (the last stable offset is the end). Gives the ends.
---@async
---@return table[]|nil ends { topic, partition, end, stable }, tranship.Err?
function M.writers_stopped(client, topics, still_ms)
  local before, why = M.ends(client, topics)
  if not before then return nil, why end
  task.sleep(still_ms or STILL_MS)
  local after
  after, why = M.ends(client, topics)
  if not after then return nil, why end
  local known, problems = {}, {}
  for _, one in ipairs(before) do
    known[one.topic .. "/" .. one.partition] = one["end"]
  end
  for _, one in ipairs(after) do
    local id = one.topic .. "/" .. one.partition
    if known[id] ~= one["end"] then
      problems[#problems + 1] = ("%s grew from %s to %d"):format(id,
        tostring(known[id]), one["end"])
    elseif one.stable ~= one["end"] then
      problems[#problems + 1] = ("%s has an open transaction at offset %d")
        :format(id, one.stable)
    end
  end
  if #problems == 0 then return after end
  return nil, err.new {
    kind = "conflict", origin = "bridge",
    message = "somebody still writes: " .. table.concat(problems, "; "),
  }
end

return M
