--- What the benchmarks share: what processes cost, medians, cluster folders.
-- Loaded by path: `local lib = dofile "tests/bench/lib.lua"`.

local sys = require "vm.sys"

local M = {}

local TICKS = 100 -- per second, of Linux

--- User and system CPU seconds of a process, 0 for one that is gone.
function M.cpu(pid)
  local stat = sys.read_file(("/proc/%s/stat"):format(pid or "self"))
  if not stat then return 0 end
  local fields = {}
  for word in stat:match("^.*%) (.*)$"):gmatch "%S+" do
    fields[#fields + 1] = tonumber(word) or word
  end
  return (fields[12] + fields[13]) / TICKS
end

--- A size of a process in MB: "VmHWM" (its peak) or "VmRSS".
function M.memory(pid, name)
  local text = sys.read_file(("/proc/%s/status"):format(pid or "self")) or ""
  return (tonumber(text:match(name .. ":%s*(%d+)")) or 0) / 1024
end

function M.median(list, field)
  local values = {}
  for i, one in ipairs(list) do values[i] = field and one[field] or one end
  table.sort(values)
  return values[(#values + 1) // 2]
end

--- The value below which the share of the sorted values lies.
function M.quantile(sorted, share)
  return sorted[math.max(1, math.ceil(#sorted * share))]
end

--- The pid of a broker that tests/world/cluster started in `folder`.
function M.broker(folder)
  return tonumber((sys.read_file(folder .. "/pid") or ""):match "%d+")
end

return M
