--- Where a bridge's engine lives on this machine: lock, log, configuration.

local json = require "vm.json"
local sys = require "vm.sys"
local err = require "base.err"
local state = require "base.state"

local M = {}

local FORMAT = 1

--- A file of the bridge's: "lock", "log" or "json".
function M.path(name, ending)
  return ("%s/bridges/%s.%s"):format(state.dir(), name, ending)
end

--- Writes what the engine must know to start; returns the file's path.
function M.write_config(spec)
  local path = M.path(spec.name, "json")
  sys.mkdir(state.dir() .. "/bridges", { parents = true })
  local ok, why = sys.write_file(path, json.encode {
    format = FORMAT, name = spec.name,
    from = { name = spec.from.name, bootstrap = spec.from.bootstrap },
    to = { name = spec.to.name, bootstrap = spec.to.bootstrap },
  } .. "\n", { atomic = true })
  if not ok then return nil, why end
  return path
end

--- Reads it back.
function M.read_config(path)
  local text, why = sys.read_file(path)
  if not text then return nil, why end
  local spec
  spec, why = json.decode(text)
  if not spec then return nil, why end
  if spec.format ~= FORMAT then
    return nil, err.new { kind = "invalid", origin = "bridge",
      message = ("%s has format %s; this build reads %d"):format(path,
        tostring(spec.format), FORMAT) }
  end
  return spec
end

--- Takes the lock that says "an engine of this bridge works here".
function M.lock(name)
  sys.mkdir(state.dir() .. "/bridges", { parents = true })
  local me = sys.process(sys.pid()) or {}
  return sys.lock(M.path(name, "lock"), json.encode {
    pid = sys.pid(), start_time = me.start_time, since = sys.time(),
  })
end

--- The engine that holds the lock here: { pid, start_time, since }, or nil.
function M.holder(name)
  local lock, why = sys.lock(M.path(name, "lock"), "")
  if lock then
    lock:close()
    return nil
  end
  return why.holder and json.decode(why.holder) or nil
end

--- Starts `tranship mirror`, detached: it outlives this process.
---@return integer? pid, tranship.Err?
function M.launch(name)
  local out = M.path(name, "log")
  local args = {
    sys.executable(), "mirror", "--config", M.path(name, "json"), "--state",
    state.dir(),
  }
  local process <close>, why = sys.spawn {
    args = args, stdin = "null", stdout = out, stderr = out, detached = true,
  }
  if not process then return nil, why end
  return process.pid
end

return M
