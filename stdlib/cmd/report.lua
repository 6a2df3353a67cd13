--- tranship report: a run as one HTML page.

local command = require "runbook.command"
local report = require "runbook.show.report"
local runs = require "runbook.record.runs"
local sys = require "vm.sys"
local try = require "base.try"

local USAGE = "tranship report [RUN] [--out FILE]"

local function run(opts, args)
  if #args > 1 then return command.wrong_usage { usage = USAGE } end
  local folder, why = command.find_run(args[1])
  if not folder then return command.refused_run(why) end
  local _, records = try(runs.read(folder))
  local page = report.html(records)
  if opts.out == "-" then
    sys.out(page)
    return 0
  end
  local path = opts.out or folder.path .. "/report.html"
  try(sys.write_file(path, page, { atomic = true }))
  sys.out(path .. "\n")
  return 0
end

return {
  name = "report",
  summary = "Write the report of a run: one HTML page, no network needed.",
  usage = USAGE,
  examples = {
    "tranship report 7f3a                     write it, print its path",
    "tranship report 7f3a --out - >run.html   print the page itself",
  },
  options = {
    { name = "out", kind = "value", value = "FILE",
      help = "where to write it; - is standard output" },
  },
  run = run,
}
