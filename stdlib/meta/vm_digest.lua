---@meta vm.digest
-- What a partition holds, as hashes: equal contents, equal hashes.

local digest = {}

---@class digest.options
---@field host string of the partition's leader
---@field port integer
---@field login? wire.login
---@field topic string
---@field partition integer
---@field from integer first offset
---@field to integer offset to stop before; it must be readable already
---@field isolation? "committed"|"uncommitted" default "committed"
---@field mode? "batches"|"records"|"compacted" default "batches"
---@field chunk? integer records per chunk (whole batches in mode "batches");
---default 10000
---@field with_offsets? boolean offsets count too
---@field buckets? integer "compacted": parts that keys are spread over; default 1
---@field bucket? integer "compacted": list this bucket's keys
---@field timeout_ms? integer without progress; default 30000

---@class digest.chunk
---@field from integer offset of its first record
---@field to integer offset of its last record plus 1
---@field records integer
---@field hash string 16 hexadecimal digits

---@class digest.chunks : digest.chunk[]
---@field keys? { key: string, hash: string, offset: integer }[] "compacted"
---@field keyless? integer "compacted": records without a key, not counted

---Reads a range of offsets on a thread of its own and hashes what it holds.
---  batches    whole batches unopened, as forwarding keeps them: cheap, equal
---             only where both sides hold the same batches
---  records    each record in order: key, value, headers, timestamp
---  compacted  the last record of each key, however the log was cleaned
---Control batches never count, aborted ones only when "uncommitted".
---@async
---@param options digest.options
---@return digest.chunks? chunks
---@return err? err "unavailable" also for a range that is not readable yet
function digest.range(options) end

return digest
