--- Which topics a bridge carries, and what they are called on the other side.
-- Patterns know one sign, `*`. Topics that belong to Kafka or to tranship
-- (their names begin with two underscores) never match.

local M = {}

local function to_lua(pattern)
  local text = pattern:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0")
    :gsub("%*", ".*")
  return "^" .. text .. "$"
end

--- Does one of `patterns` match? None match nothing.
function M.any(patterns, name)
  for _, pattern in ipairs(patterns or {}) do
    if name:find(to_lua(pattern)) then return true end
  end
  return false
end

--- Does `name` (as the source calls it) belong to the bridge?
---@param policy { topics: string[], except?: string[] }
function M.carries(policy, name)
  return name:sub(1, 2) ~= "__" and M.any(policy.topics, name)
    and not M.any(policy.except, name)
end

--- Of these names those of topics that belong to the bridge.
---@param list string[]
function M.carried(policy, list)
  local carried = {}
  for _, name in ipairs(list) do
    if M.carries(policy, name) then carried[#carried + 1] = name end
  end
  return carried
end

--- What is said of patterns that match no topic of the cluster `source`.
---@param policy { topics: string[] }
function M.match_nothing(policy, source)
  return ("no topic of %s matches %s; in patterns only * is special"):format(source,
    table.concat(policy.topics, ", "))
end

--- The target's name of the source's topic `name`.
---@param names "same"|{ prefix: string }|table<string, string>
function M.on_target(names, name)
  if type(names) ~= "table" then return name end
  if names.prefix then return names.prefix .. name end
  return names[name] or name
end

--- The source's name of the target's topic `name`, or nil if it has none.
function M.on_source(names, name)
  if type(names) ~= "table" then return name end
  if names.prefix then
    local rest = name:sub(#names.prefix + 1)
    return names.prefix .. rest == name and rest or nil
  end
  for source, target in pairs(names) do
    if target == name then return source end
  end
  return not names[name] and name or nil
end

--- A name or a list of names, as a list; nil is none.
function M.list(value)
  if value == nil then return {} end
  return type(value) == "table" and value or { value }
end

return M
