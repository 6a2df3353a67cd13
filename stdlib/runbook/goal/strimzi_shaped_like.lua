--- "This cluster is shaped like that one", where Strimzi runs it: a Kafka and node
-- pools where there are none, KafkaTopics and KafkaUsers, all derived from the
-- live source. A Kafka that is there stays as it is. What cannot be carried
-- (passwords, certificates, settings that are gone, the metadata version) is
-- named. What no operator makes there is made as on a plain cluster.

local context = require "base.context"
local err = require "base.err"
local kinds = require "strimzi.topic"
local making = require "kafka.making"
local plain = require "runbook.goal.shaped_like"
local put_back = require "kafka.put_back"
local shape = require "kube.shape"
local shaped = require "strimzi.shaped"
local shape_of_kafka = require "kafka.shape"

local function kube_of(g) return g.cluster.strimzi.kube end

local function wanted(g)
  local source, why = plain.wanted(g)
  if not source then return nil, why end
  local want
  want, why = shaped.wanted(g, source)
  return want, why or source.topics
end

local function objects_of(want)
  return table.move(want.users, 1, #want.users, #want.topics + 1,
    table.move(want.topics, 1, #want.topics, 1, {}))
end

--- What the resources lack: of the Kafka, of what lives in it, of Kafka itself.
local function lacks(g, want)
  local kafka, why = shape.lacks(kube_of(g), want.kafka)
  if not kafka then return nil, why end
  local objects
  objects, why = shape.lacks(kube_of(g), objects_of(want))
  if not objects then return nil, why end
  local rest = { create = {}, grow = {}, set = {}, acls = {}, commit = {}, conflicts = {},
    notes = {} }
  if want.ready and not want.unreachable then
    rest, why = shape_of_kafka.lacks(g.cluster, want.plain)
    if not rest then return nil, why end
  end
  return { kafka = kafka, objects = objects, plain = rest }
end

local function add(list, more) return table.move(more, 1, #more, #list + 1, list) end

local function lines_of(g, want, lack, topics)
  local lines = add({}, want.conflicts)
  add(lines, shape.lines(lack.kafka))
  if #lack.kafka > 0 and not want.ready then
    lines[#lines + 1] = ("%d topics and %d users follow"):format(#want.topics, #want.users)
  else
    add(lines, shape.lines(lack.objects))
  end
  add(lines, shape_of_kafka.answer(lack.plain, "").seen.lacks)
  if #lines == 0 then
    local more, why = shaped.proof(g.cluster, want, topics)
    if not more then return nil, why end
    add(lines, more)
  end
  return lines
end

local function check(g)
  local want, topics = wanted(g)
  if not want then return nil, topics end
  local lack, why = lacks(g, want)
  if not lack then return nil, why end
  local lines
  lines, why = lines_of(g, want, lack, topics)
  if not lines then return nil, why end
  local notes = add(add({}, want.notes), lack.plain.notes)
  if want.unreachable then
    notes[#notes + 1] = "Kafka itself was not asked: " .. want.unreachable
  end
  return shape.answer(lines, notes, ("%s has the shape of %s"):format(g.cluster.name,
    g.source.name))
end

--- Topics of the target before: those that are adopted get these settings back.
local function live_before(want)
  local live = {}
  for _, one in ipairs(want.topics) do
    local name = kinds.topic_of(one.object)
    live[name] = want.live[name]
  end
  return live
end

local function make_kafka(g, run, want, lack)
  if #lack.kafka == 0 then return true end
  local noted, why = run:remember("kafka before", function() return shape.before(lack.kafka) end)
  if not noted then return nil, why end
  return shape.make(kube_of(g), lack.kafka)
end

--- Brokers know of a new topic a moment after its resource is ready.
local function see_topics(g, want, lack)
  if want.unreachable or context.get().phase == "plan" then return end
  for _, one in ipairs(lack.objects) do
    local object = one.want.object
    if object.kind == "KafkaTopic" then kinds.until_seen(g.cluster, kinds.topic_of(object)) end
  end
end

local function make_rest(g, run, want, lack)
  local noted, why = run:remember("objects before", function()
    local before = shape.before(lack.objects)
    before.live = live_before(want)
    return before
  end)
  if not noted then return nil, why end
  local done
  done, why = shape.make(kube_of(g), lack.objects)
  if not done then return nil, why end
  see_topics(g, want, lack)
  if #shape_of_kafka.answer(lack.plain, "").seen.lacks == 0 then return true end
  noted, why = run:remember("plain before", function()
    return making.before(g.cluster, lack.plain)
  end)
  if not noted then return nil, why end
  return making.make(g.cluster, lack.plain)
end

local function refuse(want)
  return nil, err.new { kind = "conflict", origin = "strimzi",
    message = table.concat(want.conflicts, "; ") }
end

local function apply(g, run)
  local want, why = wanted(g)
  if not want then return nil, why end
  if #want.conflicts > 0 then return refuse(want) end
  local lack, done
  lack, why = lacks(g, want)
  if not lack then return nil, why end
  for _, note in ipairs(want.notes) do run:log(note) end
  done, why = make_kafka(g, run, want, lack)
  if not done then return nil, why end
  if not want.ready and context.get().phase ~= "plan" then
    want, why = wanted(g)                    -- now that Kafka can be asked
    if not want then return nil, why end
    if #want.conflicts > 0 then return refuse(want) end
    lack, why = lacks(g, want)
    if not lack then return nil, why end
  end
  return make_rest(g, run, want, lack)
end

--- What would be made, and what of the source will not be there.
local function plan(g, run)
  local want, why = wanted(g)
  if not want then return nil, why end
  local done
  done, why = apply(g, run)
  if not done then return nil, why end
  return want.notes
end

--- Why the Kafka that we made must stay, or false.
local function kafka_stays(g)
  return function(entry, there)
    if not entry.kind:find "/Kafka$" or not (there.status and there.status.clusterId) then
      return false
    end
    local list, why = g.cluster:topics()
    if not list then return "nobody can tell whether it holds records: " .. why.message end
    for _, topic in ipairs(list) do
      local empty
      empty, why = put_back.is_empty(g.cluster, topic.name)
      if empty == nil then return nil, why end
      if not empty then return ("topic %s holds records"):format(topic.name) end
    end
    return false
  end
end

local function say_to(run) return function(text) run:log(text) end end

--- Pools go only where their Kafka went.
local function undo_kafka(g, run, before)
  local is_kept, keep = nil, kafka_stays(g)
  return shape.put_back(kube_of(g), before, { say = say_to(run), keep = function(entry, there)
    if is_kept then return is_kept end
    local because, why = keep(entry, there)
    is_kept = because or nil
    return because, why
  end })
end

--- What apply noted, or nil where it did not come so far.
local function noted(run, name) return run:remember(name, function() end) end

local function undo(g, run)
  local rest, objects = noted(run, "plain before"), noted(run, "objects before")
  local kafka, ok, why = noted(run, "kafka before"), true, nil
  if rest then ok, why = put_back.all(g.cluster, rest, say_to(run)) end
  if ok and objects then
    ok, why = shape.put_back(kube_of(g), objects, kinds.way_back(g.cluster,
      objects.live, say_to(run)))
  end
  if ok and kafka then ok, why = undo_kafka(g, run, kafka) end
  if not ok then return nil, why end
end

local takes = table.move(plain.takes, 1, #plain.takes, 1, {})
takes[#takes + 1] = { name = "kafka", kind = "table", optional = true,
  desc = "fields of spec.kafka by hand, over the derived ones" }
takes[#takes + 1] = { name = "pool", kind = "table", optional = true,
  desc = "fields of each KafkaNodePool's spec by hand: storage, resources" }

return {
  name = plain.name, title = plain.title, subject = plain.subject, takes = takes,
  check = check, plan = plan, verify = check, apply = apply, undo = undo,
}
