--- "GitOps does not undo our moves": Argo CD and Flux leave the namespaces of
-- these platforms alone, and so does Strimzi the Kafka resources of clusters that
-- are named. A loan: in a step with lasts = "run" it is owed until the run ends,
-- and given back then. What was paused before stays so.

local err = require "base.err"
local kinds = require "runbook.declare.kinds"
local paused = require "strimzi.paused"

local function split(g)
  local kubes, clusters = {}, {}
  for _, thing in ipairs(g.on) do
    if kinds.of(thing) == "kubernetes" then
      kubes[#kubes + 1] = thing
    elseif kinds.of(thing) == "cluster" and thing.strimzi then
      clusters[#clusters + 1] = thing
    else
      return nil, err.new { kind = "invalid", origin = "runbook",
        message = ("gitops_paused takes Kubernetes platforms and clusters that "
          .. "Strimzi runs; %s is neither"):format(tostring(thing)) }
    end
  end
  return kubes, clusters
end

--- All that is to be paused.
local function all_of(g)
  local kubes, clusters = split(g)
  if not kubes then return nil, clusters end
  local list, why = paused.keepers(kubes)
  if not list then return nil, why end
  for _, cluster in ipairs(clusters) do
    local one
    one, why = paused.kafka_of(cluster)
    if not one then return nil, why end
    list[#list + 1] = one
  end
  return list
end

local function check(g)
  local list, why = all_of(g)
  if not list then return nil, why end
  local running, notes = {}, {}
  for _, one in ipairs(list) do
    local maker = one.tool.maker and one.tool.maker(one.object)
    if not paused.is_paused(one) then running[#running + 1] = one.called .. " is at work" end
    if maker then
      notes[#notes + 1] = ("%s is written by %s, which may resume it"):format(one.called, maker)
    end
  end
  local text = #running > 0 and table.concat(running, "; ")
    or #list == 0 and "nobody watches over these namespaces"
    or ("paused: %d of %d"):format(#list, #list)
  if #notes > 0 then text = text .. "; " .. table.concat(notes, "; ") end
  return { ok = #running == 0, want = "GitOps is paused",
    seen = { running = running, notes = notes }, text = text }
end

local function noted(g, run)
  return run:remember("before", function()
    local list, why = all_of(g)
    if not list then return nil, why end
    local before = {}
    for _, one in ipairs(list) do
      if not paused.is_paused(one) then before[#before + 1] = paused.note(one) end
    end
    return before
  end)
end

local function apply(g, run)
  local before, why = noted(g, run)
  if not before then return nil, why end
  local list
  list, why = all_of(g)
  if not list then return nil, why end
  for _, one in ipairs(list) do
    local done
    if paused.is_paused(one) then
      done, why = paused.rests(one)
    else
      done, why = paused.pause(one)
    end
    if done == nil then return nil, why end
  end
  return true
end

local function platform(g, name)
  for _, thing in ipairs(g.on) do
    local kube = kinds.of(thing) == "kubernetes" and thing or thing.strimzi.kube
    if kube.name == name then return kube end
  end
end

local function undo(g, run)
  local before, why = noted(g, run)
  if not before then return nil, why end
  for at = #before, 1, -1 do
    local one = before[at]
    local done
    done, why = paused.resume(platform(g, one.kubernetes), one,
      function(text) run:log(text) end)
    if done == nil then return nil, why end
  end
end

return {
  name = "gitops_paused", title = "GitOps is paused on {on}", subject = "gitops",
  takes = {
    { name = "on", kind = "things", rest = true,
      desc = "Kubernetes platforms, and clusters whose Kafka resource Strimzi "
        .. "shall leave alone" },
  },
  check = check, verify = check, apply = apply, undo = undo,
}
