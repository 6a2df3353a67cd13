--- Changes of a Kafka resource's lists. A list is changed from what was read to
-- what is wanted, or not at all: what others change meanwhile is read again.

local context = require "base.context"
local json = require "vm.json"

local M = {}

local TRIES = 5
local CHANGED = 422 -- a JSON patch whose test does not hold

--- Are effects only recorded now? What they wait for will not come then.
function M.is_planning() return context.get().phase == "plan" end

local function at(kafka, path)
  local value = kafka
  for name in path:gmatch "[^/]+" do value = value and value[name] end
  return value and json.copy(value)
end

--- Puts what `wanted(list, kafka)` makes of a list in its place, none for an empty
-- one; nil from it means that nothing is to be done. True when it was changed,
-- else false.
---@async
---@param self tranship.StrimziCluster
---@param path string       "/spec/kafka/listeners"
---@param summary string
---@param wanted fun(list: table, kafka: any): table?
---@return boolean? changed, tranship.Err?
function M.list(self, path, summary, wanted)
  local done, why
  for _ = 1, TRIES do
    local kafka
    kafka, why = self:resource()
    if not kafka then return nil, why end
    local old = at(kafka, path)
    local new = wanted(old or {}, kafka)
    if not new then return false end
    local patch = { old and { op = "test", path = path, value = json.array(old) } }
    patch[#patch + 1] = #new > 0 and { op = "add", path = path, value = json.array(new) }
      or { op = "remove", path = path }
    local found = self:kind "Kafka"
    done, why = self.kube:patch(found, self.name, patch, { type = "json",
      namespace = self.namespace, summary = summary })
    if done ~= nil then return true end
    if why.code ~= CHANGED then return nil, why end
  end
  return nil, why
end

return M
