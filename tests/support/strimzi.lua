--- The stand-in for Strimzi's operators, at work on a world of kube.lua:
--     local strimzi = dofile "tests/support/strimzi.lua"
--     local operators = strimzi.start(world, "v1")
--     operators:stop()
-- It also ends when the test does. Brokers of Kafka resources are its own.

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"

local M = {}
local Operators = {}
Operators.__index = Operators

--- Starts it, for one version of Strimzi's API ("v1beta2", "v1").
---@async
function M.start(world, version)
  local log = world.dir .. "/log/operators.log"
  local process = assert(sys.spawn {
    args = { sys.executable(), "--lua", "tests/world/strimzi/operators.lua",
      world.kubeconfig, world.dir .. "/kafka", version, tostring(sys.pid()) },
    detached = true, stdout = log, stderr = log,
  })
  local self = setmetatable({ world = world, version = version, pid = process.pid,
    log = log }, Operators)
  process:close()
  world:wait_for("ready stand-in operators", function()
    return (sys.read_file(log) or ""):find "ready\n"
  end)
  return self
end

---@async
function Operators:stop()
  sys.kill(self.pid, "TERM")
  self.world:wait_for("end of the stand-in operators", function()
    local seen = sys.process(self.pid)
    return seen == nil or seen.state == "dead"
  end)
end

local function condition(object, kind)
  for _, one in ipairs(object.status and object.status.conditions or {}) do
    if one.type == kind then return one end
  end
end
M.condition = condition

--- Waits until a resource is reconciled at its own generation, and has a
-- condition; the resource.
---@async
function Operators:wait(plural, name, kind, status)
  return self.world:wait_for(("%s %s: %s"):format(plural, name, kind), function()
    local object = self.world:get(plural .. ".kafka.strimzi.io", name)
    local seen = object and condition(object, kind)
    return seen and seen.status == (status or "True")
      and object.status.observedGeneration == object.metadata.generation and object
  end)
end

--- The texts of a Secret.
---@async
function Operators:secret(name)
  local object = self.world:get("secret", name)
  if not object then return nil end
  local out = {}
  for key, value in pairs(object.data) do out[key] = sys.from_base64(value) end
  return out
end

--- No operator and no broker: says yes to every Kafka and KafkaUser at once, with
-- addresses for its listeners and a Secret for its users. For laws, which ask for
-- the same again and again. Close it.
---@async
function M.nod(world, version, namespace)
  local kube = require "kube.kubernetes".new { name = "nodding", kubeconfig = world.kubeconfig,
    namespace = namespace }
  local function answer(kind, there)
    local status = { observedGeneration = there.metadata.generation, conditions = {
      { type = "Ready", status = "True", lastTransitionTime = "2026-01-01T00:00:00Z" } } }
    if there.status and there.status.observedGeneration == status.observedGeneration then return end
    if kind == "Kafka" then
      status.clusterId, status.listeners = "nobody", {}
      for i, one in ipairs(there.spec.kafka.listeners) do
        status.listeners[i] = { name = one.name, bootstrapServers = one.type == "route"
          and one.name .. "-bootstrap.apps.example:443" or "localhost:" .. 30000 + i }
      end
    else
      status.username, status.secret = there.metadata.name, there.metadata.name
      kube:apply({ apiVersion = "v1", kind = "Secret", metadata = { name = status.secret,
        labels = { ["strimzi.io/kind"] = "KafkaUser" } }, stringData = { password = "nod" } },
        { force = true })
    end
    kube:patch(("kafka.strimzi.io/%s/%s"):format(version, kind), there.metadata.name,
      { status = status }, { subresource = "status" })
  end
  local tasks = {}
  for i, kind in ipairs { "Kafka", "KafkaUser" } do
    tasks[i] = task.spawn(function()
      local watch <close> = assert(kube:watch(("kafka.strimzi.io/%s/%s"):format(version, kind)))
      while true do
        local event = assert(watch:next())
        if event.object and event.type ~= "DELETED" then answer(kind, event.object) end
      end
    end)
  end
  return setmetatable({}, { __close = function()
    for _, one in ipairs(tasks) do one:cancel() end
    for _, one in ipairs(tasks) do one:join() end
    kube:close()
  end })
end

--- A Kafka with a pool, as resources; `kafka` are fields of spec.kafka.
function M.cluster(version, name, kafka)
  local api = "kafka.strimzi.io/" .. version
  return {
    apiVersion = api, kind = "KafkaNodePool",
    metadata = { name = name .. "-pool", labels = { ["strimzi.io/cluster"] = name } },
    spec = { replicas = 1, roles = json.array { "controller", "broker" },
      storage = { type = "ephemeral" } },
  }, {
    apiVersion = api, kind = "Kafka", metadata = { name = name, annotations = {
      ["strimzi.io/kraft"] = "enabled", ["strimzi.io/node-pools"] = "enabled" } },
    spec = { kafka = kafka, entityOperator = { topicOperator = {}, userOperator = {} } },
  }
end

--- A resource that belongs to a Kafka.
function M.of(version, kind, cluster, name, spec)
  return { apiVersion = "kafka.strimzi.io/" .. version, kind = kind,
    metadata = { name = name, labels = { ["strimzi.io/cluster"] = cluster } }, spec = spec }
end

return M
