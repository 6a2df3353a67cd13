--- A STAND-IN for Strimzi's Cluster, Topic and User Operator, as a tranship
-- script: the real ones are published as container images only.
--     tranship --lua tests/world/strimzi/operators.lua KUBECONFIG FOLDER VERSION [PID]
-- watches the context's namespace in Strimzi's API VERSION (v1beta2 or v1),
-- keeps its brokers in FOLDER, prints "ready", and ends on TERM or when process
-- PID has ended. Annotations of a resource ask for bad behaviour:
--     stand-in/delay: "5"             seconds before each reconciliation
--     stand-in/fails: "Reason: why"   it fails like that
--     stand-in/silent: "true"         nothing ever answers
--     stand-in/renews: "cluster-ca 1" of a Kafka: its authority gets a new key

local api = dofile "tests/world/strimzi/api.lua"
local failure = dofile "tests/world/strimzi/failure.lua"
local json = require "vm.json"
local kafka = require "vm.kafka"
local sys = require "vm.sys"
local task = require "vm.task"

-- What is not done yet is looked at again after a tick, what failed after RETRY,
-- everything after ALL of them.
local TICK_MS, RETRY, ALL = 1000, 5, 30
local OWNER_MS = 1000
local CONTROLLERS = {}
for _, name in ipairs { "cluster", "topic", "user", "mirror_maker" } do
  local one = dofile("tests/world/strimzi/" .. name .. "_operator.lua")
  CONTROLLERS[one.plural] = one
end
-- A Kafka comes before what lives in it.
local ORDER = { "kafkas", "kafkausers", "kafkatopics", "kafkamirrormaker2s" }

local Operator = {}
Operator.__index = Operator

function Operator.say(_, format, ...)
  sys.out(("stand-in operator: " .. format .. "\n"):format(...))
end

function Operator.labels(cluster, name, kind)
  return { ["strimzi.io/cluster"] = cluster, ["strimzi.io/kind"] = kind or "Kafka",
    ["app.kubernetes.io/name"] = name, ["app.kubernetes.io/managed-by"] = "strimzi-stand-in" }
end

function Operator:list(plural) return self.api:list(plural) end
function Operator:secret(name) return self.api:secret(name) end
function Operator:kafka(name) return self.api:get("kafkas", name) end

--- Writes a Secret that goes with its owner.
function Operator:put_secret(name, data, about)
  local owner = about.owner
  self.api:put_secret {
    metadata = { name = name, labels = about.labels, annotations = about.annotations,
      ownerReferences = json.array { {
        apiVersion = "kafka.strimzi.io/" .. self.version, kind = owner.kind,
        name = owner.metadata.name, uid = owner.metadata.uid, controller = false,
        blockOwnerDeletion = self.version == "v1",
      } } },
    data = data,
  }
end

function Operator:set_finalizers(plural, item, list)
  self.api:patch(plural, item.metadata.name, { metadata = { finalizers = json.array(list) } })
end

--- The address and a client of a Kafka's broker, for the stand-in itself.
function Operator:control(name)
  local uid = self.by_name[name]
  return uid and self.brokers[uid] and self.brokers[uid]:control()
end

function Operator:client(name)
  if not self.clients[name] then
    self.clients[name] = assert(kafka.open { bootstrap = self:control(name),
      name = "strimzi-stand-in" })
  end
  return self.clients[name]
end

function Operator:drop_client(name)
  if self.clients[name] then self.clients[name]:close() end
  self.clients[name] = nil
end

-- Status. --------------------------------------------------------------------

local function now() return os.date "!%Y-%m-%dT%H:%M:%SZ" end

--- Conditions keep their time as long as they say the same.
local function stamped(conditions, before)
  for _, condition in ipairs(conditions) do
    condition.lastTransitionTime = now()
    for _, old in ipairs(before or {}) do
      if old.type == condition.type and old.status == condition.status
        and old.reason == condition.reason then
        condition.lastTransitionTime = old.lastTransitionTime
      end
    end
  end
  return json.array(conditions)
end

--- Writes a status if it says something new.
function Operator:write_status(plural, item, status)
  local before = item.status or {}
  status.observedGeneration = item.metadata.generation
  status.conditions = status.conditions and stamped(status.conditions, before.conditions)
  local all = json.decode(json.encode(before))
  for name, value in pairs(status) do all[name] = value end
  if not status.conditions then all.conditions = nil end
  if json.encode(all) == json.encode(before) then return end
  self.api:put_status(plural, item, all)
end

local function failed(controller, why)
  if controller.not_ready then
    return { { type = controller.not_ready, status = "True", reason = why.reason,
      message = why.message } }
  end
  return { { type = "Ready", status = "False", reason = why.reason, message = why.message } }
end

local function annotation(item, name) return (item.metadata.annotations or {})[name] end

--- What the resource asks the stand-in to do wrong.
local function behave(item)
  local delay = annotation(item, "stand-in/delay")
  local is_new = (item.status or {}).observedGeneration ~= item.metadata.generation
  if delay and is_new then task.sleep(math.floor(tonumber(delay) * 1000)) end
  local reason, message = (annotation(item, "stand-in/fails") or ""):match "^(.-): (.*)$"
  if reason then failure.raise(reason, "%s", message) end
