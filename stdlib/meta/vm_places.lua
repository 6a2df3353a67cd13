---@meta vm.places
-- Positions of one cluster as positions of the other, for many partitions.

---@class places
local places = {}

---@class vm.places
local M = {}

---No partition is known at first.
---@param options? { back?: boolean, records?: boolean } `back`: positions are
---on the maps' target side; `records`: an offset names a record, not the next
---one to read, so a hole is no place
---@return places
function M.new(options) end

---@class places.part
---@field topic string where positions come from
---@field there? string its name on the other side; default the same
---@field partition integer
---@field map string bytes of offsets.map:save()
---@field first_there? integer the log there begins here
---@field left_out? boolean what lies below the map was there, and was left out
---@field foreign? integer offsets from here...
---@field foreign_end? integer ...to before here are somebody else's

---@param part places.part
---@return true? ok
---@return err? err
function places:add(part) end

---Where a position is on the other side.
---
---    local offset, word, topic = places:find("orders", 0, 4839)
---
---@param topic string
---@param partition integer
---@param offset integer
---@return integer? place
---@return string word "exact", "hole" (the first record after it), "end"
---(behind the last one); without a place "not mirrored yet", "below the log
---start", "below where copying began", "removed on the other side", "foreign
---record", "unknown partition", "unknown topic", "no position"
---@return string? topic its name there
function places:find(topic, partition, offset) end

---@class places.rows
---@field json? boolean objects, however they are nested; else CSV
---@field delimiter? string one character; default ","
---@field no_head? boolean columns are numbers from 1 on
---@field topic? string column or field ("a.b": field b of object a)
---@field partition? string
---@field offset? string
---@field all_topic? string every row is about this topic
---@field all_partition? integer every row is about this partition
---@field note? string a further column or field, with the word
---@field input? integer file descriptor; default 0
---@field output? integer file descriptor; default 1

---Passes rows on with their positions translated, every other byte as it is. A
---row without a place gets an empty offset (CSV) or null (JSON). Closes the
---places. Runs on the thread pool.
---@async
---@param rows places.rows
---@return { rows: table<string, integer>, refused: { row: integer, why: string }[] }? told
---rows by word; the first ones without a place
---@return err? err
function places:filter(rows) end

function places:close() end

return M
