--- Bad weather between the bridge's engine and its clusters: each is reached
-- through a proxy on loopback that does as it is told. The test's own clients
-- go around it.
-- local weather <close> = weather_of.new(t)
-- weather.world, weather.far.old, weather.far.new (clusters behind the proxies)

local sys = require "vm.sys"
local cluster = require "kafka.cluster"

local here = ...
local world_of = loadfile(here .. "/mirror_world.lua")(here)
local secure = dofile "tests/support/secure.lua"
local PROXY = sys.executable():match "^(.*)/" .. "/apps/proxy"

local M = {}
M.__index = M

--- A proxy, and the settings of a broker that is reached through it.
local function proxy(t, name)
  local behind = secure.free_port()
  local process = t.ok(sys.spawn {
    args = { PROXY, tostring(behind) }, stdin = "pipe", stdout = "pipe",
    stderr = "inherit",
  })
  local before = t.ok(process:read(), "the proxy did not start")
  local settings = {
    "listeners=PLAINTEXT://127.0.0.1:@PORT@,CONTROLLER://127.0.0.1:@CTL@,FAR://"
      .. "127.0.0.1:" .. behind,
    "advertised.listeners=PLAINTEXT://127.0.0.1:@PORT@,FAR://127.0.0.1:"
      .. before,
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
      .. "FAR:PLAINTEXT",
  }
  for index, one in ipairs(settings) do
    settings[index] = name .. ":" .. one
  end
  return process, "127.0.0.1:" .. before, settings
end

--- Two clusters, each also reached through its proxy. `first`: settings of the
-- world's that come before all others.
function M.new(t, first)
  local self = setmetatable({ t = t, proxies = {}, far = {} }, M)
  local settings, addresses = { first }, {}
  for _, name in ipairs { "old", "new" } do
    local some
    self.proxies[name], addresses[name], some = proxy(t, name)
    table.move(some, 1, #some, #settings + 1, settings)
  end
  self.world = world_of.new(t, settings)
  for name, address in pairs(addresses) do
    self.far[name] = cluster.new { name = name, bootstrap = address }
  end
  return self
end

function M:__close()
  self.world:__close()
  for name, process in pairs(self.proxies) do
    self.far[name]:close()
    process:close_stdin()
    process:wait()
    process:close()
  end
end

--- "cut", "slow 20000", ... for one cluster; returns once it holds.
function M:order(name, words)
  local process = self.proxies[name]
  process:write(words .. "\n")
  self.t.equal(process:read(), words:match "%S+")
end

--- Opens a bridge whose engine goes through the weather; the one returned is
-- the same bridge, asked from around it.
function M:open(spec)
  local there = { from = self.far.old, to = self.far.new }
  for key, value in pairs(spec) do there[key] = value end
  self.world:reach(self.world:bridge(there):open())
  return self.world:bridge(spec)
end

return M
