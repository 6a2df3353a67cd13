--- "MirrorMaker 2 copies from there to here", as a KafkaMirrorMaker2 resource on
-- the target's platform: generated in the version that is served there, linted
-- before it is applied, and well only when its condition, both connectors, every
-- task and its positions say so.

local asked = require "strimzi.mirror_maker_asked"
local context = require "base.context"
local err = require "base.err"
local health = require "strimzi.mirror_maker_health"
local json = require "vm.json"
local maker = require "strimzi.mirror_maker"
local mm2_names = require "mirror.mm2.names"
local reading = require "mirror.mm2.reading"
local shape = require "kube.shape"
local task = require "vm.task"
local units = require "base.units"

local LOOK_EVERY_MS = 500

local function texts(findings, level)
  local list = {}
  for _, one in ipairs(findings) do
    if one.level == level then list[#list + 1] = one.text end
  end
  return list
end

--- Positions.

local function ends_of(cluster, topics)
  local list = {}
  for _, topic in ipairs(topics) do
    for partition = 0, topic.partitions - 1 do
      for _, at in ipairs { "start", "end" } do
        list[#list + 1] = { topic = topic.name, partition = partition, at = at }
      end
    end
  end
  local found, why = cluster:offsets(list)
  if not found then return nil, why end
  list = {}
  for i = 1, #found, 2 do
    if found[i].err or found[i + 1].err then return nil, found[i].err or found[i + 1].err end
    list[#list + 1] = { topic = found[i].topic, partition = found[i].partition,
      first = found[i].offset, last = found[i + 1].offset }
  end
  return list
end

local function position(g, want)
  local flow = maker.flows(want.resource)[1]
  local names = mm2_names.new { source = flow.source.alias, target = flow.target.alias,
    policy = "identity", offsets_topic = flow.storage.offset, group = flow.group,
    connector = maker.connector(flow.source.alias, flow.target.alias, "Source") }
  local read = { names = names, missing = {}, problems = {} }
  local ok, why = reading.offsets(read, g.cluster:client "read")
  if not ok then return nil, why end
  local ends
  ends, why = ends_of(g.from, want.topics)
  if not ends then return nil, why end
  return health.position(read.offsets, ends)
end

--- Of partitions that are behind those with a record to copy: behind the last one
-- there may be markers of transactions, which nobody copies.
local function with_records(cluster, behind)
  local left, lag = {}, 0
  for _, one in ipairs(behind) do
    local found, why = cluster:read { topic = one.topic, partition = one.partition,
      from = one.from, to = one.to, limit = 1, isolation = "committed" }
    if not found then return nil, why end
    if #found > 0 then
      left[#left + 1] = ("%s/%d"):format(one.topic, one.partition)
      lag = lag + one.to - one.from
    end
  end
  return left, lag
end

--- Does it go on? It does when nothing is left, or when it moves while we look.
local function progress(g, want)
  local before, why = position(g, want)
  if not before then return nil, why end
  local last, until_ms = before, task.now() + units.duration(g.watch)
  while last.lag > 0 and last.position <= before.position and task.now() < until_ms do
    task.sleep(LOOK_EVERY_MS)
    last, why = position(g, want)
    if not last then return nil, why end
  end
  if last.lag == 0 or last.position > before.position then return {}, last.lag end
  local left, lag = with_records(g.from, last.behind)
  if not left then return nil, lag end
  if #left == 0 then return {}, 0 end
  return { ("positions stand still: %d records behind for %s, in %s"):format(lag, g.watch,
    table.concat(left, ", ")) }, lag
end

local function append(list, more) return table.move(more, 1, #more, #list + 1, list) end

local function check(g)
  local want, why = asked.wanted(g)
  if not want then return nil, why end
  local lacks
  lacks, why = shape.lacks(g.cluster.strimzi.kube, { want.item })
  if not lacks then return nil, why end
  local lines, lag = append(texts(want.findings, "error"), shape.lines(lacks)), nil
  local there = #lacks == 0 and g.cluster.strimzi.kube:get(want.resource.apiVersion
    .. "/KafkaMirrorMaker2", g.name, { namespace = want.resource.metadata.namespace })
  if there then
    append(lines, health.lines(json.copy(there)))
    local still
    still, lag = progress(g, want)
    if not still then return nil, lag end
    append(lines, still)
  end
  local answer = shape.answer(lines, texts(want.findings, "note"),
    ("MirrorMaker 2 %s copies from %s to %s"):format(g.name, g.from.name, g.cluster.name))
  if lag then
    answer.seen.lag = lag
    if answer.ok then answer.text = ("%s, %d records behind"):format(answer.text, lag) end
  end
  return answer
end

local function apply(g, run)
  local want, why = asked.wanted(g)
  if not want then return nil, why end
  local errors = texts(want.findings, "error")
  if #errors > 0 then
    return nil, err.new { kind = "conflict", origin = "strimzi",
      message = ("KafkaMirrorMaker2 %s is not applied: %s"):format(g.name,
        table.concat(errors, "; ")) }
  end
  local kube = g.cluster.strimzi.kube
  local lacks
  lacks, why = shape.lacks(kube, { want.item })
  if not lacks then return nil, why end
  if #lacks == 0 then return true end
  local noted
  noted, why = run:remember("before", function() return shape.before(lacks) end)
  if not noted then return nil, why end
  for _, note in ipairs(texts(want.findings, "note")) do run:log(note) end
  context.progress("%s: applying KafkaMirrorMaker2", g.name)
  return shape.make(kube, lacks)
end

local function plan(g, run)
  local want, why = asked.wanted(g)
  if not want then return nil, why end
  local done
  done, why = apply(g, run)
  if not done then return nil, why end
  return texts(want.findings, "note")
end

local function undo(g, run)
  local noted = run:remember("before", function() end)
  if not noted then return end
  local ok, why = shape.put_back(g.cluster.strimzi.kube, noted,
    { say = function(text) run:log(text) end })
  if not ok then return nil, why end
  local own = maker.names(g.name)
  run:log(("MirrorMaker's own topics stay: %s, %s, %s; what it copied stays, too"):format(
    own.config, own.offset, own.status))
end

return {
  name = "mirror_maker", title = "MirrorMaker 2 {name} copies from {from} to {cluster}",
  subject = "cluster/{cluster}/mirror_maker/{name}",
  takes = {
    { name = "cluster", kind = "cluster", desc = "the target, which Strimzi runs" },
    { name = "name", kind = "text", desc = "of the KafkaMirrorMaker2" },
    { name = "from", kind = "cluster", desc = "the source" },
    { name = "topics", kind = "list", of = "pattern", desc = "names or patterns" },
    { name = "groups", kind = "list", of = "pattern", optional = true,
      desc = "names or patterns of groups whose offsets follow; default: all" },
    { name = "secrets", kind = "table", optional = true,
      desc = "Secrets on the target's platform with what the source wants: "
        .. "{ ca = \"...\", user = \"...\", login = \"tls\" }" },
    { name = "replicas", kind = "count", min = 1, optional = true, desc = "its Connect workers" },
    { name = "tasks", kind = "count", min = 1, optional = true,
      desc = "of the source connector; default: one per partition, up to 8" },
    { name = "offset_syncs", kind = "choice", values = { "source", "target" },
      default = "target", desc = "where offset syncs are kept; on the target, the source is "
        .. "only read" },
    { name = "every", kind = "duration", optional = true,
      desc = "how often topics, groups and offsets are looked at; default: 60s" },
    { name = "watch", kind = "duration", default = "30s",
      desc = "how long positions may stand still before that is said" },
  },
  check = check, plan = plan, verify = check, apply = apply, undo = undo,
}
