--- tranship verify: proves again, against the clusters as they are now.

local context = require "base.context"
local err = require "base.err"
local flags = require "base.options"
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local bridges = require "runbook.command.bridges"
local command = require "runbook.command"

local M = {
  name = "verify",
  summary = "Prove again what a run or a bridge has claimed.",
  usage = "tranship verify data BRIDGE|FILE | certificates RUN",
  examples = {
    "tranship verify data event-bus             every record of both clusters",
    "tranship verify data bus.lua --sample 1%   slices of them, and says so",
    "tranship verify certificates 7f3a          the positions a run carried",
    "tranship verify certificates 7f3a -o json",
  },
  options = flags.join({
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "table", "json" }, help = "how to print" },
    { name = "sample", kind = "value", value = "SHARE",
      help = "data: compare this share only, such as 1%" },
  }, { bridges.options[1] }, flags.loading),
}

local DIFFERS = 1
local TOLD_EVERY_MS = { terminal = 200, file = 10000 }

local function counted(items)
  local counts = { holds = 0, broken = 0, ["cannot be checked"] = 0 }
  for _, item in ipairs(items) do
    counts[item.verdict] = counts[item.verdict] + 1
  end
  return counts
end

local function print_certificates(items, counts)
  for _, item in ipairs(items) do
    local here, there = item.certificate.here, item.certificate.there
    sys.out(("%-17s  group %s, %s/%d: %s %d is %s %d%s\n"):format(item.verdict,
      item.certificate.group, there.topic, there.partition, here.cluster,
      here.offset, there.cluster, there.offset,
      item.why and "\n                   " .. item.why or ""))
  end
  sys.out(("%d certificates: %d hold, %d cannot be checked any more, %d broken\n")
    :format(#items, counts.holds, counts["cannot be checked"], counts.broken))
end

--- The clusters of the book that the run archived, by name.
local function clusters_of(folder, opened)
  local book, why = require "runbook.engine".archived_book(folder, opened)
  if not book then return nil, why end
  local by_name = {}
  for _, cluster in ipairs(book.clusters) do by_name[cluster.name] = cluster end
  return by_name
end

local function certificates(opts, name)
  local folder, why = command.find_run(name)
  if not folder then return command.refused(why) end
  local state, records = require "runbook.record.runs".read(folder)
  if not state then return command.refused(records) end
  local list = require "runbook.record.certificates".of(records)
  if #list == 0 then
    return command.refused(("run %s carried no position"):format(folder.id))
  end
  local clusters
  clusters, why = clusters_of(folder, state.open)
  if not clusters then return command.refused(why) end
  local items
  items, why = require "mirror.offsets.certificate".verify(list,
    function(wanted) return clusters[wanted] end)
  for _, cluster in next, clusters do cluster:close() end
  if not items then return command.refused(why) end
  local counts = counted(items)
  if opts.output == "json" then
    command.print_json { format = 1, run = folder.id, counts = counts,
      certificates = json.array(items) }
  else
    print_certificates(items, counts)
  end
  return counts.broken > 0 and DIFFERS or 0
end

--- Prints progress: over itself at a terminal, a line now and then elsewhere.
local function teller()
  local terminal = sys.isatty(2)
  local last = task.now()
  return function(text)
    local every = TOLD_EVERY_MS[terminal and "terminal" or "file"]
    if task.now() - last < every then return end
    last = task.now()
    sys.errout(terminal and ("\r\27[K%s"):format(text) or text .. "\n")
  end, function() if terminal then sys.errout "\r\27[K" end end
end

local function compare(bridge, opts)
  local book, why = bridge:open_ledger()
  if not book then return command.refused(why) end
  bridges.adopt(bridge, book)
  local tell, clear = teller()
  context.get().progress = tell
  local answer
  answer, why = bridge:same_records { sample = opts.sample }
  clear()
  if not answer then return command.refused(why) end
  if opts.output == "json" then
    command.print_json { format = 1, ok = answer.ok, text = answer.text,
      seen = answer.seen }
  else
    sys.out(answer.text .. "\n")
  end
  return answer.ok and 0 or DIFFERS
end

local function data(opts, name)
  local bridge, why = bridges.find(opts, name,
    "name a runbook that declares it, or with --state where it was opened")
  if not bridge then return why and command.refused(why) or command.WRONG end
  local ran, code = pcall(compare, bridge, opts)
  bridge:close()
  bridge.from:close()
  bridge.to:close()
  if not ran then error(code, 0) end
  return code
end

function M.more_help()
  return [[

Nothing is written. `data` may run beside live traffic: it compares what the copy
held when it began, topics that are compacted by the last value of each key, and
names what retention has removed on one side. It ends with 1 when something
differs or a certificate is broken.
]]
end

local VERBS = { data = data, certificates = certificates }

function M.run(opts, args)
  local verb = VERBS[args[1]]
  if not verb or #args ~= 2 then return command.wrong_usage(M) end
  local ran, code = pcall(context.with, { phase = "check" }, verb, opts, args[2])
  if ran then return code end
  if err.is(code) then return command.refused(code) end
  error(code, 0)
end

return M
