--- A KafkaUser's rules as ACLs of the broker. Loaded by path:
--     local acls_of = dofile "tests/support/kafka_user.lua"

local TYPES = { transactionalId = "transactional_id" }

--- The ACLs that a KafkaUser's `spec` asks for.
---@param spec table
---@param principal string
---@return tranship.Acl[]
return function(spec, principal)
  local list = {}
  for _, rule in ipairs((spec.authorization or {}).acls or {}) do
    local resource = rule.resource
    for _, operation in ipairs(rule.operations or { rule.operation }) do
      list[#list + 1] = {
        principal = principal, host = rule.host or "*",
        resource_type = TYPES[resource.type] or resource.type,
        name = resource.type == "cluster" and "kafka-cluster" or resource.name,
        pattern = resource.patternType == "prefix" and "prefixed" or "literal",
        operation = operation:gsub("(%l)(%u)", "%1_%2"):lower(),
        permission = rule.type or "allow",
      }
    end
  end
  return list
end
