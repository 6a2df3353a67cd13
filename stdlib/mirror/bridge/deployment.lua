--- Where a bridge's engine lives when its declaration says `on`: it is a
-- Deployment there, whose pods divide the partitions through the bridge's group.
-- It outlives the run; the goal "closed", or an undo of "open", takes everything
-- away that was made for it. mirror.bridge.process answers the same questions for an
-- engine on this machine, mirror.bridge.manifest says what is made.

local err = require "base.err"
local object_of = require "kube.object"
local pods = require "kube.pods"
local rates = require "mirror.engine.rates"
local secret = require "vm.secret"
local manifest = require "mirror.bridge.manifest"

local M = {}
M.__index = M
M.__name = "mirror.bridge.deployment"

M.START_MS = 600000     -- until every partition is copied: images are pulled
M.ENDS_SILENTLY = true  -- deleted with its pods, whatever it says

local GONE_MS = 120000
local OURS = "^tranship/" -- field managers: runs
local KIND = { config = "v1/ConfigMap", secret = "v1/Secret",
  deployment = "apps/v1/Deployment" }
local ORDER = { "secret", "config", "deployment" }
local KEY = "same?" -- of fingerprints that are only held against each other

function M.new(bridge)
  return setmetatable({ bridge = bridge, kube = bridge.on,
    name = manifest.name(bridge.name) }, M)
end

--- "Deployment tranship-road in kafka on here".
function M:_called(kind)
  return ("%s %s in %s on %s"):format(kind or "Deployment", self.name,
    self.kube:_namespace(), self.kube.name)
end

--- What kubectl is told, for people.
function M:_kubectl(words)
  local context = self.kube.context
  return ("kubectl%s -n %s %s"):format(context and " --context " .. context
    or "", self.kube:_namespace(), words:format(self.name))
end

--- Reads one of its objects; false when it is not there. One that was made for
-- another bridge is a conflict.
function M:_find(part)
  local there, why = self.kube:find(KIND[part], self.name)
  if not there then return there, why end
  local marks = there.metadata.annotations or {}
  local target, failed = self.bridge.to:id()
  if not target then return nil, failed end
  if marks[manifest.BRIDGE] == self.bridge.name
    and marks[manifest.TARGET] == target then
    return there
  end
  return nil, err.new { kind = "conflict", origin = "bridge",
    message = ("%s is not of bridge %s to cluster %s: it is %s"):format(
      self:_called(there.kind), self.bridge.name, target,
      marks[manifest.BRIDGE] and ("bridge %s's to cluster %s"):format(
        marks[manifest.BRIDGE], tostring(marks[manifest.TARGET]))
      or "somebody else's") }
end

--- Who else sizes it: "kubectl", an autoscaler's controller; nil: nobody. (Of a
-- size of 0 set by way of `scale` the server does not remember who did it.)
local function sized_by(there)
  for _, other in ipairs(object_of.owners(there)) do
    local spec = other.fields and other.fields["f:spec"]
    if spec and spec["f:replicas"] and not other.manager:find(OURS) then
      return other.manager
    end
  end
end

--- Does the Secret hold what we would put into it?
local function holds(there, wanted)
  for key, value in pairs(wanted.data or {}) do
    local seen = there.data and there.data[key]
    if not secret.is(seen) or seen:fingerprint(KEY) ~= value:fingerprint(KEY) then
      return false
    end
  end
  return true
end

