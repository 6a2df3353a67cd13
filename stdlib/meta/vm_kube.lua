---@meta
--- Kubernetes API servers: sessions, requests, streams of lines. What a request
--- does is decided in C by verb and path, and a session that only reads refuses
--- the rest. Objects come as views (vm.json); Secrets' data in them as secrets.

---@class vm.kube
local M = {}

---@class tranship.KubeSetup
---@field kubeconfig? string  a file; default: $KUBECONFIG, ~/.kube/config, the pod's account
---@field context? string     default: the current one
---@field namespace? string   default: the context's
---@field agent? string       User-Agent
---@field account? string     folder of the pod's account, for tests
---@field read_only? boolean  refuse all that changes, dry runs too
---@field validates? boolean  changes only with dryRun=All

--- Reads kubeconfigs; contacts nobody. Errors name file, line and field.
---@param setup tranship.KubeSetup
---@return tranship.KubeSession?, tranship.Err?
function M.open(setup) end

---@class tranship.KubeSession
local session = {}

---@class tranship.KubeAsk
---@field method? string        default: GET
---@field path string           "/api/v1/pods": neither escaped nor with a query
---@field query? table<string, string|integer|boolean>
---@field body? any             a table, a view, or text; secrets only in Secrets
---@field type? string          of the body; default: application/json
---@field accept? string
---@field limit? integer        bytes of the answer, or of one line
---@field timeout_ms? integer   for all of it; default: 30 s, streams: none
---@field idle_ms? integer      without a byte; streams: 150 s

--- { status, body = view or text, warnings = { header }, retry_after }. Any
-- status is an answer; errors are what the network and the kubeconfig do.
-- Objects of lists and watches come without managedFields.
-- `err.retriable`: it was surely never sent.
---@async
---@param ask tranship.KubeAsk
---@return table?, tranship.Err?
function session:request(ask) end

--- The same, as soon as the answer has begun.
---@async
---@param ask tranship.KubeAsk
---@return tranship.KubeStream?, tranship.Err?
function session:stream(ask) end

--- { server, context, cluster, user, namespace, warning }.
---@return table
function session:about() end

---@return boolean
function session:is_read_only() end

--- How C sees a request.
---@param ask tranship.KubeAsk
---@return "read"|"dry run"|"write"
function session:class(ask) end

--- Calls under way end with an err of kind "closed".
function session:close() end

---@class tranship.KubeStream
local stream = {}

---@return integer
function stream:status() end

--- The next line as a view; false at the end; half a line is an err.
---@async
---@return any|false|nil, tranship.Err?
function stream:next() end

--- The next line as text; false at the end.
---@async
---@return string|false|nil, tranship.Err?
function stream:line() end

--- All of it, as request gives it: for a stream whose status is no success.
---@async
---@return table?, tranship.Err?
function stream:answer() end

function stream:close() end

return M
