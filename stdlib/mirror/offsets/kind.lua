--- Same or mapped: whether a copy that begins now can keep its offsets.

local M = {}

local MAX_FILLER = 200000000 -- offsets below the log start: 25 s, 160 MB

--- Of a partition that is not copied yet, by the bounds of its logs.
---@param asked? "auto"|"same"|"mapped"  what the bridge is to do
---@param begin integer  source offset where the copy begins
---@param target { start: integer, stop: integer }  `stop`: the next offset
---@return "same"|"mapped" kind, string? why  it cannot be "same"
function M.of(asked, begin, target)
  if asked == "mapped" then
    return "mapped", "asked for"
  elseif target.stop > target.start then
    return "mapped", ("the target holds records at offsets %d to %d")
      :format(target.start, target.stop - 1)
  elseif target.stop > begin then
    return "mapped", ("the target's next offset is %d, past where the copy "
      .. "begins, %d"):format(target.stop, begin)
  elseif begin - target.stop > MAX_FILLER then
    return "mapped", ("the copy begins at offset %d, too far to fill")
      :format(begin)
  end
  return "same"
end

return M
