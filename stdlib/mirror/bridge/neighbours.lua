--- Other bridges on the same target: no topic may be copied by two of them.

local err = require "base.err"
local names = require "mirror.names"
local topic = require "mirror.topic"

local M = {}

local PREFIX = "__tranship."

--- What an open bridge called `name` copies to this cluster: names there.
local function copies_of(cluster, name)
  local client = function() return cluster:client "read" end
  local other = topic.new(name, client, client)
  local book, why = other:refresh()
  other:close()
  if not book then return nil, why end
  if not book.bridge or book.wanted and book.wanted.state == "closed" then
    return {}
  end
  local copies = {}
  for _, source in ipairs(book:names()) do
    copies[names.on_target(book.bridge.names, source)] = true
  end
  return copies
end

--- True, or nil and an err that names the bridge and the topic.
---@async
---@param shapes table<string, any>  our topics by the source's name
function M.must_be_free(bridge, shapes)
  local all, why = bridge.to:client("read"):topics()
  if not all then return nil, why end
  for _, one in ipairs(all) do
    local name = one.name:sub(#PREFIX + 1)
    if one.name:sub(1, #PREFIX) == PREFIX and name ~= bridge.name then
      local copies
      copies, why = copies_of(bridge.to, name)
      if not copies then return nil, why end
      for source in pairs(shapes) do
        local copy = bridge:name_on(source, "to")
        if copies[copy] then
          return nil, err.new {
            kind = "conflict", origin = "bridge",
            message = ("topic %s on %s belongs to bridge %s, which is open")
              :format(copy, bridge.to.name, name),
          }
        end
      end
    end
  end
  return true
end

return M
