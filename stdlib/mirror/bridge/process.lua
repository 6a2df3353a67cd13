--- Where a bridge's engine lives unless its declaration says `on`: it is a
-- process on this machine, found by its lock. mirror.bridge.deployment answers the same
-- questions for an engine in Kubernetes.

local effect = require "base.effect"
local err = require "base.err"
local sys = require "vm.sys"
local task = require "vm.task"
local place = require "mirror.engine.place"
local rates = require "mirror.engine.rates"

local M = {}
M.__index = M
M.__name = "mirror.bridge.process"

local LOCK_TRIES, LOCK_WAIT_MS = 50, 100

M.START_MS = 120000 -- from its start until every partition is copied

function M.new(bridge) return setmetatable({ bridge = bridge }, M) end

function M:_holder() return place.holder(self.bridge.name) end

--- Why no engine is there as the bridge is declared; false when one is.
---@return string|false|nil, tranship.Err?
function M:lacks()
  return not self:_holder() and ("no engine of bridge %s runs on this machine")
    :format(self.bridge.name)
end

--- Why it does not work though it was started; false when nothing says so. With
-- `final`, it will not by itself.
---@return string|false|nil, boolean|tranship.Err? final
function M:trouble()
  if self:_holder() then return false end
  return ("the engine of bridge %s has ended: %s"):format(self.bridge.name,
    self:_last_words()), true
end

--- Is the newest claim in the bridge's topic one of this engine?
function M:is_claimed(book)
  local holder = self:_holder()
  return holder ~= nil and book.claim ~= nil and holder.pid == book.claim.pid
end

local function send_start(bridge, as)
  if place.holder(bridge.name) then return true end
  local spec, why = place.spec(bridge, as)
  if not spec then return nil, why end
  local path, secrets = place.write_config(spec)
  if not path then return nil, secrets end
  local pid
  pid, why = place.launch(bridge.name, secrets)
  if not pid then return nil, why end
  return { pid = pid }
end

--- Starts it. With `as` it logs in to the source as somebody else than we do.
function M:start(as)
  local bridge = self.bridge
  return effect.perform {
    primitive = "process.start", resume = "set",
    target = "bridge/" .. bridge.name .. "/engine",
    summary = ("start the engine of bridge %s on this machine (tranship "
      .. "mirror)"):format(bridge.name),
    args = { log = place.path(bridge.name, "log") },
    before = "not running", after = "running", undo = "stop it",
    send = function() return send_start(bridge, as) end,
  }
end

--- Hands it what it is to log in with from now on; false when none is there.
---@param spec table  what place.spec gave
---@return boolean?, tranship.Err?
function M:hand_over(spec)
  local name = self.bridge.name
  if not self:_holder() then return false end
  local done, why = effect.perform {
    primitive = "process.credentials", resume = "set",
    target = "bridge/" .. name .. "/engine",
    summary = ("hand credentials to the engine of bridge %s"):format(name),
    send = function() return place.hand_over(spec) end,
  }
  if done == nil and why.kind == "not found" then return false end
  return done, why
end

function M:_last_words()
  local text = sys.read_file(place.path(self.bridge.name, "log")) or ""
  return text:match "([^\n]+)\n*$" or "it said nothing"
end

--- One line about it, for messages.
function M:line()
  local holder = self:_holder()
  if not holder then return "no engine runs on this machine" end
  return ("engine: process %d%s, log %s"):format(holder.pid,
    rates.told(self.bridge.rate), place.path(self.bridge.name, "log"))
end

--- After its goodbye: the process is gone when its lock is free.
---@async
function M:await_end()
  for _ = 1, LOCK_TRIES do
    if not self:_holder() then return true end
    task.sleep(LOCK_WAIT_MS)
  end
  return nil, err.new { kind = "timeout", origin = "bridge",
    message = ("the engine of bridge %s said goodbye but did not end (%s)")
      :format(self.bridge.name, self:line()) }
end

--- What is left of it: nothing, once it has ended.
---@return string|false|nil, tranship.Err?
function M:remains() return self:_holder() ~= nil and self:line() end

--- Takes away what it needed: configuration and log stay, for people.
function M:retire() return true end -- luacheck: no unused

--- What a status says of it: alive, where (text), stop, start, and more.
function M:status(book)
  local name = self.bridge.name
  local said = { log = place.path(name, "log"),
    start = "tranship mirror --config " .. place.path(name, "json") }
  local holder, claim, goodbye = self:_holder(), book.claim, book.goodbye
  if holder and holder.pid then
    said.alive, said.pid, said.host = true, holder.pid, sys.hostname()
  elseif claim and claim.host ~= sys.hostname()
    and not (goodbye and goodbye.instance == claim.instance) then
    said.alive, said.pid, said.host = true, claim.pid, claim.host
  else
    said.alive = false
    return said
  end
  said.where = ("process %d on %s"):format(said.pid, said.host)
  said.stop = ("kill %d"):format(said.pid)
  return said
end

return M
