---@meta vm.wire
-- Raw connections to one broker: Kafka's own messages as tables.

local wire = {}

---@class wire.options
---@field host string
---@field port integer
---@field login? wire.login default: plain text, and nobody in particular
---@field client_id? string as the broker's logs show it; default "tranship"
---@field read_only? boolean refuse messages that write
---@field timeout_ms? integer to connect and for each call; default 30000

---@class wire.login_options As vm.kafka.open has them; PEM as text or secret.
---@field protocol? "plaintext"|"ssl"|"sasl_plaintext"|"sasl_ssl"
---@field mechanism? "PLAIN"|"SCRAM-SHA-256"|"SCRAM-SHA-512"|"OAUTHBEARER"
---@field user? string
---@field password? any
---@field token? string[] a program and its arguments, which prints a token
---@field ca? any authorities; default: the system's
---@field cert? any our certificate, and its issuers behind it
---@field key? any
---@field key_password? any
---@field any_host? boolean a certificate for another host is as good

---@class wire.login
local login = {}

---How connections log in. Contacts nothing; one login serves any number.
---@param options wire.login_options
---@return wire.login? login
---@return err? err kind "invalid": broken PEM, a key that does not fit, ...
function wire.login(options) end

---Other credentials for all connections that are opened, or renew their
---session, from now on. After an error the old ones stay.
---@param options wire.login_options
---@return true? ok
---@return err? err
function login:replace(options) end

function login:close() end

---@class wire.conn
local conn = {}

---Opens a connection to a broker. Never waits: what is wrong with the host is
---what the first call fails with. It does not reconnect; after a failure of
---kind "unavailable" or "timeout" open another one.
---@param options wire.options
---@return wire.conn? conn
---@return err? err
function wire.connect(options) end

---Sends a message and waits for its answer. Fields have the names of Kafka's
---message definitions; ids of topics are Kafka's text of 22 characters; what is
---left out is null where that is allowed, else 0, "" or {}. Error codes in the
---answer stay numbers. A field that the message does not have raises. With
---`unless` it also tells the answer's mark, a hash of its bytes; an answer with
---that mark (0: none) is not opened, but false.
---
---    local answer = try(conn:call("DescribeProducers", {
---      Topics = { { Name = "t", PartitionIndexes = { 0 } } } }))
---@async
---@param name string "Metadata"; see wire.messages
---@param fields? table
---@param options? { version?: integer, timeout_ms?: integer, unless?: integer }
---@return table|false|nil answer
---@return err|integer|nil err_or_mark kind "unavailable", "auth", "timeout", "protocol", "read only", ...
function conn:call(name, fields, options) end

---False once the connection has failed by itself: the next call would.
---@return boolean
function conn:is_open() end

---The certificate that the broker has shown; nil without TLS, or before a call
---was answered. `expires` is in milliseconds, `hosts` what it is for.
---@return { subject: string, issuer: string, hosts: string, expires: integer }?
function conn:peer() end

---Ends the connection; calls under way fail with kind "closed".
function conn:close() end

---The name of a Kafka error code: "NOT_LEADER_OR_FOLLOWER".
---@param code integer
---@return string
function wire.error_name(code) end

---What a Kafka error code other than 0 means, as an error value.
---@param code integer
---@param what? string what was tried
---@return err
function wire.error(code, what) end

---The messages that can be called.
---@return table<string, { key: integer, min: integer, max: integer, version: integer, writes: boolean }>
function wire.messages() end

return wire
