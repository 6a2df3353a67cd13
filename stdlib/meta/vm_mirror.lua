---@meta vm.mirror
-- The copier: whole record batches from one cluster to another, exactly once.

---@class mirror.side
---@field host string
---@field port integer
---@field topic string
---@field partition integer
---@field login? wire.login

---@class mirror.source : mirror.side
---@field topic_id? string 16 bytes or Kafka's text; a topic made again is seen
---@field leader_epoch? integer of the leader, from Metadata
---@field last_epoch? integer the source_epoch told last; a cut log is seen

---@class mirror.producer Of the source, whose transactions are kept.
---@field source_id integer
---@field transactional_id string the target's, for this producer alone
---@field host string of its coordinator
---@field port integer
---@field id integer of the target's producer
---@field epoch integer
---@field sequence? integer of its next batch
---@field since? integer target offset where the transaction began that is open
---at the log end

---@class mirror.flow One partition in one direction.
---@field id string
---@field source mirror.source
---@field target mirror.side
---@field compacted? boolean the source topic: its cleaner may leave nothing up to the log's end
---@field same? boolean target offsets equal source offsets
---@field transactions? boolean same: all that is not committed is copied too,
---in transactions
---@field producers? mirror.producer[] with transactions: those known so far
---@field source_offset integer next to read
---@field target_offset integer where its record goes
---@field log_end integer of the target now; more than target_offset: what lies
---between is counted on the source before anything is written
---@field until_offset? integer source offset to stop before
---@field producer_id integer
---@field producer_epoch integer
---@field sequence? integer at target_offset
---@field no_producer_id? boolean nothing guards against doubles
---@field max_batch_bytes? integer of the target topic: larger batches are divided; without it no small ones are merged

---@class mirror.event Positions cover what is acknowledged.
---@field kind "progress"|"hole"|"stopped"
---@field id string
---@field source_offset integer
---@field target_offset integer
---@field sequence integer
---@field source_epoch? integer
---@field source_end? integer of what can be read, when last read
---@field stable_offset integer of the target: below it nothing is open
---@field records integer appended since the last event
---@field bytes integer
---@field segments offsets.segment[]
---@field from? integer of a hole: source offsets [from, to) hold no record;
---@field to? integer the flow waits for resume
---@field reason? "asked"|"reached"|"leader"|"out_of_range"|"topic_id"|"diverged"|"transactional"|"foreign"|"sequence"|"fenced"|"too_large"|"timestamp"|"corrupt"|"denied"|"failed"
---@field err? err
---@field log_start? integer of the source, with "out_of_range"
---@field log_end? integer of the source, with "out_of_range" and "diverged"
---@field expected? integer with "foreign"
---@field got? integer with "foreign"
---@field refused? mirror.refused with "too_large", "timestamp" and whatever else a broker answers
---@field producer? integer of the source, with "transactional": not known yet
---@field diverging_epoch? integer with "diverged"

---@class mirror.refused A batch that the target refused; with `records` 1, that record.
---@field offset integer of the first, on the source
---@field records integer
---@field bytes integer of the batch

---@class mirror.copier
local copier = {}

---@class mirror
local M = {}

---Opens a copier: a few threads, each with a loop of its own. Never waits.
---`memory` in bytes, `rate` in bytes fetched per second (0: no limit).
---@param options? { memory: integer?, rate: integer?, workers: integer?, progress_ms: integer?, timeout_ms: integer? }
---@return mirror.copier? copier
---@return err? err
function M.open(options) end

---One zstd batch of empty records, to stand for offsets below a log start.
---@param options { count: integer, keyed: boolean?, timestamp: integer?, producer_id: integer?, producer_epoch: integer?, sequence: integer? }
---@return string? bytes for Produce
---@return err? err
function M.filler(options) end

---Starts a flow; what becomes of it is told by next.
---@param flow mirror.flow
---@return true? ok
---@return err? err
function copier:start(flow) end

---Stops a flow when its requests in flight are answered. Everything of it that
---next has not given yet is in the event; next gives no more of it.
---@async
---@param id string
---@return mirror.event? stopped
---@return err? err `not found`: no such flow
function copier:stop(id) end

---Waits for events of all flows, oldest first. One task at a time.
---@async
---@return mirror.event[]? events
---@return err? err
function copier:next() end

---A hole is filled: goes on behind it.
---@param id string
---@param at { target_offset: integer, producer_epoch: integer?, sequence: integer? }
---@return true? ok
---@return err? err
function copier:resume(id, at) end

---What it takes now: bytes of batches held or promised to fetches, and how many
---may be; connections; milliseconds that brokers have let them wait.
---@return { memory: integer, memory_limit: integer, connections: integer, throttled_ms: integer }
function copier:usage() end

function copier:close() end

return M
