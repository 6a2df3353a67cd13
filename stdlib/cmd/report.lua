--- tranship report: a run as one HTML page.

local report = require "runbook.show.report"
local runs = require "runbook.record.runs"
local state = require "base.state"
local sys = require "vm.sys"
local try = require "base.try"

local function run(opts, args)
  if #args ~= 1 then
    sys.errout("tranship report: which run? `tranship status` lists them\n")
    return 3
  end
  local folder = try(runs.find(state.dir(), args[1]))
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
  usage = "tranship report RUN [--out FILE]",
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
