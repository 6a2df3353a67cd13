--- What the engine costs per step without effects: the same runbook with few
-- and with many steps that only answer yes; the difference divided by the
-- number of steps. Beside it what one fsync of this disk costs, the floor for
-- any step that has an effect.
--   tranship --lua tests/bench/step.lua

local sys = require "vm.sys"
local task = require "vm.task"
local try = require "base.try"

local FEW, MANY, ROUNDS = 10, 210, 5

local folder = try(sys.run { args = { "mktemp", "-d" } }).stdout:gsub("\n", "")
local cleanup <close> = setmetatable({}, { __close = function()
  sys.run { args = { "rm", "-rf", folder } }
end })

local function write_book(count)
  local lines = { 'runbook "bench" { version = "1.0.0" }' }
  for i = 1, count do
    lines[#lines + 1] = ('step "%d. Yes" { check = function() return true end,'
      .. ' irreversible = "changes nothing" }'):format(i)
  end
  local path = ("%s/steps%d.lua"):format(folder, count)
  try(sys.write_file(path, table.concat(lines, "\n") .. "\n"))
  return path
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function time(path)
  local begin = task.now_us()
  local out = try(sys.run { args = { sys.executable(), "run", path, "--yes",
    "--state", folder .. "/state", "--output", "plain" } })
  assert(out.code == 0, out.stdout .. out.stderr)
  return (task.now_us() - begin) / 1000
end

local function fsync_ms()
  local file = try(sys.append(folder .. "/sync"))
  local begin = task.now_us()
  for _ = 1, 20 do
    try(file:write(("x"):rep(200) .. "\n"))
    try(file:sync())
  end
  file:close()
  return (task.now_us() - begin) / 20 / 1000
end

local few, many = write_book(FEW), write_book(MANY)
local per_step = {}
for i = 1, ROUNDS do
  local small, big = time(few), time(many)
  per_step[i] = (big - small) / (MANY - FEW)
end
sys.out(("engine     per step without effects  %.2f ms (aim < 1)   one fsync here"
  .. "  %.2f ms   (median of %d)\n"):format(median(per_step), fsync_ms(), ROUNDS))
