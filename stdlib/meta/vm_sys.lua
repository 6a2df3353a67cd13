---@meta
--- The machine: facts, digests, files, processes, events.

---@class vm.sys
local M = {}

-- Facts.

---@param name string
---@return string|nil
function M.env(name) end

--- Wall clock, milliseconds since 1970.
---@return integer
function M.time() end

---@return string
function M.hostname() end

---@return string
function M.user() end

---@return integer
function M.pid() end

---@return string|nil, tranship.Err? err
function M.cwd() end

---@param fd integer  0, 1 or 2
---@return boolean
function M.isatty(fd) end

---@return integer|nil columns, integer? rows
function M.tty_size() end

--- The path of this program.
---@return string|nil, tranship.Err? err
function M.executable() end

--- Writes to stdout, with live secrets blanked.
---@param text string
---@return true|nil, tranship.Err? err
function M.out(text) end

--- The same for stderr.
---@param text string
---@return true|nil, tranship.Err? err
function M.errout(text) end

-- Bytes.

---@param count integer  0 to 4096
---@return string
function M.random(count) end

---@param text string
---@return string hex
function M.sha256(text) end

---@param key string
---@param text string
---@return string hex
function M.hmac_sha256(key, text) end

---@param bytes string
---@return string
function M.hex(bytes) end

---@param text string
---@return string|nil, tranship.Err? err
function M.from_hex(text) end

---@param bytes string
---@return string
function M.base64(bytes) end

---@param text string
---@return string|nil, tranship.Err? err
function M.from_base64(text) end

-- Files.

---@param path string
---@return string|nil, tranship.Err? err
function M.read_file(path) end

--- `atomic` writes beside it and renames; `sync` waits for the disk.
---@param path string
---@param text string
---@param options? { mode?: integer, sync?: boolean, atomic?: boolean }
---@return true|nil, tranship.Err? err
function M.write_file(path, text, options) end

--- With parents, one that is there already is fine.
---@param path string
---@param options? { parents?: boolean, mode?: integer }
---@return true|nil, tranship.Err? err
function M.mkdir(path, options) end

---@param path string
---@return string[]|nil names sorted, tranship.Err? err
function M.list(path) end

---@param path string
---@return { kind: "file"|"folder"|"other", size: integer, mode: integer, modified: integer }|nil, tranship.Err? err
function M.stat(path) end

--- A file, or an empty folder.
---@param path string
---@return true|nil, tranship.Err? err
function M.remove(path) end

---@param from string
---@param to string
---@return true|nil, tranship.Err? err
function M.rename(from, to) end

---@param path string
---@return string|nil, tranship.Err? err
function M.realpath(path) end

--- A new private folder under $TMPDIR.
---@param prefix string
---@return string|nil, tranship.Err? err
function M.temporary_folder(prefix) end

---@class tranship.AppendFile
local File = {}

--- Whole or not at all, as far as a full disk is concerned.
---@param text string
---@return true|nil, tranship.Err? err
function File:write(text) end

--- Waits until everything is on the disk.
---@async
---@return true|nil, tranship.Err? err
function File:sync() end

---@return integer
function File:size() end

function File:close() end

---@param path string
---@param options? { mode?: integer }
---@return tranship.AppendFile|nil, tranship.Err? err
function M.append(path, options) end

--- A lock file whose text says who holds it. A child that gets it with `keep`
-- holds it on. Held by somebody else: kind "conflict", err.holder is that text.
---@param path string
---@param text? string
---@return { close: fun(self) }|nil, tranship.Err? err
function M.lock(path, text) end

-- Processes.

---@class tranship.Spawn
---@field args string[]       the program, looked up in PATH, and its arguments
---@field env? table<string, string>  added to ours
---@field cwd? string
---@field stdin? any          "null" (default), "inherit", "pipe", a path, or a
---secret, which it reads from a pipe that holds nothing else
---@field stdout? string      "inherit" (default; "null" when detached), "null", "pipe", or a path (appended to)
---@field stderr? string      like stdout
---@field detached? boolean   a session of its own
---@field keep? table[]       locks it inherits

---@class tranship.Process
---@field pid integer
local Process = {}

---@async
---@return { code: integer, signal?: string }|nil, tranship.Err? err
function Process:wait() end

---@param signal string|integer  "TERM"
---@return true|nil, tranship.Err? err
function Process:kill(signal) end

--- A line of its stdout; nil at the end.
---@async
---@return string|nil, tranship.Err? err
function Process:read() end

--- A line of its stderr; nil at the end.
---@async
---@return string|nil, tranship.Err? err
function Process:read_error() end

---@async
---@param text string
---@return true|nil, tranship.Err? err
function Process:write(text) end

---@return true
function Process:close_stdin() end

--- Lets go of it; it goes on.
function Process:close() end

---@param options tranship.Spawn
---@return tranship.Process|nil, tranship.Err? err
function M.spawn(options) end

--- Runs a program to its end: `sys.run { "sh", "-c", "echo x" }`. Cancelling
-- the caller kills it.
---@async
---@param options table  as for spawn; arguments as list; `input` for its stdin
---@return { code: integer, signal?: string, stdout: string, stderr: string }|nil, tranship.Err? err
function M.run(options) end

---@param pid integer  negative: a process group
---@param signal string|integer
---@return true|nil, tranship.Err? err
function M.kill(pid, signal) end

--- start_time is the kernel's tick of birth: with the pid it names a process.
---@param pid integer
---@return { state: "running"|"stopped"|"dead", start_time: integer, command: string }|nil, tranship.Err? err
function M.process(pid) end

-- Events.

---@class tranship.Feed
local Feed = {}

--- The next item; nil at the end of the feed.
---@async
---@return string|nil, tranship.Err? err
function Feed:next() end

function Feed:close() end

--- Names of signals that arrive; they do nothing else while it is open.
---@param names string[]  { "INT", "TERM" }
---@return tranship.Feed|nil, tranship.Err? err
function M.signals(names) end

--- Names of what changes in a folder (or "" for a file).
---@param path string
---@return tranship.Feed|nil, tranship.Err? err
function M.watch(path) end

---@return tranship.Feed|nil, tranship.Err? err
function M.stdin_lines() end

--- Whether somebody listens there.
---@async
---@param host string
---@param port integer
---@param timeout_ms? integer  5000
---@return true|nil, tranship.Err? err
function M.probe_tcp(host, port, timeout_ms) end

return M
