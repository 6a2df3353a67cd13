--- tranship plan: what a run would change, asked of the real clusters. Nothing
-- is changed.

local flags = require "base.options"
local command = require "runbook.command"
local plan_text = require "runbook.show.plan_text"
local sys = require "vm.sys"

local CHANGES = 2

local M = {
  name = "plan",
  summary = "Show what a run would change, step by step. Changes nothing.",
  usage = "tranship plan FILE [-p NAME=VALUE]... [--exit-code] [-o json]",
  examples = {
    "tranship plan scripts/event-bus.lua",
    "tranship plan bus.lua --only 6a",
    "tranship plan bus.lua --exit-code    exit code 2 if there are changes",
    "tranship plan bus.lua -o json",
  },
  options = flags.join(flags.loading, command.selecting, {
    { name = "exit-code", kind = "flag",
      help = "exit with 2 when something would change" },
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "table", "json" }, help = "how to print" },
  }),
}

--- `FILE --help` lists the runbook's own parameters.
function M.more_help(...) return require "runbook.declare.params".more_help(...) end

function M.run(opts, args)
  if #args ~= 1 then return command.wrong_usage(M) end
  local book = command.load(opts, args[1])
  if not book then return command.WRONG end
  local made, why = command.plan(book, opts)
  local again = command.plan_again(opts, args[1])
  if not made then return command.refused(why, again) end
  if opts.output == "json" then
    command.print_json(made)
  else
    sys.out(plan_text.text(made))
  end
  local problems = plan_text.problems(made)
  for _, line in ipairs(problems) do command.say("%s", line) end
  if #problems > 0 then
    return command.refused("the plan has problems", again)
  end
  return opts.exit_code and made.changes > 0 and CHANGES or 0
end

return M
