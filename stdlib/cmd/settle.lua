--- tranship settle: a person says how something ended that no rule can settle.
-- The word is journalled with who and why. A step said to be done must say so
-- itself when it is checked, unless --against-check is given.

local answer = require "runbook.drive.answer"
local command = require "runbook.command"
local engine = require "runbook.engine"
local run_context = require "runbook.drive.run_context"
local runs = require "runbook.record.runs"
local sessions = require "runbook.drive.session"
local settling = require "runbook.drive.settling"
local shape = require "runbook.drive.shape"
local sys = require "vm.sys"

local M = {
  name = "settle",
  summary = "Say how a step in doubt, or a failed undo, ended.",
  usage = "tranship settle RUN STEP --as done|not-done|undone --because TEXT",
  examples = {
    "tranship settle 7f3a 6b --as done --because \"restarted it by hand\"",
    "tranship settle 7f3a 6b --as undone --because \"moved back by hand\"",
    "tranship settle 7f3a --give-up --because \"superseded by run 81c0\"",
  },
  options = {
    { name = "as", kind = "value", value = "WHAT",
      choices = { "done", "not-done", "undone" }, help = "how it ended" },
    { name = "because", kind = "value", value = "TEXT", help = "why; journalled" },
    { name = "against-check", kind = "flag",
      help = "though the step's check says otherwise" },
    { name = "give-up", kind = "flag",
      help = "close the run as it is; it owns nothing any more" },
  },
}

-- Does the step's own check agree with "done", or with "undone"?
local function agrees(session, step, as)
  if as == "not-done" then return true end
  for _, goal in ipairs(shape.goals(step)) do
    if goal:has "check" then
      local said, why = answer.ask(session, step, goal.check, goal,
                                   run_context.new(session, nil, step, goal))
      if not said then return nil, tostring(why) end
      if said.ok ~= (as == "done") then
        return nil, ("its check says %s: %s"):format(said.ok and "yes" or "no",
                                                     answer.text(said))
      end
    end
  end
  return true
end

local function settle(session, book, opts, name)
  local step = shape.find(book, name)
  if not step then
    return command.refused_run(("there is no step %s in run %s"):format(name,
      session.id), session)
  end
  local ok, why = agrees(session, step, opts.as)
  if not ok and not opts.against_check then
    return command.refused_run(("step %s: %s; --against-check overrules it")
      :format(step.id, why), session)
  end
  settling.step(session, step, opts.as, opts.because, not ok)
  sys.out(("settled: step %s of run %s is %s\n"):format(step.id, session.id,
                                                         opts.as))
  sys.errout(("next:  tranship resume %s\n"):format(session.id))
  return 0
end

local function check_words(opts, args)
  if not opts.because or opts.because == "" then return false end
  if opts.give_up then return #args == 1 end
  return #args == 2 and opts.as ~= nil
end

local function with_session(opts, args)
  local folder, why = command.find_run(args[1])
  if not folder then return command.refused_run(why) end
  local state
  state, why = runs.read(folder)
  if not state then return command.refused_run(why, folder) end
  local session
  session, why = sessions.open(folder)
  if not session then return command.refused_run(why, folder) end
  local _ <close> = session
  session.operator = sessions.operator()
  if opts.give_up then
    settling.give_up(session, opts.because)
    sys.out(("run %s is given up\n"):format(session.id))
    return 0
  end
  local book
  book, why = engine.archived_book(folder, state.open)
  if not book then return command.refused_run(why, folder) end
  session.book = book
  return settle(session, book, opts, args[2])
end

function M.run(opts, args)
  if not check_words(opts, args) then return command.wrong_usage(M) end
  return with_session(opts, args)
end

return M
