--- Settings of topics as plain tables { name = "value" }: only what was set on
-- the topic itself counts; what comes from a broker or a default is the
-- cluster's business.

local M = {}

--- Settings whose source is the topic, from what vm.kafka describes.
---@param described table<string, { value: string?, source: string }>
---@return table<string, string>
function M.own(described)
  local own = {}
  for name, entry in pairs(described) do
    if entry.source == "topic" and not entry.sensitive then
      own[name] = entry.value or ""
    end
  end
  return own
end

--- What turns `there` into `wanted`; nil when they are the same.
-- With `exactly`, settings that are not wanted go back to their defaults.
---@param there table<string, string>
---@param wanted table<string, string>
---@param exactly? boolean
---@return { set: table<string, string>, delete: string[] }?
function M.change(there, wanted, exactly)
  local set, delete = {}, {}
  for name, value in pairs(wanted) do
    if there[name] ~= value then set[name] = value end
  end
  for name in pairs(exactly and there or {}) do
    if wanted[name] == nil then delete[#delete + 1] = name end
  end
  table.sort(delete)
  if next(set) == nil and #delete == 0 then return nil end
  return { set = set, delete = delete }
end

--- `there` after the change.
function M.after(there, change)
  local after = {}
  for name, value in pairs(there) do after[name] = value end
  for name, value in pairs(change.set or {}) do after[name] = value end
  for _, name in ipairs(change.delete or {}) do after[name] = nil end
  return after
end

--- "retention.ms = 1000, cleanup.policy back to its default".
function M.text(change)
  local parts = {}
  for name, value in pairs(change.set or {}) do
    parts[#parts + 1] = name .. " = " .. value
  end
  for _, name in ipairs(change.delete or {}) do
    parts[#parts + 1] = name .. " back to its default"
  end
  table.sort(parts)
  return table.concat(parts, ", ")
end

return M
