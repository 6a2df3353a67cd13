--- Every crash point of a whole toy run, forward and on the way back: killed
-- there, resumed, and the world must end as if nothing had happened.
--
-- The points are before and after every record, and before and after every
-- effect. TRANSHIP_CRASH_TOY is how many of each story are taken ("all": every
-- one), TRANSHIP_CRASH_SEED which.

local test = ...

local sys = require "vm.sys"
local task = require "vm.task"
local show = require "base.text".show

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/toy/case.lua")),
                          "@" .. here .. "/toy/case.lua"))()

local SAMPLE = tonumber(sys.env "TRANSHIP_CRASH_TOY" or "40") or math.huge
local SEED = math.tointeger(tonumber(sys.env "TRANSHIP_CRASH_SEED" or "1"))
local AT_ONCE = 4
local KILLED = 99

local function drive(case, book, verb, crash)
  local result = assert(sys.run {
    args = { sys.executable(), "--lua", here .. "/toy/drive.lua", case.folder,
             book, verb },
    env = { TRANSHIP_CRASH_AT = crash or "" }, stdin = "null",
  })
  return result.signal and KILLED or result.code, result.stderr
end

local function begin()
  local case = cases.new()
  case.world:poke("consumer.old", "up")
  case.world:poke("producer.old", "up")
  return case
end

-- The world at the end, without what differs from run to run.
local function world_of(case)
  local all = case.world:all()
  for key in pairs(all) do
    if key:find "token$" then all[key] = nil end
  end
  return all
end

-- Nothing may ever have run on both sides, in the order in which it was sent.
local function never_on_both_sides(case)
  local up = { ["consumer.old"] = true, ["producer.old"] = true }
  for _, line in ipairs(case.world:sent()) do
    local key, value = line:match "^(.-)=(.*)$"
    up[key] = value == "up" or nil
    for _, app in ipairs { "consumer", "producer" } do
      if up[app .. ".old"] and up[app .. ".new"] then return false, line end
    end
  end
  return true
end

local function count(case, kind) return #case:of_kind(kind) end

-- Kills at a point, then goes on with `verb` until the run is at its end.
local function crashed(book, point, verb)
  local case <close> = begin()
  local exit = drive(case, book, "run", point)
  if exit ~= KILLED then return nil, exit end
  local said
  if case:adopt() and sys.stat(case.run_folder.journal)
     and #sys.read_file(case.run_folder.journal) > 0
     and sys.read_file(case.run_folder.journal):find "\n" then
    local closed = case:state().closed
    if closed and verb == "resume" then exit = closed.exit
    else exit, said = drive(case, book, verb) end
  elseif verb == "resume" then
    exit, said = drive(case, book, "run")    -- it died before there was a run
  else
    return { early = true }
  end
  local sound, line = never_on_both_sides(case)
  case:adopt()
  local state = case:state()
  return {
    exit = exit, said = said, world = world_of(case), sound = sound, line = line,
    owed = #state:debts(), doubt = #state:in_doubt(),
    turns = count(case, "undo.begin"),
  }
end

local function points(kind, most)
  local list = {}
  for number = 1, most do
    for _, when in ipairs { "before", "after" } do
      list[#list + 1] = ("%s:%s:%d"):format(kind, when, number)
    end
  end
  return list
end

-- What is wrong after a point, as one line; nil if all is as `wanted`
-- = { exit, world, turns = how often the run turned round }.
local function complaint(book, point, verb, wanted)
  local seen, other = crashed(book, point, verb)
  if not seen then return "never reached, exit " .. tostring(other) end
  if seen.early then return nil end
  if seen.exit ~= wanted.exit then
    return ("exit %s: %s"):format(seen.exit, seen.said)
  elseif show(seen.world) ~= show(wanted.world) then
    return "the world is " .. show(seen.world)
  elseif seen.turns ~= wanted.turns then
    return ("turned round %d times"):format(seen.turns)
  elseif not seen.sound then
    return "on both sides after " .. seen.line
  elseif seen.owed > 0 or seen.doubt > 0 then
    return ("%d owed, %d in doubt"):format(seen.owed, seen.doubt)
  end
end

-- `SAMPLE` of the points, picked by a generator of our own: the same seed picks
-- the same ones everywhere.
local function sample(list)
  local state, picked = SEED, { table.unpack(list) }
  for at = #picked, 2, -1 do
    state = (state * 6364136223846793005 + 1442695040888963407)
    local other = (state >> 33) % at + 1
    picked[at], picked[other] = picked[other], picked[at]
  end
  return table.move(picked, 1, math.min(SAMPLE, #picked), 1, {})
end

local function check_points(t, book, list, verb, wanted)
  local jobs, complaints = {}, {}
  for at, point in ipairs(sample(list)) do
    jobs[at] = function()
      local text = complaint(book, point, verb, wanted)
      if text then complaints[#complaints + 1] = point .. ": " .. text end
      return true
    end
  end
  assert(task.together(jobs, { at_once = AT_ONCE }))
  t.note(("%s, %s: %d of %d points, seed %d"):format(book, verb, #jobs, #list,
    SEED))
  t.equal(table.concat(complaints, "\n"), "")
end

-- What an uncrashed run of a book leaves, and how many points it has.
local function clean_run(t, book, exit)
  local case <close> = begin()
  t.equal(drive(case, book, "run"), exit)
  case:adopt()
  local list = points("journal", #case:records())
  for _, point in ipairs(points("effect", count(case, "effect.intent"))) do
    list[#list + 1] = point
  end
  return world_of(case), list
end

test("forward: every point ends in the same world", function(t)
  local clean, list = clean_run(t, "whole", 0)
  check_points(t, "whole", list, "resume", { exit = 0, world = clean, turns = 0 })
end)

test("back: every point ends in the same world", function(t)
  local clean, list = clean_run(t, "back", 5)
  check_points(t, "back", list, "resume", { exit = 5, world = clean, turns = 1 })
end)

test("killed anywhere, then undone: the world is as it was", function(t)
  local _, list = clean_run(t, "short", 0)
  local before = { ["consumer.old"] = "up", ["producer.old"] = "up" }
  local wanted = { exit = 5, world = before, turns = 1 }
  check_points(t, "short", list, "undo", wanted)
end)
