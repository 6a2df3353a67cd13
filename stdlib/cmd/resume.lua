--- tranship resume: goes on with a run that stopped, in the direction it had.

local flags = require "base.options"
local command = require "runbook.command"
local engine = require "runbook.engine"
local runs = require "runbook.record.runs"

local M = {
  name = "resume",
  summary = "Go on with a run that stopped. It executes its archived scripts.",
  usage = "tranship resume [RUN] [--step] [--until STEP]",
  examples = {
    "tranship resume 7f3a",
    "tranship resume             the only run there is",
    "tranship resume 7f3a --until 6b",
  },
  options = flags.join(command.driving, {
    { name = "until", kind = "value", value = "STEP",
      help = "stop after this step" },
  }),
}

local OVER = { done = 0, undone = command.REFUSED, ["given up"] = command.REFUSED }

function M.run(opts, args)
  if #args > 1 then return command.wrong_usage(M) end
  local options, why = command.drive_options(opts)
  if not options then return command.refused(why) end
  local folder
  folder, why = command.find_run(args[1])
  if not folder then return command.refused_run(why) end
  local state
  state, why = runs.read(folder)
  if not state then
    return command.refused(why, "tranship journal verify " .. folder.id)
  end
  if state.closed then
    command.say("run %s is %s; there is nothing to go on with", folder.id,
                state.closed.outcome)
    return OVER[state.closed.outcome] or 0
  end
  local exit
  exit, why = engine.resume(folder, options)
  if options.terminal then options.terminal:close() end
  return exit or command.refused_run(why, folder)
end

return M
