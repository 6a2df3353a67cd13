--- "This cluster is shaped like that one": its topics, partitions, replicas,
-- settings of topics, and ACLs. What cannot be carried (replicas there are no
-- brokers for, settings that do not exist, passwords of users) is named; what
-- is there besides is left alone, and Kafka's and tranship's own topics too.

local pattern = require "kafka.pattern"
local shape = require "kafka.shape"

local function is_carried(g, name)
  return name:sub(1, 2) ~= "__"
    and (not g.topics or pattern.matches(g.topics, name))
    and not pattern.matches(g.except or {}, name)
end

local function topics_of(g)
  local list, why = g.source:topics()
  if not list then return nil, why end
  local names, wanted = {}, {}
  for _, topic in ipairs(list) do
    if is_carried(g, topic.name) then names[#names + 1] = topic.name end
  end
  local own = {}
  if #names > 0 then
    own, why = g.source:configs(names)
    if not own then return nil, why end
  end
  for _, topic in ipairs(list) do
    if is_carried(g, topic.name) then
      wanted[#wanted + 1] = {
        name = topic.name, partitions = topic.partitions,
        replication = topic.replication, configs = own[topic.name] or {},
        exactly = true,
      }
    end
  end
  return wanted
end

-- ACLs about topics that are not carried stay where they are; prefixes and all
-- other resources come along.
local function acls_of(g)
  local list, why = g.source:acls()
  if not list then return nil, why end
  local wanted = {}
  for _, one in ipairs(list) do
    if one.resource_type ~= "topic" or one.pattern ~= "literal"
      or one.name == "*" or is_carried(g, one.name) then
      wanted[#wanted + 1] = one
    end
  end
  return wanted
end

local function wanted(g)
  local topics, why = topics_of(g)
  if not topics then return nil, why end
  local acls
  acls, why = acls_of(g)
  if not acls then return nil, why end
  return { topics = topics, acls = acls }
end

--- SCRAM users of the source that the target does not know.
local function users_missing(g)
  local there, known, lines = g.source:users(), {}, {}
  for _, user in ipairs(g.cluster:users() or {}) do known[user.name] = true end
  for _, user in ipairs(there or {}) do
    if not known[user.name] then
      lines[#lines + 1] = ("user %s is not there: passwords cannot be carried")
        :format(user.name)
    end
  end
  return lines
end

local def = shape.goal(wanted, function(g) return g.cluster end, function(g)
  return ("%s has the topics and ACLs of %s"):format(g.cluster.name,
    g.source.name)
end)

local check = def.check
function def.check(g, run)
  local answer, why = check(g, run)
  if not answer then return nil, why end
  local differs = answer.seen.differs
  for _, line in ipairs(users_missing(g)) do differs[#differs + 1] = line end
  if answer.ok and #differs > 0 then
    answer.text = answer.want .. ", except: " .. table.concat(differs, "; ")
  end
  return answer
end
def.verify = def.check
def.wanted = wanted

def.name = "shaped_like"
def.title = "{cluster} is shaped like {source}"
def.subject = "cluster/{cluster}/shape"
def.takes = {
  { name = "cluster", kind = "cluster", desc = "what is shaped" },
  { name = "source", kind = "cluster", desc = "whose shape it gets" },
  { name = "topics", kind = "list", optional = true,
    desc = "names or patterns; default: all" },
  { name = "except", kind = "list", optional = true,
    desc = "names or patterns to leave out" },
}

return def
