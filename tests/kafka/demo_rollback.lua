--- The demo's runbook when somebody ends the wrong process after the producer
-- has moved: the run goes all the way back, and every reader goes on at `old`
-- with the record after the last one it read on `new`.

local test = ...

local sys = require "vm.sys"
local task = require "vm.task"
local stages = dofile "tests/world/stage.lua"
local moving = dofile "tests/world/moving.lua"

--- The streams app on `new` gets a TERM that the run knows nothing of.
local function end_the_wrong_process(move)
  move:wait_for("step.leave", "8")
  task.sleep(500)
  local trail = move.stage.trails .. "/reverser.trail"
  local pid
  for found in sys.read_file(trail):gmatch " new start reverser (%d+)" do
    pid = math.tointeger(tonumber(found))
  end
  assert(sys.kill(pid, "TERM"))
end

test("all the way back, records born on new included", function(t)
  local stage <close> = stages.open(t)
  local move = moving.begin(stage, { watch = "1s", patience = "10s" })
  local idle = move:positions("old", "archive")
  local code, said = move:run(end_the_wrong_process)
  t.equal(code, 5, said)
  move:finish "old"
  local text = move:must_be_whole "old"
  t.match(text, "very next record: 12 of 12 partitions")
  t.match(text, "new %-> old")
  t.equal(move:positions("old", "archive"), idle)
end)
