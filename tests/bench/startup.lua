--- How long `tranship check` takes to start, read a runbook and say that it is
-- well, against the plain Lua interpreter doing nothing (a process of the same
-- family, in the same minute). Medians of many runs, taken in turns.
--   tranship --lua tests/bench/startup.lua [RUNS]

local sys = require "vm.sys"
local task = require "vm.task"
local try = require "base.try"

local runs = tonumber((...)) or 40
local check = { sys.executable(), "check", "scripts/event-bus.lua",
                "-p", "old=127.0.0.1:1", "-p", "new=127.0.0.1:2" }
local peer = { "lua5.4", "-e", "" }

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function time(args)
  local begin = task.now_us()
  local out = try(sys.run { args = args })
  local took = task.now_us() - begin
  assert(out.code == 0, table.concat(args, " ") .. ": " .. out.stderr)
  return took / 1000
end

local ours, theirs = {}, {}
time(check)
for i = 1, runs do
  ours[i], theirs[i] = time(check), time(peer)
end
local us, them = median(ours), median(theirs)
sys.out(("start-up   tranship check scripts/event-bus.lua  %6.1f ms (aim < 10)"
  .. "   lua5.4 -e ''  %5.1f ms   ratio %.1f   (medians of %d)\n")
  :format(us, them, us / them, runs))
