--- tranship run: plan, show, confirm, go.

local flags = require "base.options"
local command = require "runbook.command"
local engine = require "runbook.engine"

local M = {
  name = "run",
  summary = "Run a runbook: plan it, show the plan, ask, go.",
  usage = "tranship run FILE [-p NAME=VALUE]... [--yes] [--step]",
  examples = {
    "tranship run scripts/event-bus.lua",
    "tranship run bus.lua -p max_lag=10 --until 5",
    "tranship run bus.lua --yes           the plan is confirmed beforehand;",
    "                                     approvals are asked all the same",
    "tranship run bus.lua --yes -o jsonl  the journal's records on stdout",
  },
  options = flags.join(flags.loading, command.selecting,
                            command.driving, {
    { name = "yes", short = "y", kind = "flag",
      help = "confirm the plan; never answers an approval" },
  }),
}

--- `FILE --help` lists the runbook's own parameters.
function M.more_help(...) return require "runbook.declare.params".more_help(...) end

function M.run(opts, args)
  if #args ~= 1 then return command.wrong_usage(M) end
  local options, why = command.drive_options(opts)
  if not options then return command.refused(why) end
  local book, given = command.load(opts, args[1])
  if not book then return command.WRONG end
  local made
  made, why = command.plan(book, opts, true)
  local again = command.plan_again(opts, args[1])
  if not made then return command.refused(why, again) end
  if not command.show_plan(made, opts) then
    return command.refused("the plan has problems; nothing was changed", again)
  end
  if not command.confirm(opts, options, "Go?") then
    command.say("nothing was changed")
    return command.WAITING
  end
  options.given, options.plan_hash = given, made.hash
  local exit
  exit, why = engine.start(book, options)
  if options.terminal then options.terminal:close() end
  return exit or command.refused(why, again)
end

return M
