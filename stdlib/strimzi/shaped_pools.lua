--- The node pools that a source would have on a target: its own, or one for the
-- brokers that it has. Pure.

local M = {}

local CLUSTER = "strimzi.io/cluster"

--- `base` with the fields of `over` in it; lists of `over` replace others.
function M.merged(base, over)
  if type(base) ~= "table" or type(over) ~= "table" or #over > 0 then return over end
  local out = {}
  for key, value in pairs(base) do out[key] = value end
  for key, value in pairs(over) do
    if out[key] == nil then out[key] = value else out[key] = M.merged(out[key], value) end
  end
  return out
end

--- A function that adds "what: ..." to a list.
function M.noting(list, what)
  return function(format, ...) list[#list + 1] = what .. format:format(...) end
end

local function without_classes(storage, target, note)
  local out = {}
  for key, value in pairs(storage) do
    if key == "class" and next(target.classes) and not target.classes[value] then
      note("storage class %s is not there: the default is taken", value)
    elseif key == "volumes" then
      local volumes = {}
      for i, one in ipairs(value) do volumes[i] = without_classes(one, target, note) end
      out[key] = volumes
    elseif key ~= "overrides" and key ~= "selector" then
      out[key] = value
    end
  end
  return out
end

local function pool(target, name, spec)
  return {
    apiVersion = "kafka.strimzi.io/" .. target.version, kind = "KafkaNodePool",
    metadata = { name = name, namespace = target.namespace,
      labels = { [CLUSTER] = target.name } },
    spec = M.merged(spec, target.pool or {}),
  }
end

local BOTH = { "controller", "broker" }

--- A Kafka resource of the days before node pools, and a cluster without one.
local function only_pool(source, target, note)
  local own = source.resource and source.resource.spec.kafka
  local storage = own and own.storage
  return pool(target, "pool", {
    replicas = own and own.replicas or #source.brokers, roles = BOTH,
    storage = storage and without_classes(storage, target, note) or nil,
    resources = own and own.resources or nil,
  })
end

---@param notes string[]
---@param conflicts string[]  what is lacking to make them
---@return table[] pools
function M.pools(source, target, notes, conflicts)
  local list = {}
  for _, one in ipairs(source.pools or {}) do
    local note = M.noting(notes, ("KafkaNodePool %s: "):format(one.metadata.name))
    list[#list + 1] = pool(target, one.metadata.name, {
      replicas = one.spec.replicas, roles = one.spec.roles, jvmOptions = one.spec.jvmOptions,
      storage = without_classes(one.spec.storage, target, note),
      resources = one.spec.resources,
    })
  end
  if #list == 0 then
    list[1] = only_pool(source, target, M.noting(notes, "KafkaNodePool pool: "))
    if not list[1].spec.storage then
      conflicts[#conflicts + 1] = ("nobody says how large the disks of %s are: give pool = "
        .. "{ storage = { type = \"persistent-claim\", size = \"100Gi\" } }"):format(target.name)
    end
  end
  return list
end

--- How many brokers such pools make.
function M.brokers(pools)
  local count = 0
  for _, one in ipairs(pools) do
    for _, role in ipairs(one.spec.roles or {}) do
      if role == "broker" then count = count + math.tointeger(one.spec.replicas) end
    end
  end
  return count
end

return M
