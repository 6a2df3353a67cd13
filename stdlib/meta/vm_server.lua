---@meta vm.server
-- A small HTTP/1.1 server for metrics and health: GET and HEAD only, bounded
-- in everything a client can make it hold. What is no such request is refused
-- without being told.

---@class vm.server
local server = {}

--- The next request, "ID METHOD PATH"; the path is without its query.
---@async
---@return string? request, tranship.Err?
function server:next() end

--- Answers a request once; false when its client has gone.
---@param id integer
---@param status integer 200, 404, 503
---@param type string the body's content type
---@param body string
---@return boolean
function server:answer(id, status, type, body) end

--- The port it listens on.
---@return integer
function server:port() end

--- Closes the listener and every connection.
function server:close() end

local M = {}

--- Listens on a numeric address or "localhost" (default 127.0.0.1); port 0,
-- the default, takes a free one. A client that takes longer than `timeout_ms`
-- (10 000) to ask, or to take its answer, is disconnected.
---@param options { host?: string, port?: integer, timeout_ms?: integer }
---@return vm.server? server, tranship.Err?
function M.open(options) end

return M
