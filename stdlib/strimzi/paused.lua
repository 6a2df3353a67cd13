--- Who would set back what a run changes is found, paused and given back:
-- whatever keeps a namespace, and those that manage it, who would resume it.

local context = require "base.context"
local difference = require "kube.difference"
local err = require "base.err"
local json = require "vm.json"
local tools = require "strimzi.paused_tools"

local M = {}

local BUSY_WITHIN_MS = 120000
local TRIES = 5 -- while somebody else writes the same object

--- One object that is or was to be paused.
local function found(kube, tool, kind, o)
  return { kube = kube, tool = tool, kind = kind, object = json.copy(o),
    name = o.metadata.name, namespace = o.metadata.namespace,
    called = ("%s %s in %s on %s"):format(tool.name, o.metadata.name,
      o.metadata.namespace, kube.name) }
end

--- All objects of a tool on a platform; none where it is not installed.
local function list_of(kube, tool)
  local kind, why = kube:first_kind(tool.kinds)
  if not kind then
    if why.reason == "NotServed" then return {} end
    return nil, why
  end
  local items
  items, why = kube:list(kind, { namespace = "*" })
  if not items then return nil, why end
  for i, item in ipairs(items) do items[i] = found(kube, tool, kind, item) end
  return items
end

--- Of `all` those that keep the namespace, and whatever manages one of them:
-- managers first, because they would set the others back.
local function keepers(all, where)
  local chosen, order, changed = {}, {}, true
  for _, one in ipairs(all) do
    if one.tool.keeps(one.object, where) then
      chosen[tools.id(one.namespace, one.object.kind, one.name)] = true
      order[#order + 1] = one
    end
  end
  while changed do
    changed = false
    for _, one in ipairs(all) do
      local own = tools.id(one.namespace, one.object.kind, one.name)
      for _, managed in ipairs(not chosen[own] and one.tool.manages(one.object) or {}) do
        if chosen[managed] and not chosen[own] then
          chosen[own], changed = true, true
          table.insert(order, 1, one)
        end
      end
    end
  end
  return order
end

--- Addresses under which Argo CD knows the platforms.
local function servers_of(kubes)
  local servers = { [tools.IN_CLUSTER] = true }
  for _, kube in ipairs(kubes) do
    local about, why = kube:about()
    if not about then return nil, why end
    servers[(about.server:gsub("/$", ""))] = true
  end
  return servers
end

--- Everything on these platforms that would set their namespaces back.
---@async
---@param kubes tranship.Kubernetes[]
---@return table[]?, tranship.Err?
function M.keepers(kubes)
  local servers, why = servers_of(kubes)
  if not servers then return nil, why end
  local list = {}
  for _, kube in ipairs(kubes) do
    local all = {}
    for _, tool in ipairs(tools.of_gitops) do
      local items
      items, why = list_of(kube, tool)
      if not items then return nil, why end
      table.move(items, 1, #items, #all + 1, all)
    end
    local where = { namespace = kube:about().namespace, servers = servers }
    for _, one in ipairs(keepers(all, where)) do list[#list + 1] = one end
  end
  return list
end

--- The Kafka resource of a cluster that Strimzi runs.
---@async
function M.kafka_of(cluster)
  local own = cluster.strimzi
  local kind, why = own.kube:first_kind(tools.strimzi.kinds)
  if not kind then return nil, why end
  local there
  there, why = own.kube:get(kind, own.name, { namespace = own.namespace })
  if not there then return nil, why end
  return found(own.kube, tools.strimzi, kind, there)
end

function M.is_paused(one) return one.tool.is_paused(one.object) end

--- Plain data about one that will be paused: what finds it, and what it said.
function M.note(one)
  local had = difference.at(one.object, one.tool.path)
  return { kubernetes = one.kube.name, tool = one.tool.name, name = one.name,
    namespace = one.namespace, uid = one.object.metadata.uid, had = had }
end

--- A merge patch that sets the tool's field.
local function patch_of(tool, value)
  local patch = value
  for i = #tool.path, 1, -1 do patch = { [tool.path[i]] = patch } end
  return patch
end

local function send(one, value, word)
  local done, why
  for _ = 1, TRIES do
    done, why = one.kube:patch(one.kind, one.name, patch_of(one.tool, value), {
      namespace = one.namespace, uid = one.object.metadata.uid,
      summary = word .. " " .. one.called })
    if done ~= nil or why.code ~= 409 then break end
  end
  return done, why
end

--- Pauses one, and waits until what it was doing is done.
---@async
---@return true?, tranship.Err?
function M.pause(one)
  local done, why = send(one, one.tool.paused, "pause")
  if done == nil then return nil, why end
  return M.rests(one)
end

--- Waits until a paused one does nothing any more.
---@async
---@return true?, tranship.Err?
function M.rests(one)
  if context.get().phase == "plan" then return true end
  local last
  local there, why = one.kube:wait_until(one.kind, one.name, function(seen)
    last = seen and one.tool.busy(json.copy(seen)) or nil
    return not last
  end, { namespace = one.namespace, within_ms = BUSY_WITHIN_MS,
    uid = one.object.metadata.uid, what = "at rest" })
  if there ~= nil then return true end
  if why.kind ~= "timeout" or not last then return nil, why end
  return nil, err.new { kind = "timeout", origin = "kube", retriable = true,
    message = ("%s is paused, but %s"):format(one.called, last) }
end

--- Gives back one that was noted. Says so where that is not for us any more.
---@async
---@param kube tranship.Kubernetes
---@param noted table  of M.note
---@param say fun(text: string)
---@return true?, tranship.Err?
function M.resume(kube, noted, say)
  local tool = tools.strimzi
  for _, one in ipairs(tools.of_gitops) do
    if one.name == noted.tool then tool = one end
  end
  local kind, why = kube:first_kind(tool.kinds)
  if not kind then return nil, why end
  local there
  there, why = kube:find(kind, noted.name, { namespace = noted.namespace })
  if there == nil then return nil, why end
  local one = there and found(kube, tool, kind, there)
  if not one then
    say(("%s %s on %s is gone"):format(noted.tool, noted.name, noted.kubernetes))
  elseif one.object.metadata.uid ~= noted.uid then
    say(one.called .. " is left alone: it was deleted and made again meanwhile")
  elseif M.is_paused(one) then
    local done
    local had = noted.had
    if had == nil then had = json.null end
    done, why = send(one, had, "resume")
    if done == nil then return nil, why end
  end
  return true
end

return M
