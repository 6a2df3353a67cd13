--- A Kubernetes cluster, as runbooks, the REPL and the engine hold it. Making
-- one contacts nothing. Readings are in kube.reading, effects in kube.change,
-- waiting in kube.waiting: all of them end up as methods here.

local context = require "base.context"
local err = require "base.err"
local task = require "vm.task"
local vm_kube = require "vm.kube"
local discovery = require "kube.discovery"
local object = require "kube.object"
local request = require "kube.request"

---@class tranship.Kubernetes
---@field name string
local Kubernetes = { __name = "kube.kubernetes" }
Kubernetes.__index = Kubernetes
Kubernetes.__tostring = function(self)
  return "kubernetes " .. self.name
    .. (self.context and (" (context %s)"):format(self.context) or "")
end

local CALLS_AT_ONCE = 8
local TIMEOUT_MS = 30000
local FRESH_MS = 2000 -- a kind that is missing is looked for again after this

--- From the fields of its declaration; contacts nothing, reads nothing.
---@param spec table  name, kubeconfig, context, namespace, calls_at_once,
-- timeout_ms (of each request)
---@return tranship.Kubernetes
local function new(spec)
  return setmetatable({
    name = spec.name, kubeconfig = spec.kubeconfig, context = spec.context,
    namespace = spec.namespace, _account = spec.account,
    _sessions = {}, _warned = {}, _warnings = {},
    _calls_at_once = spec.calls_at_once or CALLS_AT_ONCE,
    _timeout_ms = spec.timeout_ms or TIMEOUT_MS,
  }, Kubernetes)
end

--- Sessions. One per mode, opened when first needed.

local function open(self, mode)
  local session, why = vm_kube.open {
    kubeconfig = self.kubeconfig, context = self.context,
    namespace = self.namespace, account = self._account,
    agent = "tranship", read_only = mode == "read",
    validates = mode == "validate",
  }
  if not session then return nil, err.wrap(why, tostring(self)) end
  local about = session:about()
  if about.warning and not self._warned[about.warning] then
    self._warned[about.warning] = true
    self._warnings[#self._warnings + 1] = about.warning
    context.progress("%s: %s", self.name, about.warning)
    require "vm.log".warn(about.warning)
  end
  self._about = about
  return session
end

function Kubernetes:_session(mode)
  context.live("kubernetes " .. self.name)
  if mode == "write" and context.get().read_only then mode = "read" end
  local session, why = self._sessions[mode]
  if session then return session end
  session, why = open(self, mode)
  if not session then return nil, why end
  self._sessions[mode] = session
  return session
end

--- Bounds the calls under way; close what it gives.
---@async
function Kubernetes:_slot()
  if not self._slots then
    self._slots = task.queue()
    for _ = 1, self._calls_at_once do self._slots:push(true) end
  end
  self._slots:pop()
  return setmetatable({}, { __close = function() self._slots:push(true) end })
end

--- Sends a request (kube.request): its answer, or nil, err. "validate" is for
-- dry runs, "write" for what runs inside an effect.
---@async
---@param mode "read"|"write"|"validate"
---@param options tranship.KubeRequest
function Kubernetes:_send(mode, options)
  local session, why = self:_session(mode)
  if not session then return nil, why end
  local _ <close> = self:_slot()
  return request.send(self, session, options)
end

--- What the kubeconfig says: server, context, cluster, user, namespace.
---@return table?, tranship.Err?
function Kubernetes:about()
  local session, why = self:_session "read"
  if not session then return nil, why end
  return session:about()
end

--- The namespace of what names none.
function Kubernetes:_namespace(given)
  if given then return object.check_name(given, "namespace") end
  if not self._about then
    local session, why = self:_session "read"
    if not session then error(why, 0) end
  end
  return self._about.namespace
end

--- What the server has warned about so far.
---@return string[]
function Kubernetes:warnings() return { table.unpack(self._warnings) } end

--- Kinds.

local function read_kinds(self)
  local kinds, why = discovery.read(function(path, accept, within_ms)
    local answer, failed = self:_send("read", { path = path, accept = accept,
      within_ms = within_ms, doing = "ask " .. self.name .. " what it serves" })
    if not answer then return nil, failed end
    return answer.body
  end)
  if not kinds then return nil, why end
  self._kinds, self._kinds_at = kinds, task.now()
  return kinds
end

--- The kind a text means on this cluster ("Kafka", "deploy", "routes.route.
-- openshift.io", "apps/v1/Deployment"), in the version the server prefers.
---@async
---@param text string
---@return tranship.KubeKind?, tranship.Err?
function Kubernetes:kind(text)
  context.live("the kinds of " .. self.name)
  local kinds, why = self._kinds
  if not kinds then
    kinds, why = read_kinds(self)
    if not kinds then return nil, why end
  end
  local found = discovery.find(kinds, text)
  if not found and task.now() - self._kinds_at > FRESH_MS then
    kinds, why = read_kinds(self)
    if not kinds then return nil, why end
    found = discovery.find(kinds, text)
  end
  if found then return found end
  return nil, discovery.unknown(kinds, text, self.name)
end

--- The first of several kinds or versions that the cluster serves: for those
-- whose version differs between clusters.
---@async
---@param list string[]  { "kafka.strimzi.io/v1/Kafka", "kafka.strimzi.io/v1beta2/Kafka" }
---@return tranship.KubeKind?, tranship.Err?
function Kubernetes:first_kind(list)
  local found, why
  for _, text in ipairs(list) do
    found, why = self:kind(text)
    if found or why.reason ~= "NotServed" then return found, why end
  end
  return nil, why
end

--- Whether a kind is served: true, false, or nil, err when nobody answers.
---@async
function Kubernetes:serves(text)
  local found, why = self:kind(text)
  if found then return true end
  if why.reason == "NotServed" then return false end
  return nil, why
end

--- Closes its sessions; the next call opens new ones.
function Kubernetes:close()
  for mode, session in pairs(self._sessions) do
    session:close()
    self._sessions[mode] = nil
  end
  self._kinds, self._about = nil, nil
end
Kubernetes.__close = Kubernetes.close

for _, part in ipairs { "reading", "logs", "waiting", "change", "ensure",
  "rights" } do
  for name, method in pairs(require("kube." .. part)) do
    assert(Kubernetes[name] == nil, name)
    Kubernetes[name] = method
  end
end

return { new = new }
