--- How the stand-in talks to its API server: tranship's own client. Secrets it
-- must look into (authorities' keys, chosen passwords) it reads through kubectl,
-- because in a tranship script a secret is never a text.

local json = require "vm.json"
local kubernetes = require "kube.kubernetes"
local sys = require "vm.sys"

local SINGULAR = { kafkas = "Kafka", kafkanodepools = "KafkaNodePool",
  kafkatopics = "KafkaTopic", kafkausers = "KafkaUser",
  kafkamirrormaker2s = "KafkaMirrorMaker2" }
local CONFLICT_TRIES = 5

local M = {}
local Api = {}
Api.__index = Api

local function must(value, why)
  if value == nil then error(why, 0) end
  return value
end

---@param kubeconfig string
---@param version string  of Strimzi's API
function M.open(kubeconfig, version)
  local where = must(sys.run { "tests/world/kube/build", "where" }).stdout:gsub("%s+$", "")
  return setmetatable({
    kube = kubernetes.new { name = "strimzi-stand-in", kubeconfig = kubeconfig },
    kubeconfig = kubeconfig, kubectl = where .. "/kubectl", version = version,
  }, Api)
end

function Api:close() self.kube:close() end

function Api:kind(plural)
  return ("kafka.strimzi.io/%s/%s"):format(self.version, SINGULAR[plural])
end

---@async
function Api:list(plural)
  local items = must(self.kube:list(self:kind(plural)))
  for i, item in ipairs(items) do items[i] = json.copy(item) end
  return items
end

---@async
function Api:get(plural, name)
  local there = must(self.kube:find(self:kind(plural), name))
  return there and json.copy(there) or nil
end

--- Calls `changed()` for every event, as long as it lives.
---@async
function Api:watch(plural, changed)
  local watch <close> = setmetatable({ it = must(self.kube:watch(self:kind(plural))) },
    { __close = function(self_) self_.it:close() end })
  while true do
    must(watch.it:next())
    changed()
  end
end

--- Tries again while somebody else gets between; one that is gone is fine.
local function persist(send)
  local value, why
  for _ = 1, CONFLICT_TRIES do
    value, why = send()
    if value ~= nil or why.kind ~= "conflict" then break end
  end
  if value == nil and why.kind ~= "not found" then error(why, 0) end
end

---@async
function Api:put_status(plural, item, status)
  persist(function()
    local patch = { status = status }
    for name in pairs(item.status or {}) do
      if status[name] == nil then status[name] = json.null end
    end
    return self.kube:patch(self:kind(plural), item.metadata.name, patch, {
      subresource = "status", uid = item.metadata.uid })
  end)
end

---@async
function Api:patch(plural, name, patch)
  persist(function() return self.kube:patch(self:kind(plural), name, patch) end)
end

--- The texts of a Secret, or nil.
---@async
function Api:secret(name)
  local got = must(sys.run { self.kubectl, "--kubeconfig", self.kubeconfig, "get", "secret",
    name, "-o", "json", "--ignore-not-found" })
  if got.code ~= 0 then error(got.stderr, 0) end
  if got.stdout == "" then return nil end
  local data = {}
  for key, value in pairs(json.decode(got.stdout).data or {}) do
    data[key] = must(sys.from_base64(value))
  end
  return data
end

--- Writes one; nothing is sent when it says that already.
---@async
function Api:put_secret(secret)
  local had, same = self:secret(secret.metadata.name), true
  for key, value in pairs(secret.data) do same = same and had ~= nil and had[key] == value end
  if same then return end
  local data = {}
  for key, value in pairs(secret.data) do data[key] = sys.base64(value) end
  must(self.kube:apply({ apiVersion = "v1", kind = "Secret", type = "Opaque",
    metadata = secret.metadata, data = data }, { force = true }))
end

return M
