--- tranship journal: what happened in a run, line by line; its chain verified.

local time = require "base.time"
local command = require "runbook.command"
local journal = require "runbook.record.journal"
local plain = require "runbook.record.plain"
local sys = require "vm.sys"

local M = {
  name = "journal",
  summary = "Show the journal of a run, verify its chain, or export it.",
  usage = "tranship journal [RUN] [verify|export] [-o table|jsonl]",
  examples = {
    "tranship journal 7f3a",
    "tranship journal 7f3a verify",
    "tranship journal 7f3a export > run-7f3a.jsonl",
  },
  options = {
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "table", "jsonl" }, help = "how to print" },
  },
}

local SHOWN_APART = { kind = true, seq = true, time = true, prev = true,
                      step = true }

-- One line of a record: what it is about first, the rest as name=value.
local function line(record)
  local names, parts = {}, {}
  for name in pairs(record) do
    if not SHOWN_APART[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    parts[#parts + 1] = ("%s=%s"):format(name, plain.line(record[name]))
  end
  return ("%4d  %s  %-16s %-6s %s\n"):format(record.seq,
    time.clock(record.time), record.kind, record.step or "",
    table.concat(parts, "  "))
end

local function verify(folder, parsed)
  sys.out(("journal of run %s: %d records, format %d, chain unbroken\nhead %s\n")
    :format(folder.id, #parsed.records, parsed.records[1].format, parsed.head))
  if parsed.torn then
    sys.errout(("the last line is torn (%d bytes); the next drive cuts it off\n")
      :format(#parsed.torn))
  end
  return 0
end

local function export(folder, parsed)
  sys.out((sys.read_file(folder.journal):sub(1, parsed.kept)))
  return 0
end

local function print_table(_, parsed)
  for _, record in ipairs(parsed.records) do sys.out(line(record)) end
  return 0
end

local VERBS = { verify = verify, export = export, show = print_table }

function M.run(opts, args)
  local name, verb = args[1], args[2]
  if VERBS[name] then name, verb = verb, name end    -- either order
  if #args > 2 or verb and not VERBS[verb] then
    return command.wrong_usage(M)
  end
  local folder, why = command.find_run(name)
  if not folder then return command.refused_run(why) end
  local parsed
  parsed, why = journal.read(folder.journal)
  if not parsed then return command.refused(why) end
  if #parsed.records == 0 then
    return command.refused(folder.journal .. " is empty")
  end
  if not verb then verb = opts.output == "jsonl" and "export" or "show" end
  return VERBS[verb](folder, parsed)
end

return M
