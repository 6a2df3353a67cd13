--- What a plan can say of offsets before the bridge is opened: which partitions
-- will keep them, which cannot and why, and what is filled for it. Partitions
-- that the bridge has copied before go on as they are and are not spoken of.

local lazy = require "base.lazy"
local answer = require "mirror.answer"
local founding = lazy "mirror.bridge.founding"
local kinds = require "mirror.offsets.kind"
local names = require "mirror.names"

local M = {}

--- Offsets of places, or the first that is not to be had.
local function offsets(client, places)
  if #places == 0 then return {} end
  local found, why = client:offsets(places)
  if not found then return nil, why end
  for index, one in ipairs(found) do
    if one.err then return nil, one.err end
    found[index] = one.offset
  end
  return found
end

--- Partitions without a leg: { id, source, target, begins = "start" or "stable" }.
local function newcomers(bridge, book, shapes)
  local list = {}
  for name, count in pairs(shapes) do
    local known = book and book.topics[name]
    local begins = bridge.start == "latest" and not known and "stable" or "start"
    for number = 0, count - 1 do
      if not book or not book:leg(name, number) then
        list[#list + 1] = {
          id = ("%s/%d"):format(name, number), begins = begins,
          source = { topic = name, partition = number },
          target = { topic = names.on_target(bridge.names, name),
            partition = number },
        }
      end
    end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

local function place(of, at)
  return { topic = of.topic, partition = of.partition, at = at }
end

--- Adds `begin`, and `bounds` of the log on the target: empty where there is none.
local function look(bridge, list)
  local topics, why = bridge.to:client("read"):topics()
  if not topics then return nil, why end
  local there, asked = {}, { from = {}, to = {} }
  for _, one in ipairs(topics) do there[one.name] = one.partitions end
  for _, one in ipairs(list) do
    table.insert(asked.from, place(one.source, one.begins))
    one.is_there = one.target.partition < (there[one.target.topic] or 0)
    if one.is_there then
      table.insert(asked.to, place(one.target, "start"))
      table.insert(asked.to, place(one.target, "end"))
    end
  end
  local from, to
  from, why = offsets(bridge.from:client "read", asked.from)
  if not from then return nil, why end
  to, why = offsets(bridge.to:client "read", asked.to)
  if not to then return nil, why end
  local at = 1
  for index, one in ipairs(list) do
    one.begin, one.bounds = from[index], { start = 0, stop = 0 }
    if one.is_there then
      one.bounds = { start = to[at], stop = to[at + 1] }
      at = at + 2
    end
  end
  return true
end

--- Lines of the plan; none where everything goes on as it was.
---@async
---@return string[]?, tranship.Err?
function M.lines(bridge)
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  local shapes
  shapes, why = founding.carried(bridge)
  if not shapes then return nil, why end
  local list, kept, mapped, filled = newcomers(bridge, book, shapes), 0, {}, {}
  local ok
  ok, why = look(bridge, list)
  if not ok then return nil, why end
  for _, one in ipairs(list) do
    local is, reason = kinds.of(bridge.offsets, one.begin, one.bounds)
    if is == "same" then
      kept = kept + 1
      local gap = one.begin - one.bounds.stop
      if gap > 0 then filled[#filled + 1] = ("%s (%d)"):format(one.id, gap) end
    else
      mapped[#mapped + 1] = ("%s (%s)"):format(one.id, reason)
    end
  end
  local lines = {}
  if kept > 0 then
    lines[1] = ("offsets are kept on %d of %d new partitions"):format(kept, #list)
  end
  if #filled > 0 then
    lines[#lines + 1] = "offsets below where the copy begins are filled, then "
      .. "deleted: " .. answer.some(filled)
  end
  if #mapped > 0 and bridge.offsets ~= "mapped" then
    lines[#lines + 1] = (bridge.offsets == "same"
      and "offsets cannot be kept, and the bridge will stop there: "
      or "offsets are mapped on: ") .. answer.some(mapped)
  end
  return lines
end

return M