--- What an object that is there has otherwise than it is wanted: one text each.
local DIFFERENCES = {
  secret = function(there, wanted)
    return { not holds(there, wanted) and "it holds other credentials" or nil }
  end,
  config = function(there, wanted)
    local key = next(wanted.data)
    return { (there.data or {})[key] ~= wanted.data[key]
      and "it says something else" or nil }
  end,
  deployment = function(there, wanted)
    local list, spec, want = {}, there.spec, wanted.spec
    local function compare(what, seen, wish)
      if seen ~= wish then
        list[#list + 1] = ("%s is %s, not %s"):format(what, tostring(seen),
          tostring(wish))
      end
    end
    compare("its image", spec.template.spec.containers[1].image,
      want.template.spec.containers[1].image)
    if not sized_by(there) then
      compare("its size", spec.replicas, want.replicas)
    end
    local marks = spec.template.metadata.annotations or {}
    if marks[manifest.CONFIG_HASH]
      ~= want.template.metadata.annotations[manifest.CONFIG_HASH] then
      list[#list + 1] = "its pods have another configuration"
    end
    return list
  end,
}

--- Objects that are not there as they are wanted: { object, text, there }.
function M:_lacking(as)
  local target, why = self.bridge.to:id()
  if not target then return nil, why end
  local wanted, failure = manifest.of(self.bridge, target, as)
  if not wanted then return nil, failure end
  local list = {}
  for _, part in ipairs(ORDER) do
    local object = wanted[part]
    if object then
      local there, failed = self:_find(part)
      if there == nil then return nil, failed end
      local texts = there and DIFFERENCES[part](there, object) or { "missing" }
      if texts[1] then
        list[#list + 1] = { object = object, there = there, text = ("%s: %s")
          :format(self:_called(object.kind), table.concat(texts, ", ")) }
      end
    end
  end
  return list
end

--- Why no engine is there as the bridge is declared; false when one is.
---@async
function M:lacks(as)
  local list, why = self:_lacking(as)
  if not list then return nil, why end
  local texts = {}
  for index, one in ipairs(list) do texts[index] = one.text end
  return #texts > 0 and table.concat(texts, "; ")
end

--- "1 of 2 pods ready", and what keeps the others, if that is known.
function M:_readiness(there)
  local size = there.spec.replicas or 1
  local count = math.max(0, pods.ready(there))
  local list, why = pods.of(self.kube, there)
  if not list then return nil, why end
  local trouble = count < size and pods.trouble(self.kube, there, list) or nil
  return ("%d of %d pods ready%s"):format(count, size, trouble
    and ": " .. trouble or ""), count, size, trouble
end

--- Why it does not work though it is there; false when nothing says so. With
-- `final`, it will not by itself.
---@async
function M:trouble()
  local there, why = self:_find "deployment"
  if there == nil then return nil, why end
  if not there then return "there is no " .. self:_called(), true end
  local text, count, size, trouble = self:_readiness(there)
  if not text then return nil, count end
  if size == 0 then return self:_called() .. " has size 0", true end
  return count < size and self:_called() .. ": " .. text, trouble ~= nil
end

--- Is the newest claim in the bridge's topic one of its pods?
function M:is_claimed(book) -- luacheck: no unused
  return book.claim ~= nil and book.claim.group == true
end

--- Makes or changes what is lacking. Fields that earlier runs own are taken
-- over; those of anybody else are a conflict, but for the size: whoever sets it
-- goes on doing so.
---@async
function M:start(as)
  local list, why = self:_lacking(as)
  if not list then return nil, why end
  for _, one in ipairs(list) do
    if one.there and one.there.kind == "Deployment" and sized_by(one.there) then
      one.object.spec.replicas = nil
    end
    local done
    done, why = self.kube:apply(one.object, { over = OURS })
    if done == nil then return nil, why end
  end
  return true
end

--- Puts what it is to log in with from now on into its Secret, whose pods read it
-- anew; false when there is none.
---@async
---@return boolean?, tranship.Err?
function M:hand_over(_, as)
  local there, why = self:_find "secret"
  if not there then return there, why end
  local target
  target, why = self.bridge.to:id()
  if not target then return nil, why end
  local wanted
  wanted, why = manifest.of(self.bridge, target, as)
  if not wanted then return nil, why end
  if not wanted.secret or holds(there, wanted.secret) then return true end
  local done
  done, why = self.kube:apply(wanted.secret, { over = OURS })
  return done ~= nil or nil, why
end

--- One line about it, for messages.
function M:line()
  return ("engine: %s%s; its words: %s"):format(self:_called(),
    rates.told(self.bridge.rate), self:_kubectl "logs deployment/%s")
end

--- After its goodbye: `retire` ends its pods.
function M:await_end() return true end -- luacheck: no unused

--- What is left of it, as text; false when nothing is.
---@async
function M:remains()
  local list = {}
  for _, part in ipairs(ORDER) do
    local there, why = self:_find(part)
    if there == nil then return nil, why end
    if there then list[#list + 1] = KIND[part]:match "[^/]+$" end
  end
  return #list > 0 and self:_called(table.concat(list, ", "))
end

--- Takes away everything that was made for it, and waits until it is gone.
---@async
function M:retire()
  for index = #ORDER, 1, -1 do
    local there, why = self:_find(ORDER[index])
    if there == nil then return nil, why end
    if there then
      local done
      done, why = self.kube:delete(KIND[ORDER[index]], self.name,
        { propagation = "foreground", within_ms = GONE_MS })
      if done == nil then return nil, why end
    end
  end
  return true
end

--- What a status says of it.
---@async
function M:status(book)
  local said = { alive = false, deployment = self.name, on = self.kube.name,
    start = "run the runbook again" }
  if book.wanted and book.wanted.state == "closed" then
    said.remains = self:remains() or nil
    return said
  end
  local there, why = self:_find "deployment"
  local text, count, size
  if there then text, count, size = self:_readiness(there) end
  if there == nil or there and not text then
    said.unknown = tostring(why or count)
    return said
  end
  said.where = there and ("%s, %s"):format(self:_called(), text)
    or "there is no " .. self:_called()
  said.alive = there and count > 0
  said.stop = self:_kubectl "scale deployment/%s --replicas=0"
  if size == 0 then
    said.start = self:_kubectl("scale deployment/%s --replicas="
      .. self.bridge.replicas)
  elseif there then
    said.start = self:_kubectl "logs deployment/%s"
  end
  return said
end

return M
