--- Applications that are processes of this machine: process = { "command", .. },
-- with optional env = { NAME = "text" } and cwd = "folder".
--
-- A process holds an inherited lock on STATE/workloads/NAME@CLUSTER.lock, and
-- the file says its command, start time and pid. Running means that the lock is
-- held. The child itself writes its pid before it becomes the application, and
-- holds the lock from its first moment: whoever crashes in between, nobody can
-- start a second one, and the first one can be stopped.

local command = require "app.command"
local err = require "base.err"
local json = require "vm.json"
local texts = require "base.text"
local sys = require "vm.sys"
local task = require "vm.task"

local M = { name = "process" }

local GRACE_MS = 300      -- an app that ends this soon has not started
local LOOK_AGAIN_MS = 50
local KILL_MS = 5000      -- how long a KILL may take
local LOCK_TRIES, LOCK_WAIT_MS = 10, 30
local LAST_BYTES = 4096   -- of a log, for an error message

-- Says who it is, then becomes the application; $1 is the lock's file.
local BECOME = [[echo "$$" >>"$1" || exit 126; shift; exec "$@"]]

local function place_of(w, cluster)
  return ("%s/workloads/%s@%s"):format(command.state_dir(), w.name,
    cluster.name)
end

local function check_env(env, workload)
  if env == nil then return {} end
  for name, value in pairs(type(env) == "table" and env or { env }) do
    if type(name) ~= "string" or type(value) ~= "string" then
      err.raise { kind = "invalid", origin = "workload", code = "E0201",
        message = ("workload %s: env needs { NAME = \"text\" }"):format(
          workload) }
    end
  end
  return env
end

--- Reads the field `process`; raises what is wrong with it.
function M.takes(value, workload)
  local what = ("workload %s: process"):format(workload)
  local out = { words = command.check(value, what) }
  if type(value) ~= "table" then return out end
  for name in pairs(value) do
    if math.type(name) ~= "integer" and name ~= "env" and name ~= "cwd" then
      err.raise { kind = "invalid", origin = "workload", code = "E0107",
        message = ("%s has no field '%s'; there are: env, cwd"):format(what,
          tostring(name)) }
    end
  end
  out.env, out.cwd = check_env(value.env, workload), value.cwd
  return out
end

--- What a lock's file says: a line of JSON, then the pid the child wrote.
local function read_holder(text)
  local first, pid = (text or ""):match "^([^\n]*)\n?(%d*)"
  local said = json.decode(first ~= "" and first or "{}") or {}
  said.pid = math.tointeger(tonumber(pid))
  return said
end

local function log_end(place)
  local text = sys.read_file(place .. ".log") or ""
  return texts.last_lines(text:sub(-LAST_BYTES))
end

--- Takes the lock; a conflict without a text is somebody who only looks.
local function take_lock(place, text)
  local folder = place:match "^(.*)/"
  local made, why = sys.mkdir(folder, { parents = true })
  if not made then return nil, why end
  local lock
  for _ = 1, LOCK_TRIES do
    lock, why = sys.lock(place .. ".lock", text)
    if lock or why.kind ~= "conflict" or (why.holder or "") ~= "" then break end
    task.sleep(LOCK_WAIT_MS)
  end
  return lock, why
end

--- Whether the lock is held, and by whom.
---@async
---@return tranship.Running?, tranship.Err?
function M.status(w, cluster)
  local place = place_of(w, cluster)
  if not sys.stat(place .. ".lock") then return { running = false } end
  local lock, why = take_lock(place, "")
  if lock then
    lock:close()
    return { running = false }
  elseif why.kind ~= "conflict" then
    return nil, why
  end
  local said = read_holder(sys.read_file(place .. ".lock"))
  return {
    running = true, pid = said.pid, since = said.started_ms,
    command = said.command and table.concat(said.command, " "),
  }
end

local function refuse_running(w, cluster, why)
  if why.kind ~= "conflict" then return nil, why end
  local said = read_holder(why.holder)
  return nil, err.new {
    kind = "conflict", origin = "workload",
    message = ("%s runs on %s already (pid %s)"):format(w.name, cluster.name,
      said.pid or "?"),
  }
end

--- Ends at once? Then the end of its log says why.
local function stays(w, cluster, process, place)
  local ended = task.deadline(GRACE_MS, function() return process:wait() end)
  if not ended then return true end
  return nil, err.new {
    kind = "unavailable", origin = "workload",
    message = ("%s does not start on %s: it ended at once with %s%s"):format(
      w.name, cluster.name, ended.signal and ended.signal ~= 0
      and "signal " .. ended.signal or "code " .. ended.code, log_end(place)),
  }
end

--- The end of its log, for messages.
function M.last_words(w, cluster) return log_end(place_of(w, cluster)) end

---@async
function M.start(w, cluster)
  local place = place_of(w, cluster)
  local words = command.fill(w.process.words, w, cluster)
  local lock, why = take_lock(place, json.encode {
    command = words, started_ms = sys.time(), by = sys.user(),
  } .. "\n")
  if not lock then return refuse_running(w, cluster, why) end
  local env = command.env(w, cluster)
  for name, value in pairs(w.process.env or {}) do env[name] = value end
  local process <close>, refused = sys.spawn {
    args = { "/bin/sh", "-c", BECOME, "sh", place .. ".lock",
      table.unpack(words) },
    env = env, cwd = w.process.cwd, detached = true, keep = { lock },
    stdin = "null", stdout = place .. ".log", stderr = place .. ".log",
  }
  lock:close()                               -- the child has it now
  if not process then return nil, refused end
  return stays(w, cluster, process, place)
end

--- Waits until the lock is free.
local function wait_down(w, cluster, ms)
  local until_ms = task.now() + ms
  while true do
    local status, why = M.status(w, cluster)
    if not status then return nil, why end
    if not status.running then return true end
    if task.now() >= until_ms then return false, status end
    task.sleep(LOOK_AGAIN_MS)
  end
end

--- Signals its process group. The pid is there once the child has run a moment.
local function signal(w, cluster, status, name)
  for _ = 1, LOCK_TRIES do
    if status.pid then break end
    task.sleep(LOCK_WAIT_MS)
    status = M.status(w, cluster) or status
  end
  if not status.running then return true end
  local sent, why = false, nil
  if status.pid then sent, why = sys.kill(-status.pid, name) end
  if sent or why and why.kind == "not found" then return true end
  return nil, err.new {
    kind = "unavailable", origin = "workload", cause = why,
    message = ("%s runs on %s, but cannot be told to stop: %s"):format(w.name,
      cluster.name, why and why.message or "its pid is not known"),
  }
end

--- Asks politely, then kills, and then it is an error: what the application
-- had in flight is unknown.
---@async
function M.stop(w, cluster, within_ms)
  local status, why = M.status(w, cluster)
  if not status then return nil, why end
  if not status.running then return true end
  local sent
  sent, why = signal(w, cluster, status, "TERM")
  if not sent then return nil, why end
  local down
  down, why = wait_down(w, cluster, within_ms)
  if down then return true end
  if down == nil then return nil, why end
  sent, why = signal(w, cluster, why, "KILL")
  if not sent then return nil, why end
  down, why = wait_down(w, cluster, KILL_MS)
  if down == nil then return nil, why end
  return nil, err.new {
    kind = "timeout", origin = "workload",
    message = ("%s did not stop on %s within %s; %s%s"):format(w.name,
      cluster.name, require "base.units".show_duration(within_ms),
      down and "it was killed, and what it had in flight is unknown"
      or "not even KILL ended it", log_end(place_of(w, cluster))),
  }
end

return M
