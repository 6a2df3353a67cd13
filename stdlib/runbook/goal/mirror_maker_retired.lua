--- "MirrorMaker 2 is gone": its resource, its Connect group's topics and those of
-- its own on both sides. What it copied stays. Topics that have a KafkaTopic go
-- through it, so that no operator brings them back.

local err = require "base.err"
local json = require "vm.json"
local kinds = require "strimzi.topic"
local maker = require "strimzi.mirror_maker"
local mm2_names = require "mirror.mm2.names"
local wire_side = require "mirror.side"
local task = require "vm.task"

local IDLE = { Empty = true, Dead = true }
local GROUP_WITHIN_MS, LOOK_EVERY_MS = 60000, 500

local function kind_of(g) return g.cluster.strimzi:kind "KafkaMirrorMaker2" end

local function resource_of(g)
  local own = g.cluster.strimzi
  local kind, why = kind_of(g)
  if not kind then return nil, why end
  local there
  there, why = own.kube:find(kind, g.name, { namespace = own.namespace })
  if there == nil then return nil, why end
  return there and json.copy(there)
end

--- What the resource calls its topics, or what ours would.
local function flow_of(g, resource)
  if resource then return maker.flows(resource)[1] end
  local own = maker.names(g.name)
  return { source = { alias = g.from.name }, target = { alias = g.cluster.name },
    group = own.group, storage = own, connectors = {} }
end

--- Topics of its own by side.
local function own_topics(g, run, resource)
  return run:remember("own topics", function()
    local flow = flow_of(g, resource)
    local config = flow.connectors.Source or {}
    local is_default = resource and not (config["replication.policy.class"] or "")
      :find("Identity", 1, true)
    local names, why = mm2_names.new { source = flow.source.alias, target = flow.target.alias,
      policy = is_default and "default" or "identity",
      separator = config["replication.policy.separator"],
      offset_syncs = resource and (config["offset-syncs.topic.location"] or "source")
        or "target" }
    if not names then return nil, why end
    -- The source's heartbeats may be of other mirrors, too.
    local on = { from = {}, to = { names.checkpoints, names.remote_heartbeats,
      flow.storage.config, flow.storage.offset, flow.storage.status } }
    table.insert(on[names.syncs_side], names.syncs)
    return { from = json.array(on.from), to = json.array(on.to), group = flow.group }
  end)
end

--- Those of a list that are there.
local function left_on(cluster, list)
  local left = {}
  for _, name in ipairs(list) do
    local there, why = cluster:topic_shape(name)
    if there == nil then return nil, why end
    if there then left[#left + 1] = name end
  end
  return left
end

local function look(g, run)
  local own, from, to
  local resource, why = resource_of(g)
  if resource == nil then return nil, why end
  own, why = own_topics(g, run, resource)
  if own then from, why = left_on(g.from, own.from) end
  if from then to, why = left_on(g.cluster, own.to) end
  if not to then return nil, why end
  return { resource = resource, own = own, from = from, to = to }
end

local function check(g, run)
  local seen, why = look(g, run)
  if not seen then return nil, why end
  local lines = {}
  if seen.resource then
    lines[1] = ("KafkaMirrorMaker2 %s is there"):format(g.name)
  end
  for side, cluster in pairs { from = g.from, to = g.cluster } do
    if #seen[side] > 0 then
      lines[#lines + 1] = ("on %s: %s"):format(cluster.name, table.concat(seen[side], ", "))
    end
  end
  table.sort(lines)
  local want = ("MirrorMaker 2 %s is gone, with its own topics"):format(g.name)
  return { ok = #lines == 0, want = want, seen = { left = lines },
    text = #lines == 0 and want or "left: " .. table.concat(lines, "; ") }
end

--- Its workers must have left: they would make their topics anew. Theirs is no
-- consumer group; as any kind of group its coordinator knows it, once there is
-- one.
local function wait_idle(cluster, id)
  local login, until_ms = cluster:_wire_login(), task.now() + GROUP_WITHIN_MS
  local brokers = wire_side.new { name = cluster.name, bootstrap = cluster.bootstrap,
    login = login, read_only = true }
  local _ <close> = setmetatable({}, { __close = function() brokers:close() end })
  while true do
    local group, why = brokers:group(id)
    if group and IDLE[group.state] then return true end
    local late = task.now() > until_ms
    if not group and (late or not why.retriable) then return nil, why end
    if late then
      return nil, err.new { kind = "conflict", origin = "strimzi",
        message = ("group %s is %s on %s: workers of MirrorMaker are still there"):format(
          id, group.state, cluster.name) }
    end
    task.sleep(LOOK_EVERY_MS)
  end
end

local function delete_topics(cluster, names)
  local own, resources = cluster.strimzi, {}
  if own then
    local found, why = kinds.resources(own)
    if not found then return nil, why end
    resources = found
  end
  for _, name in ipairs(names) do
    local done, why
    local resource = resources[name]
    if resource then
      done, why = kinds.delete(own.kube, resource.apiVersion .. "/KafkaTopic",
        resource.metadata.name, { namespace = resource.metadata.namespace,
          uid = resource.metadata.uid })
    else
      done, why = cluster:delete_topic(name)
    end
    if done == nil then return nil, why end
  end
  return true
end

local function delete_resource(g, seen)
  if not seen.resource then return true end
  local own = g.cluster.strimzi
  local kind, why = kind_of(g)
  if not kind then return nil, why end
  return own.kube:delete(kind, g.name, { namespace = own.namespace,
    uid = seen.resource.metadata.uid })
end

local function apply(g, run)
  local seen, why = look(g, run)
  if not seen then return nil, why end
  local done
  done, why = delete_resource(g, seen)
  if done == nil then return nil, why end
  if require "base.context".get().phase ~= "plan" then
    done, why = wait_idle(g.cluster, seen.own.group)
    if not done then return nil, why end
  end
  done, why = delete_topics(g.cluster, seen.to)
  if not done then return nil, why end
  return delete_topics(g.from, seen.from)
end

return {
  name = "mirror_maker_retired", title = "MirrorMaker 2 {name} on {cluster} is gone",
  subject = "cluster/{cluster}/mirror_maker/{name}",
  takes = {
    { name = "cluster", kind = "cluster", desc = "the target, which Strimzi runs" },
    { name = "name", kind = "text", desc = "of the KafkaMirrorMaker2" },
    { name = "from", kind = "cluster", desc = "the source" },
  },
  irreversible = "what MirrorMaker remembered is gone: another one begins anew",
  check = check, verify = check, apply = apply,
}
