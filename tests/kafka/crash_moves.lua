--- Crash runs of the recipe acme/moves on real brokers, with real applications
-- at work: the run is killed (-9) before or after a record of its journal or
-- an effect, resumed, and must end in the same world as without the crash; at
-- the end of all of them nothing is lost or doubled.
--
-- The applications go to and fro between the two clusters; every second run
-- fails at its end and undoes itself. TRANSHIP_CRASH_SAMPLE is how many points
-- are taken ("all": every one), TRANSHIP_CRASH_SEED which.

local test = ...

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local stages = dofile "tests/world/stage.lua"
local moving = dofile "tests/world/moving.lua"

local SAMPLE = sys.env "TRANSHIP_CRASH_SAMPLE" or "20"
local SEED = math.tointeger(tonumber(sys.env "TRANSHIP_CRASH_SEED" or "1"))
local BOOK = "tests/world/books/moves.lua"
local APPS = { "consumer", "streams", "producer" }
local RESUMES = 3

local function other(cluster) return cluster == "old" and "new" or "old" end

--- Drives one run: its exit code, or nil when it was killed.
local function drive(move, crash, ...)
  local ended = move.t.ok(sys.run {
    args = { sys.executable(), ... }, stdin = "null",
    env = {
      TRANSHIP_STATE = move.stage.state, TRANSHIP_CRASH_AT = crash or "",
    },
  })
  if ended.signal == "KILL" then return nil, ended.stderr end
  return ended.code, ended.stdout .. ended.stderr
end

local function run(move, to, spoil, crash)
  return drive(move, crash, "run", BOOK, "--yes", "-p", "to=" .. to, "-p",
    "spoil=" .. tostring(spoil), table.unpack(move.params))
end

--- The id of the newest run, and its records.
local function newest(move)
  local root = move.stage.state .. "/runs"
  local id, records, began = nil, {}, -1
  for _, name in ipairs(sys.list(root) or {}) do
    local lines = {}
    local text = sys.read_file(root .. "/" .. name .. "/journal.jsonl") or ""
    for line in text:gmatch "([^\n]*)\n" do
      lines[#lines + 1] = json.decode(line)
    end
    if lines[1] and lines[1].time > began then
      id, records, began = name, lines, lines[1].time
    end
  end
  return id, records
end

--- The world as it must be after every run: each app on one side only, that
-- side the writer, nothing owed, the bridge still copying.
local function must_be_at(move, cluster, what)
  local t, stage = move.t, move.stage
  local said = stage:tranship_must(0, "app", "status", BOOK, "-o", "json",
    table.unpack(move.params)).stdout
  for _, row in ipairs(json.decode(said)) do
    t.equal(row.running, row.cluster == cluster,
      ("%s: %s runs on %s"):format(what, row.workload, row.cluster))
  end
  local id = newest(move)
  local status = json.decode(stage:tranship_must(0, "status", id, "-o",
    "json").stdout)
  t.equal(#(status.owed or {}), 0, what .. ": something is owed")
  t.equal(#(status.in_doubt or {}), 0, what .. ": something is in doubt")
end

--- Every point of one clean run there and one that is undone.
local function all_points(move)
  local points = {}
  local function add(spoil)
    local _, records = newest(move)
    local effects = 0
    for _, record in ipairs(records) do
      if record.kind == "effect.intent" then effects = effects + 1 end
    end
    for _, kind in ipairs { "journal", "effect" } do
      for n = 1, kind == "journal" and #records or effects do
        for _, side in ipairs { "before", "after" } do
          points[#points + 1] = { spoil = spoil,
            at = ("%s:%s:%d"):format(kind, side, n) }
        end
      end
    end
  end
  local code, said = run(move, "new", false)
  move.t.equal(code, 0, said)
  must_be_at(move, "new", "a clean run")
  code, said = run(move, "old", false)
  move.t.equal(code, 0, said)
  add(false)
  code, said = run(move, "new", true)
  move.t.equal(code, 5, said)
  must_be_at(move, "old", "a run that was undone")
  add(true)
  return points
end

--- A fixed order for a fixed seed, whatever the machine.
local function shuffle(points)
  local state = SEED
  local function random(n)
    state = (state * 6364136223846793005 + 1442695040888963407)
    return (state >> 33) % n + 1
  end
  for i = #points, 2, -1 do
    local j = random(i)
    points[i], points[j] = points[j], points[i]
  end
end

--- One crash: killed there, resumed until it ends. A point that this run does
-- not reach (a retry more or less) is no crash.
---@return string where the applications are, boolean killed
local function crash(move, here, point)
  local to = other(here)
  local want = point.spoil and 5 or 0
  local what = ("%s%s"):format(point.at, point.spoil and ", undone" or "")
  local before = newest(move)
  local code, said = run(move, to, point.spoil, point.at)
  local was_killed = code == nil
  local id, records = newest(move)
  if code == nil and (id == before or #records == 0) then
    code, said = run(move, to, point.spoil)  -- killed before its first record
  end
  for _ = 1, RESUMES do
    if code ~= nil then break end
    code, said = drive(move, nil, "resume", (newest(move)))
  end
  move.t.equal(code, want, what .. "\n" .. said)
  local home = point.spoil and here or to
  must_be_at(move, home, what)
  return home, was_killed
end

test("killed anywhere, resumed, the same world", function(t)
  local stage <close> = stages.open(t)
  local move = moving.begin(stage, nil, BOOK, APPS)
  local points = all_points(move)
  shuffle(points)
  local sample = SAMPLE == "all" and #points
    or math.tointeger(tonumber(SAMPLE))
  t.note(("%d of %d points, seed %d"):format(math.min(sample, #points),
    #points, SEED))
  local home, kills, taken = "old", 0, 0
  for _, point in ipairs(points) do
    if kills == sample then break end
    local began = task.now()
    local killed
    home, killed = crash(move, home, point)
    kills = kills + (killed and 1 or 0)
    taken = taken + 1
    t.note(("%s%s: %s, %d ms"):format(point.at,
      point.spoil and ", undone" or "",
      killed and "killed, resumed" or "not reached", task.now() - began))
  end
  t.ok(kills >= math.min(sample, #points) // 2, "hardly any point was reached")
  move:finish(home, "producer", "streams", "consumer")
  move:must_be_whole(home)
end)
