--- What the commands that drive runs have in common: their options, loading a
-- book, showing a plan, asking for a yes, and the view.

local err = require "base.err"
local json = require "vm.json"
local state_folder = require "base.state"
local sys = require "vm.sys"
local engine = require "runbook.engine"
local plan = require "runbook.plan"
local plan_text = require "runbook.show.plan_text"
local runs = require "runbook.record.runs"
local selection = require "runbook.drive.selection"
local state = require "runbook.record.state"
local terminal = require "runbook.command.terminal"

local M = {}

M.WRONG, M.REFUSED, M.WAITING = 3, 4, 6

--- Options that leave steps out.
M.selecting = {
  { name = "only", kind = "list", value = "TAG",
    help = "only steps with this tag or name" },
  { name = "skip", kind = "list", value = "TAG",
    help = "not the steps with this tag or name" },
  { name = "from", kind = "value", value = "STEP",
    help = "begin here; everything above must be so already" },
  { name = "until", kind = "value", value = "STEP",
    help = "stop after this step" },
}

--- Options of every command that drives a run.
M.driving = {
  { name = "step", kind = "flag", help = "ask before each step" },
  { name = "no-wait", kind = "flag",
    help = "do not wait for approvals: leave with exit code 6" },
  { name = "read-only", kind = "flag", help = "refuse every effect" },
  { name = "output", short = "o", kind = "value", value = "KIND",
    choices = { "tty", "plain", "jsonl" }, help = "how to show the run" },
}

--- Says something to the person, and nothing else.
function M.say(format, ...)
  sys.errout("tranship: " .. format:format(...) .. "\n")
end

--- Prints usage; returns the exit code of a wrong command line.
function M.wrong_usage(command)
  sys.errout(("usage: %s\n"):format(command.usage))
  return M.WRONG
end

--- Loads a book, printing what is wrong with it.
---@async
---@return tranship.Book? book
---@return table? given  parameters, for the archive
function M.load(opts, path)
  local given, problems = require "runbook.declare.params".gather(opts.param,
                                                          opts.params)
  local book
  if given then
    book, problems = require "runbook.load".book(path, {
      params = given, recipes = opts.recipes,
    })
  end
  if problems and #problems > 0 then
    sys.errout(require "runbook.declare.problems".text(problems))
  end
  return book, given
end

--- What was asked with --only, --skip, --from, --until; nil when nothing.
function M.selection(opts)
  local picked = { only = opts.only, skip = opts.skip, from = opts.from,
                   until_to = opts["until"] }
  return next(picked) and picked or nil
end

--- Plans a book; refuses when a cluster does not answer as declared, and with
-- `to_run` when another run owns what it works on.
---@async
function M.plan(book, opts, to_run)
  local reader = engine.reader(state_folder.dir())
  local ids, why = engine.cluster_ids(reader, book)
  if not ids then return nil, why end
  local free = true
  if to_run then
    free, why = runs.are_free(state_folder.dir(), runs.subjects(book, ids))
  end
  if not free then return nil, why end
  local selected
  selected, why = selection.of(book, M.selection(opts))
  if not selected then return nil, why end
  return plan.book(reader, book, selected)
end

local function mode_of(opts)
  if opts.output then return opts.output end
  return sys.isatty(1) and sys.env "TERM" ~= "dumb" and "tty" or "plain"
end

--- Makes the view of a session.
function M.viewer(opts)
  local mode = mode_of(opts)
  return function(session)
    local view = require "runbook.show.view".new {
      book = session.book, run_id = session.id, mode = mode, write = sys.out,
      color = mode == "tty" and not sys.env "NO_COLOR",
    }
    view.state = state.fold(session.records or {})
    return view
  end
end

--- Options of a drive, from the command line.
function M.drive_options(opts)
  local person = terminal.open()
  if opts.step and not person then
    return nil, err.new { kind = "usage",
                          message = "--step needs a terminal to ask at" }
  end
  return {
    root = state_folder.dir(), make_view = M.viewer(opts), terminal = person,
    no_wait = opts.no_wait, ask_each = opts.step, read_only = opts.read_only,
    select = M.selection(opts), recipes = opts.recipes,
  }
end

--- Asks for a yes at the terminal, unless `--yes` gave it.
---@async
---@return boolean
function M.confirm(opts, options, question)
  if opts.yes then return true end
  if not options.terminal then
    M.say("%s There is no terminal to ask at; --yes says so beforehand.",
          question)
    return false
  end
  return options.terminal:choose(question, { "yes", "no" }) == "yes"
end

--- The command that looks at a book again and changes nothing.
---@return string
function M.plan_again(opts, path)
  local words = { "tranship plan", path }
  for _, given in ipairs(opts.param or {}) do
    words[#words + 1] = ("-p '%s'"):format((given:gsub("'", "'\\''")))
  end
  if opts.params then words[#words + 1] = "--params " .. opts.params end
  for _, folder in ipairs(opts.recipes or {}) do
    words[#words + 1] = "--recipes " .. folder
  end
  return table.concat(words, " ")
end

--- Ends a command that was refused; problems of scripts are exit 3.
---@param next_command? string  what to type next
function M.refused(why, next_command)
  if type(why) == "table" and why[1] and why[1].code then
    sys.errout(require "runbook.declare.problems".text(why))
    return M.WRONG
  end
  M.say("%s", tostring(why))
  if next_command then sys.errout("next:  " .. next_command .. "\n") end
  return M.REFUSED
end

--- The same of a command about a run: its state is next, or, where the run is
-- not known, which runs there are; where there is none, a run.
function M.refused_run(why, folder)
  local next_command = "tranship status" .. (folder and " " .. folder.id or "")
  if not folder and #runs.ids(state_folder.dir()) == 0 then
    next_command = "tranship run FILE, or the same with --state DIR"
  end
  return M.refused(why, next_command)
end

--- Finds the run a command names, or the only one there is.
---@async
function M.find_run(name)
  local root = state_folder.dir()
  if name then return runs.find(root, name) end
  local ids = runs.ids(root)
  if #ids == 1 then return runs.folder(root, ids[1]) end
  return nil, err.new { kind = "usage",
    message = #ids == 0 and "there is no run under " .. root
      or "which run? there are " .. table.concat(ids, ", ") }
end

--- Shows a plan; steps that could not be planned refuse the run.
---@return boolean
function M.show_plan(made, opts)
  local write = opts.output == "jsonl" and sys.errout or sys.out
  write(plan_text.text(made) .. "\n")
  local problems = plan_text.problems(made)
  for _, line in ipairs(problems) do M.say("%s", line) end
  return #problems == 0
end

--- JSON on stdout.
function M.print_json(value) sys.out(json.encode(value) .. "\n") end

return M
