---@meta
--- Secrets: handed on, never looked at. `..` gives a secret, comparing and
--- measuring raise, tostring shows "<secret label mark>".

---@class vm.secret
local M = {}

---@class tranship.Secret
local Secret = {}

--- HMAC-SHA256 of the bytes under a key, in hex.
---@param key string
---@return string
function Secret:fingerprint(key) end

---@return string
function Secret:label() end

--- Where the same bytes can be had again: "env:NAME", "file:PATH"; nil of a
--- secret from elsewhere, or joined.
---@return string?
function Secret:source() end

--- Wipes the bytes now; the collector would do it later.
function Secret:close() end

---@param text string
---@param label? string
---@return tranship.Secret
function M.new(text, label) end

---@param name string
---@return tranship.Secret|nil, tranship.Err? err
function M.from_env(name) end

--- One line feed at the end of the file is not part of the secret.
---@param path string
---@return tranship.Secret|nil, tranship.Err? err
function M.from_file(path) end

--- All of standard input, as it is.
---@return tranship.Secret|nil, tranship.Err? err
function M.from_input() end

--- Several secrets in one, for a process of ours (vm.sys.spawn, stdin).
---@param secrets table<string, tranship.Secret|string>
---@return tranship.Secret
function M.pack(secrets) end

---@param packed tranship.Secret
---@return table<string, tranship.Secret>|nil, tranship.Err? err
function M.unpack(packed) end

--- Asks on the terminal, without echo. Blocks the loop while it asks.
---@param prompt string
---@return tranship.Secret|nil, tranship.Err? err
function M.from_terminal(prompt) end

--- The text with the bytes of live secrets (4 and more) blanked.
---@param text string
---@return string
function M.redact(text) end

---@param value any
---@return boolean
function M.is(value) end

return M
