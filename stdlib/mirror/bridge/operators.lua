--- Sides whose topics or users belong to an operator: it sets back what is
-- changed past its resources, so the copy does not follow those there.

local err = require "base.err"

local M = {}

--- What a bridge may follow, whose it is there, and what to declare instead.
local FOLLOWED = {
  { field = "configs", value = "followed", operator = "topicOperator",
    whose = "Topic Operator", what = "settings of topics",
    instead = "configs = \"created\", and change KafkaTopics" },
  { field = "acls", value = "copied", operator = "userOperator",
    whose = "User Operator", what = "ACLs",
    instead = "acls = \"none\", and make KafkaUsers (shaped_like does)" },
}

--- The operators of a side, or an empty table.
local function of(cluster)
  if not cluster.strimzi then return {} end
  local kafka, why = cluster.strimzi:resource()
  if not kafka then return nil, why end
  return kafka.spec.entityOperator or {}
end

--- Refuses a bridge that would fight an operator on either side.
---@async
---@param bridge tranship.Bridge
---@return true?, tranship.Err?
function M.must_not_fight(bridge)
  for _, at in ipairs { "from", "to" } do
    local cluster = bridge:cluster(at)
    local operators, why = of(cluster)
    if not operators then return nil, why end
    for _, one in ipairs(FOLLOWED) do
      if bridge[one.field] == one.value and operators[one.operator] then
        return nil, err.new { kind = "conflict", origin = "bridge",
          message = ("bridge %s would follow %s on %s, where a %s sets them back: %s"):format(
            bridge.name, one.what, cluster.name, one.whose, one.instead) }
      end
    end
  end
  return true
end

return M
