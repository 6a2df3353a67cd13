---@meta vm.offsets
-- Exact maps between the offsets of a partition on two clusters.

---@class offsets.segment Records source..source+count-1 lie at target..
---@field source integer
---@field target integer
---@field count integer

---@class offsets.map
local map = {}

---@class offsets
local M = {}

---A map that begins at a pair of offsets: nothing below belongs to it.
---@param begin? { source: integer?, target: integer? }
---@return offsets.map
function M.new(begin) end

---A map from saved bytes, or from segments in any order (then it begins at 0).
---@param from string|offsets.segment[]
---@return offsets.map? map
---@return err? err `protocol` for other bytes, `conflict` for two stories
function M.load(from) end

---Adds records. Telling what is known again is fine; telling it otherwise is
---a `conflict`.
---@param source integer
---@param target integer
---@param count integer
---@return true? ok
---@return err? err
function map:append(source, target, count) end

---The mirror has come to here on both sides; going back is ignored.
---@param source integer
---@param target integer
function map:reach(source, target) end

---Where a committed position (next to read) of the source goes.
---
---    local target, how = map:lookup(4839)
---
---@param source integer
---@return integer? target
---@return string how "exact", "next" (the first record after it), "end"
---(behind the last one); without a target "behind" (not mirrored yet) or
---"before" (below the map's begin)
function map:lookup(source) end

---The same from the target's side.
---@param target integer
---@return integer? source
---@return string how
function map:reverse(target) end

---@return offsets.segment[]
function map:segments() end

---How far the mirror has come.
---@return integer source
---@return integer target
function map:position() end

---@return string? bytes for load
---@return err? err
function map:save() end

function map:close() end

return M
