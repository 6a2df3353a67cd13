--- Stand-in for Strimzi's (unidirectional) Topic Operator: KafkaTopic resources
-- become topics of the real broker, never the other way round; changes made
-- past them are reverted; the finalizer holds a resource until its topic is gone.

local failure = dofile "tests/world/strimzi/failure.lua"

local FINALIZER = "strimzi.io/topic-operator"

local M = { kind = "KafkaTopic", plural = "kafkatopics", of_cluster = true }

local function name_of(topic) return topic.spec.topicName or topic.metadata.name end

local function must(value, why)
  if value == nil then failure.raise("KafkaError", "%s", why.message or tostring(why)) end
  for _, item in ipairs(type(value) == "table" and value or {}) do
    if type(item) == "table" and item.err then
      failure.raise("KafkaError", "%s", item.err.message)
    end
  end
  return value
end

local function as_text(value) return tostring(math.tointeger(value) or value) end

local function wanted_configs(topic)
  local configs = {}
  for name, value in pairs(topic.spec.config or {}) do configs[name] = as_text(value) end
  return configs
end

local function create(client, topic)
  must(client:create_topics { {
    name = name_of(topic), partitions = math.tointeger(topic.spec.partitions or 1),
    replication = 1, configs = wanted_configs(topic),
  } })
end

local function fit_partitions(client, topic, seen)
  local wanted = math.tointeger(topic.spec.partitions or #seen.partitions)
  if wanted < #seen.partitions then
    failure.raise("NotSupported", "Decreasing partitions not supported (%d to %d)",
      #seen.partitions, wanted)
  elseif wanted > #seen.partitions then
    must(client:add_partitions { { name = name_of(topic), total = wanted } })
  end
end

local function fit_configs(client, topic)
  local wanted, set, delete = wanted_configs(topic), {}, {}
  local name = name_of(topic)
  for key, entry in pairs(must(client:configs("topic", { name }))[name]) do
    if wanted[key] and wanted[key] ~= entry.value then
      set[key] = wanted[key]
    elseif not wanted[key] and entry.source == "topic" then
      delete[#delete + 1] = key
    end
  end
  if next(set) or #delete > 0 then
    must(client:alter_configs { { type = "topic", name = name, set = set, delete = delete } })
  end
end

local function set_finalizer(op, topic, present)
  local list, had = {}, false
  for _, name in ipairs(topic.metadata.finalizers or {}) do
    if name == FINALIZER then had = true else list[#list + 1] = name end
  end
  if had == present then return end
  if present then list[#list + 1] = FINALIZER end
  op:set_finalizers("kafkatopics", topic, list)
end

--- Two resources for one topic: the older one has it.
local function refuse_conflict(op, topic)
  for _, other in ipairs(op:list "kafkatopics") do
    if other.metadata.uid ~= topic.metadata.uid and name_of(other) == name_of(topic)
      and other.metadata.creationTimestamp < topic.metadata.creationTimestamp then
      failure.raise("ResourceConflict", "Managed by Ref{namespace='%s', name='%s'}",
        other.metadata.namespace, other.metadata.name)
    end
  end
end

local function is_managed(topic)
  return (topic.metadata.annotations or {})["strimzi.io/managed"] ~= "false"
end

local function deleted(op, client, topic)
  if is_managed(topic) then
    local gone = client:delete_topics { name_of(topic) }
    local why = gone and gone[1] and gone[1].err
    if why and why.kind ~= "not found" then must(nil, why) end
    op:say("topic %s is deleted", name_of(topic))
  end
  set_finalizer(op, topic, false)
end

---@async
function M.reconcile(op, topic, cluster)
  local client = op:client(cluster)
  if topic.metadata.deletionTimestamp then return deleted(op, client, topic) end
  if not is_managed(topic) then
    set_finalizer(op, topic, false)
    return { topicName = name_of(topic), conditions = { { type = "Unmanaged", status = "True" } } }
  end
  refuse_conflict(op, topic)
  set_finalizer(op, topic, true)
  local seen = must(client:describe_topics { name_of(topic) })[name_of(topic)]
  if seen then
    fit_partitions(client, topic, seen)
    fit_configs(client, topic)
  else
    create(client, topic)
    seen = must(client:describe_topics { name_of(topic) })[name_of(topic)]
  end
  return { topicName = name_of(topic), topicId = seen and seen.id }
end

return M
