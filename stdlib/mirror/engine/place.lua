--- Where a bridge's engine lives on this machine: lock, log, configuration.

local handover = require "vm.handover"
local json = require "vm.json"
local secret = require "vm.secret"
local sys = require "vm.sys"
local err = require "base.err"
local credentials = require "mirror.engine.credentials"
local state = require "base.state"

local M = {}

local FORMAT = 1
local MOST_MEMBERS = 16 -- engines of one bridge's group on one machine

--- A file of the bridge's: "lock", "log", "json", or the pipe "inbox".
function M.path(name, ending)
  return ("%s/bridges/%s.%s"):format(state.dir(), name, ending)
end

--- What an engine must know of a bridge: its two sides, and with `as` others
-- that it logs in as than the run does: { from = login or KafkaUser, to = ... }.
---@async
---@return table?, tranship.Err?
function M.spec(bridge, as)
  local spec = { name = bridge.name }
  for _, at in ipairs { "from", "to" } do
    local cluster, who = bridge:cluster(at), as and as[at]
    local side, why = cluster:_side()
    if not side then return nil, why end
    if type(who) == "string" then
      who, why = cluster.strimzi:login_of(who)
      if not who then return nil, why end
    end
    side.login = who or side.login
    spec[at] = side
  end
  return spec
end

--- The same as text, and the secrets that it names but does not hold.
---@param refer_to? fun(place: string): string  see credentials.refer
---@return string text, table<string, any> secrets
function M.config(spec, refer_to)
  local from, secrets = credentials.refer(spec.from, "from", refer_to)
  local to, others = credentials.refer(spec.to, "to", refer_to)
  for place, value in pairs(others) do secrets[place] = value end
  return json.encode { format = FORMAT, name = spec.name, from = from,
    to = to } .. "\n", secrets
end

--- Writes it down; returns the file's path, and the secrets.
---@return string? path, tranship.Err|table<string, any> secrets
function M.write_config(spec)
  local text, secrets = M.config(spec)
  local path = M.path(spec.name, "json")
  sys.mkdir(state.dir() .. "/bridges", { parents = true })
  local ok, why = sys.write_file(path, text, { atomic = true })
  if not ok then return nil, why end
  return path, secrets
end

--- Hands an engine that works what it is to log in with from now on. An err of
-- kind "not found" when none takes it.
---@param spec table  what M.spec gave
---@return true?, tranship.Err?
function M.hand_over(spec)
  local secrets = credentials.all(spec.from, "from")
  for place, value in pairs(credentials.all(spec.to, "to")) do secrets[place] = value end
  return handover.give(M.path(spec.name, "inbox"), secret.pack(secrets))
end

--- Reads it back; secrets are taken from `given`, or from where it says.
---@param given? table<string, any>
function M.read_config(path, given)
  local text, why = sys.read_file(path)
  if not text then return nil, why end
  local spec
  spec, why = json.decode(text)
  if not spec then return nil, err.wrap(why, path) end
  if spec.format ~= FORMAT then
    return nil, err.new { kind = "invalid", origin = "bridge",
      message = ("%s has format %s; this build reads %d"):format(path,
        tostring(spec.format), FORMAT) }
  end
  for _, at in ipairs { "from", "to" } do
    if spec[at] then
      spec[at], why = credentials.resolve(spec[at], at, given)
      if not spec[at] then return nil, err.wrap(why, path) end
    end
  end
  return spec
end

local function member_lock(number) return ("member-%d.lock"):format(number) end

--- Takes the lock that says "an engine of this bridge works here"; as a member
-- of the bridge's group, one of several such locks.
---@param in_group? boolean
function M.lock(name, in_group)
  sys.mkdir(state.dir() .. "/bridges", { parents = true })
  local me = sys.process(sys.pid()) or {}
  local text = json.encode {
    pid = sys.pid(), start_time = me.start_time, since = sys.time(),
  }
  if not in_group then return sys.lock(M.path(name, "lock"), text) end
  local lock, why
  for number = 1, MOST_MEMBERS do
    lock, why = sys.lock(M.path(name, member_lock(number)), text)
    if lock then return lock end
  end
  return nil, why
end

local function holder_of(path)
  if not sys.stat(path) then return nil end
  local lock, why = sys.lock(path, "")
  if lock then
    lock:close()
    return nil
  end
  return why.holder and json.decode(why.holder) or nil
end

--- An engine that holds a lock here: { pid, start_time, since }, or nil.
function M.holder(name)
  local found = holder_of(M.path(name, "lock"))
  for number = 1, found and 0 or MOST_MEMBERS do
    found = found or holder_of(M.path(name, member_lock(number)))
  end
  return found
end

--- Starts `tranship mirror`, detached: it outlives this process. Secrets go
-- through its standard input, and are in no file and no argument.
---@param secrets? table<string, any>  what write_config gave
---@return integer? pid, tranship.Err?
function M.launch(name, secrets)
  local out = M.path(name, "log")
  local args = {
    sys.executable(), "mirror", "--config", M.path(name, "json"), "--state",
    state.dir(),
  }
  local input = "null"
  if secrets and next(secrets) then
    input = secret.pack(secrets)
    args[#args + 1] = "--secrets-on-stdin"
  end
  local process <close>, why = sys.spawn {
    args = args, stdin = input, stdout = out, stderr = out, detached = true,
  }
  if not process then return nil, why end
  return process.pid
end

return M
