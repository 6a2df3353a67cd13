---@meta vm.kafka
--- Kafka: clients, readers, producers. Every waiting call runs inside a task
-- and gives its answer, or nil and an err (origin "kafka", native `code`,
-- `retriable`, `fatal`). Arguments that cannot be meant raise. Lists whose
-- items can fail one by one carry `err` in the item. Each primitive is classed
-- in C as reading or writing; a read-only client refuses writing ones with an
-- err of kind "read only".

local M = {}

--- Opens a client. Never waits: the first call connects.
---@param options { bootstrap: string, name?: string, read_only?: boolean, validates?: boolean, protocol?: "plaintext"|"ssl"|"sasl_plaintext"|"sasl_ssl", mechanism?: "PLAIN"|"SCRAM-SHA-256"|"SCRAM-SHA-512"|"OAUTHBEARER", user?: string, password?: any, token?: string[], ca?: any, cert?: any, key?: any, key_password?: any, settings?: table<string, any>, timeout_ms?: integer }
---@return tranship.KafkaClient? client, tranship.Err? err
function M.open(options) end

--- The table of primitives: { name = { role, writes } }.
---@return table<string, { role: "client"|"reader"|"producer", writes: boolean }>
function M.primitives() end

---@class tranship.KafkaClient
local client = {}

--- Closes it; calls under way end with an err of kind "closed".
function client:close() end

--- Whether it refuses primitives that write.
---@return boolean
function client:is_read_only() end

--- { id, controller, brokers = { { id, host, port, rack } }, operations }.
-- `operations` are what whoever logs in may do on the cluster.
---@async
function client:cluster() end

--- All topics by name: { { name, id, internal, partitions, replication } }.
---@async
function client:topics() end

--- { [name] = { name, id, internal, operations, partitions = { { partition,
-- leader, replicas, isr } } } }; absent topics are absent.
---@async
---@param names string[]
function client:describe_topics(names) end

--- { [name] = { [key] = { value, source, read_only, sensitive, default } } }.
-- `source` is "topic", "broker", "cluster", "static", "default" or "unknown".
---@async
---@param type "topic"|"broker"|"group"
---@param names string[]
function client:configs(type, names) end

--- The same list with offset, timestamp, leader_epoch, or err. "stable" is the
-- last stable offset; a timestamp finds the first record not before it (-1:
-- there is none).
---@async
---@param list { topic: string, partition: integer, at: "start"|"end"|"stable"|integer }[]
function client:offsets(list) end

--- { { group, state, type, protocol_type } }.
---@async
function client:groups() end

--- { { group, state, type, coordinator, operations, members = { { member_id,
-- client_id, instance_id, host, assignment = { { topic, partition } } } } } }.
-- Members of groups of type "consumer" (KIP-848) are not listed.
---@async
---@param ids string[]
function client:describe_groups(ids) end

--- { { topic, partition, offset, metadata, leader_epoch } }.
---@async
---@param group string
---@param options? { stable?: boolean }  false does not wait for open transactions
function client:group_offsets(group, options) end

--- ACLs: { { resource_type, name, pattern, principal, host, operation,
-- permission } }; fields of the filter must match.
---@async
---@param filter? table
function client:acls(filter) end

--- SCRAM users: { { name, mechanisms = { { mechanism, iterations } } } }.
---@async
function client:users() end

---@async
---@param topics { name: string, partitions?: integer, replication?: integer, configs?: table<string, string> }[]
---@param options? { validate_only?: boolean }
function client:create_topics(topics, options) end

---@async
---@param names string[]
function client:delete_topics(names) end

---@async
---@param topics { name: string, total: integer }[]
---@param options? { validate_only?: boolean }
function client:add_partitions(topics, options) end

--- Removes records before an offset; -1 is the end. Items come back with the
-- log's new `start`.
---@async
---@param list { topic: string, partition: integer, before: integer }[]
function client:delete_records(list) end

--- Changes what is named and leaves the rest (IncrementalAlterConfigs).
---@async
---@param list { type?: string, name: string, set?: table<string, string>, delete?: string[] }[]
---@param options? { validate_only?: boolean }
function client:alter_configs(list, options) end

--- Commits positions of a group without members.
---@async
---@param group string
---@param list { topic: string, partition: integer, offset: integer, metadata?: string, leader_epoch?: integer }[]
function client:alter_group_offsets(group, list) end

---@async
---@param group string
---@param list { topic: string, partition: integer }[]
function client:delete_group_offsets(group, list) end

---@async
---@param ids string[]
function client:delete_groups(ids) end

---@async
---@param acls table[]
function client:create_acls(acls) end

--- Per filter { deleted = acls }.
---@async
---@param filters table[]
function client:delete_acls(filters) end

---@async
---@param users { name: string, mechanism?: string, iterations?: integer, password?: any, delete?: boolean }[]
function client:alter_users(users) end

--- Reads ranges without a group; `from` is an offset, "start" or "end", `to` is
-- exclusive, without it the reader waits for more.
---@param options { partitions: { topic: string, partition: integer, from?: integer|string, to?: integer }[], isolation?: "committed"|"uncommitted", max_bytes?: integer, settings?: table }
---@return tranship.KafkaReader? reader, tranship.Err? err
function client:reader(options) end

--- Writes records, with all acknowledgements and without doubles.
---@param options? { transactional_id?: string, settings?: table }
---@return tranship.KafkaProducer? producer, tranship.Err? err
function client:producer(options) end

---@class tranship.KafkaReader
local reader = {}

function reader:close() end

--- At most `max` (default 1000) records: { { topic, partition, offset,
-- timestamp, timestamp_type, key, value, headers = { { name, value } },
-- leader_epoch } }; key, value or a header's value is nil when null. Waits for
-- one; empty when all ranges are over. The first read looks whether the
-- partitions are there, and is where "end" is found out.
---@async
---@param max? integer
function reader:read(max) end

--- { { topic, partition, next, over } }.
---@async
function reader:position() end

---@class tranship.KafkaProducer
local producer = {}

function producer:close() end

--- The same list as { partition, offset } or { err }.
---@async
---@param records { topic: string, partition?: integer, key?: string, value?: string, headers?: { name: string, value?: string }[], timestamp?: integer }[]
function producer:produce(records) end

--- Waits until everything that was handed over is answered.
---@async
function producer:flush() end

--- Transactions: init once, then begin, produce, commit or abort.
---@async
function producer:init() end
---@async
function producer:begin() end
---@async
function producer:commit() end
---@async
function producer:abort() end

--- Commits a group's positions within the transaction.
---@async
---@param group string
---@param list { topic: string, partition: integer, offset: integer }[]
function producer:send_offsets(group, list) end

return M
