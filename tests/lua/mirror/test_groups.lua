--- Which groups a pattern means, and why the others are left out. Groups of
-- brokers are in tests/kafka/mirror_groups.

local groups = require "mirror.offsets.groups"

local test = ...

local THERE = { { "billing", "consumer" }, { "asleep", "" },
  { "test-1", "consumer" }, { "connect-cluster", "connect" },
  { "connect-sink", "consumer" }, { "sharers", "share" },
  { "topology", "streams" }, { "odd", "sometool" } }

local function bridge()
  local list = {}
  for i, one in ipairs(THERE) do
    list[i] = { group = one[1], protocol_type = one[2] }
  end
  return { side_of = function() return "from" end, wire = function()
    return { groups = function() return list end }
  end }
end

test("groups with positions are meant, the others are named with the reason",
  function(t)
    local chosen, left_out = groups.choose(bridge(), { "*" }, {},
      { "test-*" })
    t.equal(chosen, { "billing", "asleep", "connect-sink" })
    local why = {}
    for _, one in ipairs(left_out) do why[one.group] = one.why end
    t.match(why["connect-cluster"], "workers of Kafka Connect: their state is in topics")
    t.match(why.sharers, "share group: where it stands is kept record by record")
    t.match(why.topology, "streams group %(KIP%-1071%): its target must create it")
    t.equal(why.odd, "a group of protocol type sometool")
    t.equal(#left_out, 4)
  end)

test("a name is meant as it is, without asking", function(t)
  local chosen, left_out = groups.choose({}, { "nobody", "sharers" }, {})
  t.equal({ chosen, left_out }, { { "nobody", "sharers" }, {} })
end)
