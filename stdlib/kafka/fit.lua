--- What of a wanted topic fits the cluster it is wanted on: replicas, settings
-- that exist there and may be set there. What does not fit is named.

local M = {}

-- They name brokers of the cluster they come from.
local OF_ONE_CLUSTER = {
  ["follower.replication.throttled.replicas"] = true,
  ["leader.replication.throttled.replicas"] = true,
}
-- Brokers since 4.0 refuse smaller segments.
local LEAST = { ["segment.bytes"] = 1024 * 1024 }

--- Names of all settings a topic can have there; nil when no topic can tell.
local function known_settings(cluster)
  local all, why = cluster:_ask "topics"
  if not all then return nil, why end
  if not all[1] then return {}, nil end
  local found
  found, why = cluster:_ask("configs", "topic", { all[1].name })
  if not found then return nil, why end
  local known
  for name, entry in pairs(found[all[1].name] or {}) do
    known = known or {}
    if not entry.read_only then known[name] = true end
  end
  return known or {}
end

--- Of these settings those that stay when some are left behind.
---@param given table<string, string>
---@param left table<string, string>  name of a setting: why it is left behind
---@param note fun(format: string, ...)  told of every one that is
---@return table<string, string>
function M.without(given, left, note)
  local kept = {}
  for name, value in pairs(given) do
    if left[name] then
      note("%s is not carried: %s", name, left[name])
    else
      kept[name] = value
    end
  end
  return kept
end

--- Of these settings those that can be set there, as they can be set there.
---@param wanted table<string, string>
---@param known table<string, any>  names that exist there; empty: not known
---@param replication? integer
---@param note fun(format: string, ...)  told of every one that is not carried
---@return table<string, string>
function M.settings(wanted, known, replication, note)
  local configs = {}
  for name, value in pairs(wanted) do
    local least, number = LEAST[name], math.tointeger(tonumber(value))
    if OF_ONE_CLUSTER[name] then
      note("%s is not carried: it names brokers", name)
    elseif next(known) and not known[name] then
      note("%s is not carried: it cannot be set there", name)
    elseif name == "min.insync.replicas" and replication and number
      and number > replication then
      note("min.insync.replicas = %d is not carried: there are %d replicas",
        number, replication)
    elseif least and number and number < least then
      note("%s = %d becomes %d, the least it may be", name, number, least)
      configs[name] = tostring(least)
    else
      configs[name] = value
    end
  end
  return configs
end

--- The wanted topics as they can be made on `cluster`; adds to `notes`.
---@async
function M.topics(cluster, wanted, notes)
  local brokers, known, why
  brokers, why = cluster:brokers()
  if not brokers then return nil, why end
  known, why = known_settings(cluster)
  if not known then return nil, why end
  local fitted = {}
  for i, topic in ipairs(wanted) do
    local function note(...)
      notes[#notes + 1] = ("topic %s: "):format(topic.name) .. (...):format(
        select(2, ...))
    end
    local replication = topic.replication
    if replication and replication > #brokers then
      note("%d replicas become %d, because %s has %d brokers", replication,
        #brokers, cluster.name, #brokers)
      replication = #brokers
    end
    fitted[i] = {
      name = topic.name, partitions = topic.partitions, drop = topic.drop,
      replication = replication, exactly = topic.exactly,
      configs = M.settings(topic.configs or {}, known, replication, note),
    }
  end
  return fitted
end

--- Whether the cluster keeps ACLs at all. Who may not look is taken to have
-- one: the ACL calls will say what is wrong.
---@async
function M.has_authorizer(cluster)
  local brokers, why = cluster:brokers()
  if not brokers then return nil, why end
  local id = tostring(brokers[1].id)
  local found
  found, why = cluster:_ask("configs", "broker", { id })
  if not found then
    if why.kind == "denied" then return true end
    return nil, why
  end
  local entry = found[id] and found[id]["authorizer.class.name"]
  return entry ~= nil and (entry.value or "") ~= ""
end

return M
