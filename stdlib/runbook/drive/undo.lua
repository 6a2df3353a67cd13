--- The way back: steps undone in reverse order of entering, the half-done one
-- first, never across a crossed point of no return. Loans are paid last.
--
-- The direction is journalled before the first undo, so a run that dies on the
-- way back goes on back. When an undo fails the rest is left as it is: later
-- undos usually rely on earlier ones.

local err = require "base.err"
local task = require "vm.task"
local answer = require "runbook.drive.answer"
local effects = require "runbook.drive.effects"
local plain = require "runbook.record.plain"
local proof = require "runbook.drive.proof"
local reach = require "runbook.drive.reach"
local run_context = require "runbook.drive.run_context"
local shape = require "runbook.drive.shape"
local step_of = require "runbook.drive.step"

local M = {}

local NOT_UNDONE = { kept = true }

-- Undoing one step -----------------------------------------------------------------

local function prove(session, step, goal)
  local proofs = answer.proofs({}, { goal }, function()
    return run_context.new(session, nil, step, goal)
  end)
  return proof.prove(session, step, proofs, { limit_ms = step.timeout_ms })
end

-- The undo of a goal may be done by itself, or name the goal that is the way
-- back, which then has to become so and prove it.
local function undo_goal(session, work, n, goal)
  local step = work.step
  local within = session:context("undo", step, {
    perform = effects.performer(session, work, n, true),
  })
  local run = run_context.new(session, work, step, goal)
  local back, why = answer.call(within, goal.undo, goal, run)
  if back == nil and why then return nil, why end
  if type(back) ~= "table" or not back.has then return true end
  local how
  how, why = reach.goal(session, work, n, back, true)
  if not how then return nil, why end
  return prove(session, step, back)
end

-- Goals of the step that did something, last one first.
local function touched(session, step)
  local seen, list = {}, {}
  for _, intent in ipairs(session.state:step(step.id).intents) do
    seen[intent.goal] = true
  end
  local goals = shape.goals(step)
  for n = #goals, 1, -1 do
    if seen[n] then list[#list + 1] = { n = n, goal = goals[n] } end
  end
  return list
end

local function why_kept(step, goal)
  return step.irreversible or goal.def and goal.def.irreversible
    or "it declares no undo"
end

local function undo_all_goals(session, work)
  local kept
  for _, one in ipairs(touched(session, work.step)) do
    if one.goal:has "undo" then
      local ok, why = reach.with_retry(session, work.step, function()
        return undo_goal(session, work, one.n, one.goal)
      end)
      if not ok then return nil, why end
    else
      kept = ("%s stays: %s"):format(one.goal.title,
                                     why_kept(work.step, one.goal))
    end
  end
  return { kept = kept }
end

local function in_time(session, work)
  local limit = work.step.timeout_ms
  if not limit then return undo_all_goals(session, work) end
  return task.deadline(limit, undo_all_goals, session, work)
end

local function leave(session, step, state, fields, started)
  fields.step, fields.state = step.id, state
  fields.took_ms = math.floor(task.now() - started)
  session:record("undo.leave", fields)
end

local function pay_loan(session, step)
  for _, owed in ipairs(session.state:debts("loan", step.id)) do
    run_context.pay(session, owed)
  end
end

--- Undoes one step, or pays the loan it is.
---@async
---@return "undone"|"kept"|"paid"|"interrupted"|nil how
---@return tranship.Err? err
function M.step(session, step, loan)
  local started = task.now()
  local how, _, done, why = session.interrupt:run(step, loan, function(work)
    if #session.state:step(step.id).intents == 0 then return { idle = true } end
    session:record("undo.enter", { step = step.id, title = step.title,
                                   loan = loan }, true)
    return in_time(session, work)
  end)
  if how ~= "ended" then return "interrupted" end
  if not done then
    why = why or err.new { kind = "bug", message = "undo ended without a word" }
    leave(session, step, "undo failed", { error = plain.error(why) }, started)
    return nil, why
  end
  step_of.close_gaps(session, step)
  if loan then pay_loan(session, step) end
  local state = loan and "paid" or done.kept and "kept" or "undone"
  leave(session, step, state, { because = done.kept, idle = done.idle },
        started)
  return state
end

-- The way back -----------------------------------------------------------------------

local function place(book)
  local at = {}
  for index, step in ipairs(book.all_steps) do at[step.id] = index end
  return at
end

--- Steps that a scope takes back, in the order in which it does.
---@param undo { scope: "this"|"to"|"all", step?: string }
---@return tranship.StepState[]
function M.path(session, undo)
  local book, list = session.book, {}
  local at = place(book)
  for _, known in ipairs(session.state:way_back(book)) do
    local wanted = undo.scope == "all"
      or undo.scope == "this" and known.id == undo.step
      or undo.scope == "to" and (at[known.id] or 0) > (at[undo.step] or 0)
    if wanted and not NOT_UNDONE[known.state] then list[#list + 1] = known end
  end
  return list
end

--- Turns the run round; journalled before anything is undone.
---@async
function M.begin(session, scope, step, because)
  session:record("undo.begin", { scope = scope, step = step and step.id,
                                 because = because, who = session.operator },
                 true)
end

local function verdict_of(undone, undo)
  return { exit = 5, outcome = "undone", scope = undo.scope,
           kept = undone.kept, because = undo.because }
end

--- Goes on back until everything in scope is undone.
---@async
---@return tranship.Verdict
function M.back(session)
  local undo = session.state.undo
  if session.state.undone then return verdict_of(session.state.undone, undo) end
  local kept = {}
  for _, known in ipairs(M.path(session, undo)) do
    local step = session.book.by_id[known.id]
    local how, why = M.step(session, step)
    if how == "interrupted" then
      return { exit = 6, outcome = "going back", step = step,
               because = "interrupted on the way back" }
    elseif not how then
      return { exit = 7, outcome = "undo failed", step = step, err = why,
               because = answer.why(why) }
    elseif how == "kept" then
      kept[#kept + 1] = session.state:step(step.id).id
    end
  end
  session:record("undo.end", { scope = undo.scope, kept = kept })
  return verdict_of(session.state.undone, undo)
end

--- Pays every loan of the run, last one first.
---@async
---@return boolean all
---@return tranship.Err? err
function M.pay_loans(session)
  local loans = session.state:debts "loan"
  for at = #loans, 1, -1 do
    local step = session.book.by_id[loans[at].step]
    local how, why = M.step(session, step, true)
    if how ~= "paid" then return false, why end
  end
  return true
end

return M
