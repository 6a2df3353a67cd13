--- "The topic is there", on a cluster that Strimzi runs: as a KafkaTopic, so that
-- its Topic Operator agrees. A topic without one is adopted as it is. Undone, a
-- topic that this goal made goes again while it is empty, and one that it adopted
-- is let go and has its settings back. Without a Topic Operator it is a topic of
-- a plain cluster.

local context = require "base.context"
local kinds = require "strimzi.topic"
local plain = require "runbook.goal.topic"
local shape = require "kube.shape"

local M = {}

--- What Kafka has: { partitions, replication, configs }, or false.
local function live_of(cluster, name)
  local there, why = cluster:topic_shape(name)
  if not there then return there, why end
  local own
  own, why = cluster:configs { name }
  if not own then return nil, why end
  return { partitions = there.partitions, replication = there.replication,
    configs = own[name] or {} }
end

--- Everything the goal's questions rest on.
local function look(g)
  local own = g.cluster.strimzi
  local kafka, why = own:resource()
  if not kafka then return nil, why end
  if not kinds.is_managed(kafka) then return { is_plain = true } end
  local version, resources, live
  version, why = own:version "KafkaTopic"
  if not version then return nil, why end
  resources, why = kinds.resources(own)
  if not resources then return nil, why end
  live, why = live_of(g.cluster, g.name)
  if live == nil then return nil, why end
  local resource = resources[g.name]
  local want = kinds.wanted(own, version, { name = g.name, partitions = g.partitions,
    replication = g.replication, configs = g.configs }, resource, live or nil)
  local lacks
  lacks, why = shape.lacks(own.kube, { want })
  if not lacks then return nil, why end
  return { lacks = lacks, live = live, resource = resource, kube = own.kube }
end

local function check(g, run)
  local seen, why = look(g)
  if not seen then return nil, why end
  if seen.is_plain then return plain.check(g, run) end
  local lines = shape.lines(seen.lacks)
  if not seen.live then lines[#lines + 1] = ("topic %s is not in Kafka"):format(g.name) end
  if seen.live and not seen.resource then
    lines[#lines + 1] = ("topic %s has no KafkaTopic: it is to be adopted"):format(g.name)
  end
  return shape.answer(lines, {}, ("topic %s is there, and its KafkaTopic"):format(g.name))
end

local function before(g, run, seen)
  return run:remember("before", function()
    local noted = shape.before(seen.lacks)
    noted.live = seen.live
    return noted
  end)
end

local function apply(g, run)
  local seen, why = look(g)
  if not seen then return nil, why end
  if seen.is_plain then return plain.apply(g, run) end
  if #seen.lacks == 0 then return true end
  local noted
  noted, why = before(g, run, seen)
  if not noted then return nil, why end
  local done
  done, why = shape.make(seen.kube, seen.lacks)
  if not done then return nil, why end
  return context.get().phase == "plan" or kinds.until_seen(g.cluster, g.name)
end

local function undo(g, run)
  local seen, why = look(g)
  if not seen then return nil, why end
  if seen.is_plain then return plain.undo(g, run) end
  local noted
  noted, why = before(g, run, seen)
  if not noted then return nil, why end
  local ok
  ok, why = shape.put_back(seen.kube, noted, kinds.way_back(g.cluster,
    { [g.name] = noted.live or nil }, function(text) run:log(text) end))
  if not ok then return nil, why end
end

M.name, M.title, M.subject = "topic", plain.title, plain.subject
M.takes = plain.takes
M.check, M.verify, M.apply, M.undo = check, check, apply, undo

return M
