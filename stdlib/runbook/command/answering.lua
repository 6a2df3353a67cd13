--- The commands `approve` and `deny`: one answer each, left in a run's inbox.
-- The answer is for the question as it stands in the journal now, with the plan
-- it was asked for. Whoever drives the run judges and journals it.

local sys = require "vm.sys"
local task = require "vm.task"
local approval = require "runbook.drive.approval"
local engine = require "runbook.engine"
local command = require "runbook.command"
local runs = require "runbook.record.runs"
local sessions = require "runbook.drive.session"
local shape = require "runbook.drive.shape"
local units = require "base.units"

local M = {}

-- The question a step asks now, by id, number or title.
local function open_question(state, name)
  for id, step in pairs(state.steps) do
    local asked = step.approval.asked
    if asked and not step.approval.given and (id == name or step.title == name)
    then
      return asked
    end
  end
end

local function asking(state)
  local ids = {}
  for id, step in pairs(state.steps) do
    if step.approval.asked and not step.approval.given then
      ids[#ids + 1] = id
    end
  end
  table.sort(ids)
  return #ids > 0 and "it asks about " .. table.concat(ids, ", ")
    or "it asks nothing"
end

local function read(folder)
  local state, why = runs.read(folder)
  if not state then return nil, why end
  return state
end

-- The name as the run knows it, or nil and the steps that will ask.
local function known_step(folder, name)
  local state, why = read(folder)
  if not state then return nil, why end
  local book = engine.archived_book(folder, state.open,
                                    { blind = true, once = true })
  if not book then return name end
  local step = shape.find(book, name)
  if step and step.approve then return step.id end
  local ids = {}
  for _, other in ipairs(book.all_steps) do
    if other.approve then ids[#ids + 1] = other.id end
  end
  return nil, ("run %s never asks about step %s; it asks about %s"):format(
    folder.id, name, #ids > 0 and table.concat(ids, ", ") or "nothing")
end

-- Waits for the question to be asked; the journal is watched.
local function wait_for(folder, name)
  local known, unknown = known_step(folder, name)
  if not known then return nil, unknown end
  name = known
  local changes <close> = assert(sys.watch(folder.path))
  while true do
    local state, why = read(folder)
    if not state then return nil, why end
    local asked = open_question(state, name)
    if asked or state.closed then return state, asked end
    changes:next()
  end
end

local function refuse_late(folder, asked)
  if asked.expires and sys.time() >= asked.expires then
    return command.refused(("the question of step %s in run %s has expired; "
      .. "to be asked again, resume"):format(asked.step, folder.id),
      "tranship resume " .. folder.id)
  end
end

local function show(asked)
  sys.errout(("step %s asks: %s\n"):format(asked.step, asked.question))
  for _, line in ipairs(asked.lines or {}) do
    sys.errout("  ~ " .. line .. "\n")
  end
end

local function say_left(spec, folder, asked, who)
  sys.out(("%s: step %s of run %s, by %s\n"):format(
    spec.answer == "given" and "approved" or "denied", asked.step, folder.id,
    who))
  if not runs.is_driven(folder) then
    sys.errout(("nobody drives the run now; the answer counts when `tranship "
      .. "resume %s` asks with the same plan\n"):format(folder.id))
  end
end

local function answer(spec, opts, args)
  local folder, why = command.find_run(args[1])
  if not folder then return command.refused_run(why) end
  local state, asked
  if opts.wait then
    state, asked = wait_for(folder, args[2])
  else
    state, why = read(folder)
    asked = state and open_question(state, args[2])
  end
  if not state then return command.refused_run(asked or why, folder) end
  if not asked then
    return command.refused_run(("run %s does not ask about step %s; %s")
      :format(folder.id, args[2], asking(state)), folder)
  end
  local late = refuse_late(folder, asked)
  if late then return late end
  show(asked)
  local who = sessions.operator()
  local left
  left, why = approval.leave(folder, asked, spec.answer, who, opts.comment)
  if not left then return command.refused_run(why, folder) end
  say_left(spec, folder, asked, who)
  return 0
end

--- A command that gives one kind of answer.
---@param spec { name: string, answer: "given"|"denied", summary: string, examples: string[] }
function M.command(spec)
  local made = {
    name = spec.name, summary = spec.summary, examples = spec.examples,
    usage = ("tranship %s RUN STEP [--comment TEXT] [--wait]"):format(spec.name),
    options = {
      { name = "comment", kind = "value", value = "TEXT",
        help = "why; journalled" },
      { name = "wait", kind = "flag", help = "wait until the step asks" },
      { name = "within", kind = "value", value = "DURATION",
        help = "with --wait: give up after this long" },
    },
  }
  function made.run(opts, args)
    if #args ~= 2 then return command.wrong_usage(made) end
    if not opts.within then return answer(spec, opts, args) end
    local within, wrong = units.duration(opts.within)
    if not within then
      command.say("%s: --within: %s", spec.name, wrong)
      return command.WRONG
    end
    local exit, why = task.deadline(within, answer, spec, opts, args)
    if exit then return exit end
    if why.kind ~= "timeout" then return command.refused(why) end
    command.say("run %s did not ask about step %s within %s", args[1], args[2],
                opts.within)
    sys.errout(("next:  tranship status %s\n"):format(args[1]))
    return command.WAITING
  end
  return made
end

return M
