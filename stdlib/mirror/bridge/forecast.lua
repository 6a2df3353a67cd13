--- What a plan can say of offsets before the bridge is opened: which partitions
-- will keep them, which cannot and why, and what is filled for it. Partitions
-- that the bridge has copied before go on as they are and are not spoken of.

local lazy = require "base.lazy"
local answer = require "mirror.answer"
local founding = lazy "mirror.bridge.founding"
local kinds = require "mirror.offsets.kind"
local names = require "mirror.names"
local proof = lazy "mirror.offsets.proof"

local M = {}

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

--- Fills in the offsets where copies would begin, and the bounds of the logs on
-- the target: empty where there is none.
local function look(bridge, list)
  local from, to = bridge.from:client "read", bridge.to:client "read"
  local topics, why = to:topics()
  if not topics then return nil, why end
  local there, sources, targets = {}, { start = {}, stable = {} }, {}
  for _, one in ipairs(topics) do there[one.name] = one.partitions end
  for _, one in ipairs(list) do
    table.insert(sources[one.begins], one.source)
    if one.target.partition < (there[one.target.topic] or 0) then
      targets[#targets + 1] = one.target
    else
      one.target.start, one.target["end"] = 0, 0
    end
  end
  for _, asked in ipairs { { from, sources.start, "start" },
    { from, sources.stable, "stable" }, { to, targets, "start" },
    { to, targets, "end" } } do
    local ok = #asked[2] == 0
    if not ok then ok, why = proof.bounds(table.unpack(asked)) end
    if not ok then return nil, why end
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
    local begin, stop = one.source[one.begins], one.target["end"]
    local is, reason = kinds.of(bridge.offsets, begin,
      { start = one.target.start, stop = stop })
    if is == "same" then
      kept = kept + 1
      if begin > stop then
        filled[#filled + 1] = ("%s (%d)"):format(one.id, begin - stop)
      end
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
