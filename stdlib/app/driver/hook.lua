--- Applications that commands of the operator's own start and stop:
-- hook = { start = {...}, stop = {...}, status = {...} }. Each is a list of
-- words, or one line for the shell. `status` exits 0 when the application
-- runs and 3 when it does not, as init scripts do; anything else is an error.

local command = require "app.command"
local err = require "base.err"
local texts = require "base.text"
local sys = require "vm.sys"
local task = require "vm.task"
local units = require "base.units"

local M = { name = "hook" }

local NAMES = { "start", "status", "stop" }
local RUNS, STOPPED = 0, 3
local STATUS_MS, START_MS = 30000, 300000
local LOOK_AGAIN_MS = 200

--- Reads the field `hook`; raises what is wrong with it.
function M.takes(value, workload)
  local what, out = ("workload %s: hook"):format(workload), {}
  if type(value) ~= "table" then
    err.raise { kind = "invalid", origin = "workload", code = "E0201",
      message = what .. " needs { start = ..., stop = ..., status = ... }" }
  end
  for _, name in ipairs(NAMES) do
    if value[name] == nil then
      err.raise { kind = "invalid", origin = "workload", code = "E0109",
        message = ("%s needs '%s'"):format(what, name) }
    end
    out[name] = command.check(value[name], what .. "." .. name)
  end
  for name in pairs(value) do
    if out[name] == nil then
      err.raise { kind = "invalid", origin = "workload", code = "E0107",
        message = ("%s has no field '%s'; there are: %s"):format(what,
          tostring(name), table.concat(NAMES, ", ")) }
    end
  end
  return out
end

--- Runs one of the commands: its exit code, or the error of running it.
local function call(w, cluster, name, ms)
  local words = command.fill(w.hook[name], w, cluster)
  local ended, why = task.deadline(ms, function()
    return sys.run { args = words, env = command.env(w, cluster) }
  end)
  if ended then return ended end
  return nil, err.new {
    kind = why.kind, origin = "workload", cause = why,
    message = ("%s: hook %s for %s: %s"):format(w.name, name, cluster.name,
      why.kind == "timeout" and "no end within " .. units.show_duration(ms)
      or why.message),
  }
end

local function failed(w, cluster, name, ended)
  return nil, err.new {
    kind = "unavailable", origin = "workload", code = ended.code,
    message = ("%s: hook %s for %s ended with code %d%s"):format(w.name, name,
      cluster.name, ended.code,
      texts.last_lines((ended.stdout or "") .. (ended.stderr or ""))),
  }
end

---@async
---@return tranship.Running?, tranship.Err?
function M.status(w, cluster)
  local ended, why = call(w, cluster, "status", STATUS_MS)
  if not ended then return nil, why end
  if ended.code == RUNS then return { running = true } end
  if ended.code == STOPPED then return { running = false } end
  return failed(w, cluster, "status", ended)
end

local function wait_until(w, cluster, running, until_ms)
  while true do
    local status, why = M.status(w, cluster)
    if not status then return nil, why end
    if status.running == running then return true end
    if task.now() >= until_ms then
      return nil, err.new {
        kind = "timeout", origin = "workload",
        message = ("%s: hook %s for %s ended well, but status says that it %s")
          :format(w.name, running and "start" or "stop", cluster.name,
            running and "does not run" or "still runs"),
      }
    end
    task.sleep(LOOK_AGAIN_MS)
  end
end

---@async
function M.start(w, cluster)
  local ended, why = call(w, cluster, "start", START_MS)
  if not ended then return nil, why end
  if ended.code ~= 0 then return failed(w, cluster, "start", ended) end
  return wait_until(w, cluster, true, task.now() + STATUS_MS)
end

---@async
function M.stop(w, cluster, within_ms)
  local until_ms = task.now() + within_ms
  local ended, why = call(w, cluster, "stop", within_ms)
  if not ended then return nil, why end
  if ended.code ~= 0 then return failed(w, cluster, "stop", ended) end
  return wait_until(w, cluster, false, until_ms)
end

return M
