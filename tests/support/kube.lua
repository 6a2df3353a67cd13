--- A Kubernetes API server of its own for a test file. Loaded by path:
--     local kube = dofile "tests/support/kube.lua"
--     local world <close> = kube.start { strimzi = "1.2.0" }
--     world:kubectl("get", "pods")
-- Whatever was started ends with the world, also when the test dies.
-- tests/world/kube/server says what there is; options are its settings.

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"

local HERE = "tests/world/kube/"
local PATIENCE_MS = 180000

local M = {}
local World = {}
World.__index = World

local function run(options)
  local done = assert(sys.run(options))
  if done.code ~= 0 then
    error(("%s: exit %d\n%s%s"):format(table.concat(options.args or options,
      " "), done.code, done.stdout, done.stderr), 0)
  end
  return done.stdout
end

local function settings(options)
  local words = {}
  for name, value in pairs(options or {}) do
    words[#words + 1] = name:upper() .. "="
      .. (type(value) == "table" and table.concat(value, " ") or value)
  end
  return words
end

---@class tests.KubeOptions
---@field parts? string[]   of etcd apiserver manager kwok pods; default: all but kwok
---@field api? string[]     more flags of kube-apiserver
---@field bin? string       where pods' commands are looked for first
---@field strimzi? string   whose resource definitions to load: "0.51.0", "1.2.0"

--- Starts one and waits until it is ready.
---@async
---@param options? tests.KubeOptions
function M.start(options)
  local dir = assert(sys.temporary_folder "tranship-kube")
  local self = setmetatable({ dir = dir }, World)
  local ok, said = pcall(run, { HERE .. "server", "up", dir,
    "OWNER=" .. sys.pid(), table.unpack(settings(options)) })
  if not ok then
    self:stop()
    error(said, 0)
  end
  self.kubeconfig = said:gsub("%s+$", "")
  self._kubectl = run { HERE .. "build", "where" }:gsub("%s+$", "") .. "/kubectl"
  self.server = sys.read_file(self.kubeconfig):match 'server: "([^"]+)"'
  return self
end

--- A case with a world that is stopped however the case ends.
---@async
function M.with(body, options)
  local world <close> = M.start(options)
  body(world)
end

---@async
function World:stop() run { HERE .. "server", "down", self.dir } end
World.__close = World.stop

--- The kubeconfig of `admin`, `token` (tranship), `nobody`, or `late` (expired).
function World:config_of(user)
  return ("%s/%s.kubeconfig"):format(self.dir, user)
end

--- A certificate's or key's PEM: "ca.crt", "admin.key", "stranger-ca.crt".
function World:pem(name) return assert(sys.read_file(self.dir .. "/pki/" .. name)) end

--- kubectl as admin: code, stdout, stderr; the judge's view, not tranship's.
---@async
function World:try_kubectl(options)
  return assert(sys.run {
    args = { self._kubectl, "--kubeconfig",
      self:config_of(options.user or "admin"), table.unpack(options) },
    input = options.input,
  })
end

--- The same, and it must end well; its stdout.
---@async
function World:kubectl(...)
  local done = self:try_kubectl { ... }
  if done.code ~= 0 then
    error(("kubectl %s: exit %d\n%s%s"):format(table.concat({ ... }, " "),
      done.code, done.stdout, done.stderr), 0)
  end
  return (done.stdout:gsub("\n$", ""))
end

--- An object as a table; nil when it is not there.
---@async
function World:get(kind, name, namespace)
  local done = self:try_kubectl { "get", kind, name, "-o", "json",
    "--ignore-not-found", "-n", namespace or "default" }
  if done.code ~= 0 then error(done.stderr, 0) end
  return done.stdout ~= "" and assert(json.decode(done.stdout)) or nil
end

--- Applies objects (tables, or one text of YAML) as `kubectl apply` does; forced,
-- also over the fields of others.
---@async
---@param options? { force?: boolean }
function World:apply(objects, options)
  if type(objects) == "table" then
    local texts = {}
    for i, object in ipairs(objects[1] and objects or { objects }) do
      texts[i] = json.encode(object)
    end
    objects = table.concat(texts, "\n---\n")
  end
  local done = self:try_kubectl { "apply", "--server-side", "--force-conflicts="
    .. tostring(options ~= nil and options.force == true),
    "--field-manager=test", "-f", "-", input = objects }
  if done.code ~= 0 then error(done.stderr, 0) end
end

--- One request past every client: status code and body.
---@async
---@param options { user?: string, token?: string, method?: string, body?: string, type?: string }
function World:request(path, options)
  options = options or {}
  local pki = self.dir .. "/pki/"
  local words = { "curl", "-s", "-m", "20", "--cacert", pki .. "ca.crt", "-w",
    "\n%{http_code}", "-X", options.method or "GET", self.server .. path }
  local function add(...) table.move({ ... }, 1, select("#", ...), #words + 1, words) end
  if options.user then
    add("--cert", pki .. options.user .. ".crt", "--key",
      pki .. options.user .. ".key")
  end
  local config = options.token
    and 'header = "Authorization: Bearer ' .. options.token .. '"\n'
  if config then add("-K", "-") end
  if options.body then
    add("-H", "Content-Type: " .. (options.type or "application/json"),
      "--data-binary", options.body)
  end
  local body, code = run { args = words, input = config }:match "^(.*)\n(%d+)%s*$"
  return math.tointeger(tonumber(code)), body
end

--- The audit log: what clients sent, as the server saw it. `want` fields must
-- be equal; verb, code, user, resource, name, subresource, agent (a pattern).
---@async
function World:audit(want)
  local found = {}
  local text = sys.read_file(self.dir .. "/audit.log") or ""
  for line in text:gmatch "[^\n]+" do
    local event = json.decode(line)
    local ref = event and event.objectRef or {}
    local seen = event and {
      verb = event.verb, user = event.user.username, resource = ref.resource,
      code = (event.responseStatus or {}).code, name = ref.name,
      subresource = ref.subresource, namespace = ref.namespace,
    }
    local fits = event ~= nil
    for name, value in pairs(want or {}) do
      if name == "agent" then
        fits = fits and (event.userAgent or ""):find(value) ~= nil
      else
        fits = fits and seen[name] == value
      end
    end
    if fits then found[#found + 1] = event end
  end
  return found
end

--- Ends (KILL, TERM), halts (STOP) or continues (CONT) a part.
---@async
function World:signal(part, signal)
  run { HERE .. "server", "signal", self.dir, part, signal }
end

--- Starts what does not run; settings given replace the old ones.
---@async
function World:up(options)
  run { HERE .. "server", "up", self.dir, table.unpack(settings(options)) }
end

--- KILL and start again, maybe with other flags: `world:restart { api = {..} }`.
---@async
function World:restart(options)
  self:signal("apiserver", "KILL")
  self:up(options)
end

--- The program that makes bad weather before the API server (tests/world/kube/
-- weather, which names the faults): `weather.set("slow 100", "age 2")`.
---@async
function World:weather()
  local dir = self.dir .. "/weather"
  local log = self.dir .. "/log/weather.log"
  local process = assert(sys.spawn { args = { HERE .. "weather", "--server",
    self.server, "--pki", self.dir .. "/pki", "--work", dir }, stdin = "null",
    stdout = log, stderr = log })
  local weather = { address = "http://127.0.0.1:" .. self:wait_for("weather",
    function() return sys.read_file(dir .. "/port") end):match "%d+" }
  function weather.set(...)
    assert(sys.write_file(dir .. "/faults", table.concat({ ... }, "\n") .. "\n",
      { atomic = true }))
  end
  function weather.tunnels()
    return select(2, (sys.read_file(dir .. "/tunnels") or ""):gsub("\n", ""))
  end
  function weather.close()
    process:kill "KILL"
    process:wait()
    process:close()
  end
  return setmetatable(weather, { __close = weather.close })
end

--- The kubeconfig of `token` (tranship) whose requests pass through a proxy.
function World:config_through(weather)
  local path = self.dir .. "/through.kubeconfig"
  local text = assert(sys.read_file(self:config_of "token"))
  local put = ('{proxy-url: "%s", server: '):format(weather.address)
  assert(sys.write_file(path, (text:gsub("{server: ", put))))
  return path
end

--- What a part of the world has written: "apiserver", "pods", ...
function World:log(part) return sys.read_file(self.dir .. "/log/" .. part .. ".log") end

--- Asks again until `read()` gives something.
---@async
function World:wait_for(what, read, within_ms)
  local until_ms = task.now() + (within_ms or PATIENCE_MS)
  while true do
    local value = read()
    if value then return value end
    if task.now() > until_ms then error("no " .. what, 0) end
    task.sleep(100)
  end
end

return M
