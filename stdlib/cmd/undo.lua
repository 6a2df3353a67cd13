--- tranship undo: takes a run back, to its start or to a step.

local flags = require "base.options"
local command = require "runbook.command"
local engine = require "runbook.engine"
local runs = require "runbook.record.runs"
local shape = require "runbook.drive.shape"
local text = require "base.text"
local sys = require "vm.sys"
local undo = require "runbook.drive.undo"

local M = {
  name = "undo",
  summary = "Take a run back, last step first; never across a point of no return.",
  usage = "tranship undo [RUN] [--to STEP] [--yes]",
  examples = {
    "tranship undo 7f3a",
    "tranship undo 7f3a --to 5      stay as it was after step 5",
  },
  options = flags.join(command.driving, {
    { name = "to", kind = "value", value = "STEP",
      help = "take back everything after this step" },
    { name = "yes", short = "y", kind = "flag", help = "do not ask first" },
  }),
}

local function irreversible(step, goal)
  return step.irreversible or goal.def and goal.def.irreversible
    or "it declares no undo"
end

-- What would be taken back, for a yes.
local function show(book, state, to)
  local path = undo.path({ book = book, state = state },
                         { scope = to and "to" or "all", step = to and to.id })
  sys.errout(("%s would be taken back:\n"):format(text.count(#path, "step")))
  for _, known in ipairs(path) do
    local step = book.by_id[known.id]
    local words = #known.intents == 0 and "nothing was changed" or "undo"
    for _, goal in ipairs(shape.goals(step)) do
      if #known.intents > 0 and not goal:has "undo" then
        words = "STAYS: " .. irreversible(step, goal)
      end
    end
    sys.errout(("  %-4s  %-44s  %s\n"):format(step.id, step.title, words))
  end
end

function M.run(opts, args)
  if #args > 1 then return command.wrong_usage(M) end
  local options, why = command.drive_options(opts)
  if not options then return command.refused(why) end
  local folder
  folder, why = command.find_run(args[1])
  if not folder then return command.refused_run(why) end
  local state
  state, why = runs.read(folder)
  if not state then return command.refused_run(why, folder) end
  if state.closed and state.closed.outcome == "undone" then
    command.say("run %s is undone already", folder.id)
    return 0
  end
  local book
  book, why = engine.archived_book(folder, state.open)
  if not book then return command.refused_run(why, folder) end
  local to = opts.to and shape.find(book, opts.to)
  if opts.to and not to then
    return command.refused_run(("there is no step %s in run %s"):format(opts.to,
      folder.id), folder)
  end
  show(book, state, to)
  if not command.confirm(opts, options, "Go back?") then
    return command.WAITING
  end
  options.to = opts.to
  local exit
  exit, why = engine.undo(folder, options)
  if options.terminal then options.terminal:close() end
  return exit or command.refused_run(why, folder)
end

return M
