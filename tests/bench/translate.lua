--- Rows per second through the filter of `tranship translate`: CSV and JSON
-- lines of positions, over maps with many segments, from file to file. The peer
-- is `cat` of the same rows, the cost of moving them at all.
--   tranship --lua tests/bench/translate.lua

local offsets = require "vm.offsets"
local places = require "vm.places"
local sys = require "vm.sys"
local task = require "vm.task"

local PARTITIONS, SEGMENTS, ROWS = 16, 20000, 2000000

local child = ...

local function filter(kind)
  local all <close> = places.new {}
  for partition = 0, PARTITIONS - 1 do
    local map <close> = offsets.new()
    for i = 0, SEGMENTS - 1 do map:append(i * 100, i * 90, 90) end
    all:add { topic = "apps.greetings", partition = partition,
      map = map:save() }
  end
  local begin, cpu = task.now_us(), os.clock()
  local told = assert(all:filter { json = kind == "json" })
  local spent = (task.now_us() - begin) / 1e6
  assert(told.rows.exact + told.rows.hole == ROWS)
  sys.errout(("%.2f million rows/s of %s, exact (%.2f per second of CPU)")
    :format(ROWS / spent / 1e6, kind, ROWS / (os.clock() - cpu) / 1e6))
  return 0
end

if child then return filter(child) end

local ROW = {
  csv = "%d,apps.greetings,%d,%d,2026-11-25T16:00:00Z,kept as it is\n",
  json = '{"id":%d,"topic":"apps.greetings","partition":%d,"offset":%d,'
    .. '"at":"2026-11-25T16:00:00Z","text":"kept as it is"}\n',
}

local folder = assert(sys.temporary_folder "tranship-bench-")
for _, kind in ipairs { "csv", "json" } do
  local path = folder .. "/rows." .. kind
  local file <close> = assert(sys.append(path))
  local lines = {
    kind == "csv" and "id,topic,partition,offset,at,text\n" or nil,
  }
  local seed = 1
  for i = 1, ROWS do
    seed = (seed * 1103515245 + 12345) % 2147483648
    lines[#lines + 1] = ROW[kind]:format(i, i % PARTITIONS,
      seed % (SEGMENTS * 100 - 100))
    if #lines == 50000 or i == ROWS then
      assert(file:write(table.concat(lines)))
      lines = {}
    end
  end
  local function shell(command)
    local begin = task.now_us()
    local done = assert(sys.run { args = { "sh", "-c", command, "sh",
      sys.executable(), path, folder .. "/out" } })
    assert(done.code == 0, done.stderr)
    return done.stderr:match "[^\n]*", (task.now_us() - begin) / 1e6
  end
  local rate = shell('"$1" --lua tests/bench/translate.lua ' .. kind
    .. ' <"$2" >"$3"')
  local _, moved = shell 'cat <"$2" >"$3"'
  sys.out(("translate  %s   cat of the same rows  %.2f\n"):format(rate,
    ROWS / moved / 1e6))
end
sys.run { args = { "rm", "-rf", folder } }
