--- "What the backup says is so again": its topics with their settings, its ACLs
-- and its groups' positions, on the clusters it was taken from. Records are not
-- in a backup: a topic that is gone comes back empty, and positions beyond its
-- end are refused rather than invented.

local err = require "base.err"
local backup = require "runbook.goal.backup"
local face = require "kafka.cluster"
local making = require "kafka.making"
local put_back = require "kafka.put_back"
local shape = require "kafka.shape"

local def = { name = "restore", title = "backup {id} is restored",
  subject = "backup/{id}" }

def.takes = {
  { name = "id", kind = "text", desc = "the backup, as the report names it" },
  { name = "clusters", kind = "any", rest = true, optional = true,
    desc = "the clusters, where logging in is needed; default: as noted in it" },
}

--- The cluster that an entry of the backup was taken from.
local function cluster_of(g, entry)
  for _, cluster in ipairs(g.clusters or {}) do
    if cluster.name == entry.name then return cluster end
  end
  return face.new { name = entry.name, bootstrap = entry.bootstrap }
end

local function same_cluster(cluster, entry)
  local id, why = cluster:id()
  if not id then return nil, why end
  if id == entry.id then return true end
  return nil, err.new {
    kind = "conflict", origin = "backup",
    message = ("wrong cluster id: the backup of %s was taken from %s, and at "
      .. "%s answers %s"):format(entry.name, entry.id, cluster.bootstrap, id),
  }
end

local function wanted(entry)
  local topics = {}
  for i, topic in ipairs(entry.definitions and entry.definitions.topics or {}) do
    topics[i] = { name = topic.name, partitions = topic.partitions,
      replication = topic.replication, configs = topic.configs, exactly = true }
  end
  return { topics = topics, offsets = entry.offsets,
    acls = entry.definitions and entry.definitions.acls or {} }
end

--- Calls `fn(cluster, wanted, entry)` for each cluster of the backup.
local function each(g, fn)
  local book, why = backup.load(g.id)
  if not book then return nil, why end
  for _, entry in ipairs(book.clusters) do
    local cluster = cluster_of(g, entry)
    local ours = not g.clusters or #g.clusters == 0
    local _ <close> = setmetatable({}, { __close = function()
      if ours then cluster:close() end
    end })
    local ok
    ok, why = same_cluster(cluster, entry)
    if not ok then return nil, why end
    ok, why = fn(cluster, wanted(entry), entry)
    if not ok then return nil, why end
  end
  return true
end

function def.check(g)
  local answers = {}
  local ok, why = each(g, function(cluster, want, entry)
    local lack, problem = shape.lacks(cluster, want)
    if not lack then return nil, problem end
    answers[#answers + 1] = shape.answer(lack, entry.name .. " is as in the backup")
    return true
  end)
  if not ok then return nil, why end
  for _, answer in ipairs(answers) do
    if not answer.ok then return answer end
  end
  return answers[1] or { ok = true, text = "the backup is empty" }
end
def.verify = def.check

--- Notes what is there of all that would change: one entry per cluster.
local function before(g, run)
  return run:remember("before", function()
    local noted = {}
    local ok, why = each(g, function(cluster, want, entry)
      local lack, problem = shape.lacks(cluster, want)
      if not lack then return nil, problem end
      noted[entry.name], problem = making.before(cluster, lack)
      return noted[entry.name], problem
    end)
    if not ok then return nil, why end
    return noted
  end)
end

function def.apply(g, run)
  local noted, why = before(g, run)
  if not noted then return nil, why end
  return each(g, function(cluster, want)
    local lack, problem = shape.lacks(cluster, want)
    if not lack then return nil, problem end
    return making.make(cluster, lack)
  end)
end

function def.undo(g, run)
  local noted, why = before(g, run)
  if not noted then return nil, why end
  local ok
  ok, why = each(g, function(cluster, _, entry)
    return put_back.all(cluster, noted[entry.name],
      function(text) run:log(text) end)
  end)
  if not ok then return nil, why end
end

return def