end

--- The Kafka a topic or user belongs to, when its broker is there.
local function cluster_of(self, controller, item)
  if not controller.of_cluster then return true end
  local name = (item.metadata.labels or {})["strimzi.io/cluster"]
  return name and self:control(name) and name or nil
end

--- What a reconciliation rests on; the same is not done twice.
local function face_of(item)
  local meta = item.metadata
  return json.encode { meta.uid, meta.generation, meta.labels or {}, meta.annotations or {},
    meta.deletionTimestamp or "" }
end

local function reconcile(self, plural, item)
  local controller = CONTROLLERS[plural]
  local cluster = cluster_of(self, controller, item)
  if not cluster or annotation(item, "stand-in/silent") == "true" then return end
  local face = face_of(item)
  if self.done[item.metadata.uid] == face then return end
  if annotation(item, "strimzi.io/pause-reconciliation") == "true"
    and not item.metadata.deletionTimestamp then
    self.done[item.metadata.uid] = nil
    return self:write_status(plural, item, {
      conditions = { { type = "ReconciliationPaused", status = "True" } } })
  end
  local ok, status = pcall(function()
    behave(item)
    return controller.reconcile(self, item, cluster)
  end)
  if not ok then
    local why = failure.of(status)
    self:say("%s %s: %s: %s", controller.kind, item.metadata.name, why.reason, why.message)
    status = { conditions = failed(controller, why) }
  elseif controller.is_restless then
    self.impatient = self.impatient or status == nil
  else
    self.done[item.metadata.uid] = face
  end
  if ok and status then
    status.conditions = status.conditions or { { type = "Ready", status = "True" } }
  end
  if status then self:write_status(plural, item, status) end
end

--- Resources that were there and are not any more.
local function forget_gone(self, plural, items)
  local known, controller = self.known[plural], CONTROLLERS[plural]
  local there = {}
  for _, item in ipairs(items) do there[item.metadata.uid] = item end
  for uid, item in pairs(known) do
    local cluster = not there[uid] and cluster_of(self, controller, item)
    if cluster and controller.forget then
      local ok, why = pcall(controller.forget, self, item, cluster)
      if not ok then self:say("%s %s: %s", controller.kind, item.metadata.name, tostring(why)) end
    end
  end
  self.known[plural] = there
end

--- One round over everything; what fails is tried again in the next.
function Operator:round()
  self.impatient = false
  for _, plural in ipairs(ORDER) do
    local items = self.api:list(plural)
    forget_gone(self, plural, items)
    for _, item in ipairs(items) do
      local ok, why = pcall(reconcile, self, plural, item)
      if not ok then self:say("%s: %s", item.metadata.name, tostring(why)) end
    end
  end
end

--- Rounds: at once when something changed, and now and then.
function Operator:serve()
  local changed = task.flag()
  local watches = {}
  for i, plural in ipairs(ORDER) do
    watches[i] = task.spawn(function()
      self.api:watch(plural, function() changed:set() end)
    end)
  end
  local timer = task.spawn(function()
    for ticks = 1, math.maxinteger do
      task.sleep(TICK_MS)
      if ticks % ALL == 0 then self.done = {} end
      if self.impatient or ticks % RETRY == 0 then changed:set() end
    end
  end)
  local ok, why = pcall(function()
    self:round()
    sys.out "ready\n"
    while true do
      changed:wait()
      changed:clear()
      self:round()
    end
  end)
  for _, one in ipairs(watches) do one:cancel() end
  timer:cancel()
  if not ok then error(why, 0) end
end

--- Returns when a process has ended.
local function outlived(pid)
  while true do
    local seen = sys.process(pid)
    if not seen or seen.state == "dead" then return end
    task.sleep(OWNER_MS)
  end
end

local function main(kubeconfig, folder, version, owner)
  local self = setmetatable({ api = api.open(kubeconfig, version), work = folder,
    version = version, brokers = {}, by_name = {}, clients = {}, done = {}, known = {} },
    Operator)
  for _, plural in ipairs(ORDER) do self.known[plural] = {} end
  local signals = assert(sys.signals { "TERM", "INT" })
  local serving = task.spawn(self.serve, self)
  local enders = { task.spawn(function() signals:next() serving:cancel() end) }
  if owner then
    enders[2] = task.spawn(function()
      outlived(math.tointeger(tonumber(owner)))
      serving:cancel()
    end)
  end
  local ok, why = serving:join()
  for _, ender in ipairs(enders) do ender:cancel() end
  signals:close()
  for _, controller in pairs(CONTROLLERS) do
    if controller.close then controller.close(self) end
  end
  for name in pairs(self.clients) do self:drop_client(name) end
  for _, node in pairs(self.brokers) do node:stop() end
  self.api:close()
  if not ok and why and why.kind ~= "cancelled" then error(why, 0) end
end

main(...)
