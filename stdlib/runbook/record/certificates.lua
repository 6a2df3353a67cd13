--- The offset certificates that a run's journal holds: of positions that were
-- committed, and of those that stood where they had to be when it was proved.

local M = {}

local function key(one)
  local at = one.there
  return ("%s %s %s/%d"):format(one.group, at.cluster, at.topic, at.partition)
end

--- The newest certificate of each group and partition, in the order of the
-- journal.
---@param records tranship.Record[]
---@return tranship.Certificate[]
function M.of(records)
  local list, place_of = {}, {}
  local function take(one)
    local id = key(one)
    place_of[id] = place_of[id] or #list + 1
    list[place_of[id]] = one
  end
  local failed = {}
  for _, rec in ipairs(records) do
    if rec.kind == "effect.outcome" and not rec.ok then
      failed[rec.intent] = true
    end
  end
  for _, rec in ipairs(records) do
    local args = rec.kind == "effect.intent" and not failed[rec.seq] and rec.args
    if type(args) == "table" and args.certificate then take(args.certificate) end
    local seen = rec.answer and rec.answer.ok and rec.answer.seen
    for _, one in ipairs(type(seen) == "table" and seen.certificates or {}) do
      take(one)
    end
  end
  return list
end

return M
