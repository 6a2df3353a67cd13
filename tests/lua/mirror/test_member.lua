--- A member of the bridge's group: what it tells the coordinator, and when. The
-- coordinator is a function here, and time goes a hundred times as fast.

local task = require "vm.task"
local group = require "mirror.engine.group"

local test = ...

--- A member of a group whose coordinator lets joins wait for so long, and serves a
-- connection one request at a time, as Kafka does.
local function world(wait_ms)
  local generation, busy, heard = 0, task.queue(), {}
  busy:push(true)
  local side = { close = function() end }
  function side.call_coordinator(_, _, name, body)
    busy:pop()
    local _ <close> = setmetatable({}, { __close = function() busy:push(true) end })
    heard[#heard + 1] = name
    if name == "JoinGroup" then
      task.sleep(wait_ms)
      generation = generation + 1
      return { ErrorCode = 0, MemberId = "me", GenerationId = generation,
        Leader = "me", Members = { { MemberId = "me", Metadata = "" } } }
    elseif name == "Heartbeat" then
      return { ErrorCode = body.GenerationId == generation and 0 or 22 }
    end
    return { ErrorCode = 0, Assignment = "" }
  end
  local sleep = task.sleep
  task.sleep = function(ms) return sleep(ms / 100) end
  return group.new(side, "road"), heard,
    setmetatable({}, { __close = function() task.sleep = sleep end })
end

test("one that waits for others to join stays a member", function(t)
  local member, heard, _ <close> = world(9000)
  local beat <close> = task.spawn(function() return member:beat() end) -- luacheck: no unused
  local function nothing() return {} end
  for round = 1, 2 do
    t.ok(member:join("__tranship.road", nothing, nothing))
    t.equal({ member.member, member.generation, member.is_stale },
      { "me", round, false })
    for index = 2, #heard do
      t.ok(heard[index] ~= "Heartbeat" or heard[index - 1] ~= "JoinGroup",
        "it beat with the generation before")
    end
    task.sleep(9000)
    t.equal({ member.member, member.is_stale }, { "me", false })
  end
  t.equal(heard[#heard], "Heartbeat")
end)
