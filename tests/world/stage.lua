--- A stage for tests with real applications: clusters, programs of the world,
-- a folder of trails. Loaded by path:
--     local stage <close> = dofile("tests/world/stage.lua").open(t)
-- Whatever was started ends with the stage, also when the test dies.

local kafka = require "vm.kafka"
local sys = require "vm.sys"
local task = require "vm.task"

local APPS = sys.executable():match "^(.*)/" .. "/apps"
local KEEPER = "tests/world/keeper"

local M = {}
M.__index = M

M.greetings = "apps.samples.greetings"
M.reversed = "apps.samples.greetings.reversed"

--- Two clusters, `stage.old` and `stage.new` (bootstrap addresses).
function M.open(t, settings)
  local dir = "/tmp/tranship-test-" .. sys.hex(sys.random(6))
  local keeper = assert(sys.spawn {
    args = { KEEPER, dir, table.unpack(settings or {}) },
    stdin = "pipe", stdout = "pipe", stderr = "inherit",
  })
  local self = setmetatable({
    t = t, dir = dir, keeper = keeper, apps = APPS, trails = dir .. "/trails",
    state = dir .. "/state", running = {}, clients = {},
  }, M)
  self.old, self.new = keeper:read(), keeper:read()
  if not self.new then t.fail "the clusters did not start" end
  t.ok(sys.mkdir(self.trails, { parents = true }))
  return self
end

function M:__close()
  for _, app in ipairs(self.running) do
    app.process:kill "KILL"
    app.process:wait()
    app.process:close()
  end
  for _, client in pairs(self.clients) do client:close() end
  self.keeper:close_stdin()
  self.keeper:wait()
  self.keeper:close()
end

function M:client(name)
  local client = self.clients[name]
  if not client then
    client = self.t.ok(kafka.open { bootstrap = self[name], name = name })
    self.clients[name] = client
  end
  return client
end

function M:create(name, topics)
  for _, topic in ipairs(topics) do
    topic.partitions = topic.partitions or 3
    topic.replication = 1
  end
  self.t.ok(self:client(name):create_topics(topics))
end

local function words_of(self, app, cluster, more)
  local words = {
    APPS .. "/" .. app, "--bootstrap", self[cluster], "--cluster", cluster,
    "--trail", self.trails .. "/" .. app .. ".trail",
  }
  return table.move(more, 1, #more, #words + 1, words)
end

--- Starts an application; `app:stop()` waits for its clean end.
function M:start(app, cluster, ...)
  local stage = self
  local process = self.t.ok(sys.spawn {
    args = words_of(self, app, cluster, { ... }),
    env = { WORLD_DIE_WITH_PARENT = "1" },
  })
  local running = { process = process }
  function running.stop()
    process:kill "TERM"
    stage.t.equal(process:wait().code, 0, app)
    for i, one in ipairs(stage.running) do
      if one == running then table.remove(stage.running, i) end
    end
    process:close()
  end
  self.running[#self.running + 1] = running
  return running
end

--- Runs a program of the world to its end.
function M:run(app, cluster, ...)
  return self.t.ok(sys.run(words_of(self, app, cluster, { ... })))
end

--- Runs one that must end well.
function M:must(app, cluster, ...)
  local ended = self:run(app, cluster, ...)
  self.t.equal(ended.code, 0, app .. ": " .. ended.stderr .. ended.stdout)
  return ended
end

--- Runs tranship itself with the stage's state folder.
function M:tranship(...)
  return self.t.ok(sys.run { args = { sys.executable(), ... },
    env = { TRANSHIP_STATE = self.state } })
end

--- The same, and it must end with that exit code.
function M:tranship_must(code, ...)
  local ended = self:tranship(...)
  if ended.code ~= code then
    self.t.fail(("tranship %s: exit %d, want %d\n%s%s"):format(
      table.concat({ ... }, " "), ended.code, code, ended.stdout,
      ended.stderr))
  end
  return ended
end

--- Waits until a group has read a topic to its end.
function M:caught_up(cluster, group, topic)
  self:must("caughtup", cluster, "--group", group, "--from", topic)
end

--- The audit's numbers against a cluster: code, { lost =, doubled =, ... }.
function M:audit(cluster, more)
  local words = { APPS .. "/audit", "--bootstrap", self[cluster], "--cluster",
    cluster, "--trail", self.trails }
  local ended = self.t.ok(sys.run(table.move(more or {}, 1, #(more or {}),
    #words + 1, words)))
  local counts = {}
  local last = ended.stdout:match "(produced [^\n]*)\n$"
  self.t.ok(last, "the audit said: " .. ended.stdout .. ended.stderr)
  for name, number in last:gmatch "(%l[%l ]*) (%d+)" do
    counts[name] = math.tointeger(tonumber(number))
  end
  return ended.code, counts, ended.stdout
end

--- Asks again until `read()` gives something.
function M:wait_for(what, read, within_ms)
  local until_ms = task.now() + (within_ms or 30000)
  while true do
    local value = read()
    if value then return value end
    if task.now() > until_ms then self.t.fail("no " .. what) end
    task.sleep(50)
  end
end

return M
