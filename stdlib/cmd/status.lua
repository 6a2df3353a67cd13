--- tranship status: where the runs stand, or one run in detail.

local command = require "runbook.command"
local json = require "vm.json"
local runs = require "runbook.record.runs"
local state_folder = require "base.state"
local status = require "runbook.show.status"
local sys = require "vm.sys"

local M = {
  name = "status",
  summary = "Show where the runs stand, or one run in detail.",
  usage = "tranship status [RUN] [-o table|json]",
  examples = { "tranship status", "tranship status 7f3a",
               "tranship status 7f3a -o json" },
  options = {
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "table", "json" }, help = "how to print" },
  },
}

local function list(opts)
  local root = state_folder.dir()
  local all = {}
  for _, id in ipairs(runs.ids(root)) do
    all[#all + 1] = status.of(runs.folder(root, id))
  end
  if opts.output == "json" then
    command.print_json { format = status.FORMAT, runs = json.array(all) }
  elseif #all == 0 then
    sys.errout("there is no run under " .. root .. "\n")
  else
    sys.out(status.table(all))
  end
  return 0
end

local function one(opts, name)
  local folder, why = command.find_run(name)
  if not folder then return command.refused_run(why) end
  local seen = status.of(folder)
  if seen.unreadable then
    return command.refused(seen.unreadable, "tranship journal verify "
      .. folder.id)
  end
  if opts.output == "json" then
    command.print_json(seen)
  else
    sys.out(status.text(seen))
  end
  return 0
end

function M.run(opts, args)
  if #args > 1 then return command.wrong_usage(M) end
  if args[1] then return one(opts, args[1]) end
  return list(opts)
end

return M
