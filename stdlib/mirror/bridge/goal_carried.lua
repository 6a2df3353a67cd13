--- "The groups' positions are carried": for groups that nobody runs. Every
-- position a group has on the other side is committed here too, each proven.

local carry = require "base.lazy" "mirror.offsets.carry"

return {
  name = "carried",
  title = "{groups} resume on {to}",
  takes = {
    { name = "bridge", kind = "bridge", desc = "the bridge" },
    { name = "groups", kind = "any", desc = "groups, by name or pattern" },
    { name = "except", kind = "any", optional = true,
      desc = "groups of these patterns are left out" },
    { name = "to", kind = "cluster", desc = "where they shall resume" },
  },
  subject = function(g)
    return ("bridge/%s/carried/%s/%s"):format(g.bridge.name, g.to.name,
      table.concat(g.groups, ","))
  end,
  check = function(g) return carry.is_carried(g.bridge, g.groups, g.to, g) end,
  apply = function(g)
    return carry.carry(g.bridge, g.groups, g.to, g)
  end,
  verify = function(g) return carry.is_carried(g.bridge, g.groups, g.to, g) end,
  undo = function() return nil end, -- positions on the other side still stand
}
