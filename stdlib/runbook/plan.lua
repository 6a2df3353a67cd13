--- What a run would do: the same goal functions, with a recorder where effects
-- are performed. Nothing is changed. Later reads see planned writes through an
-- overlay; what nobody can know yet ends that step's plan and says why.

local effect = require "base.effect"
local err = require "base.err"
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local answer = require "runbook.drive.answer"
local plain = require "runbook.record.plain"
local run_context = require "runbook.drive.run_context"
local shape = require "runbook.drive.shape"

local M = { FORMAT = 1 }

local STEP_LIMIT_MS = 60 * 1000

---@class tranship.PlannedStep
---@field id string
---@field title string
---@field status "found"|"changes"|"proves"|"depends"|"problem"|"line"|"skipped"|"done"
---@field effects table[]  primitive, target, summary, before, after, undo
---@field because? string  for depends, problem, skipped
---@field lines string[]   for people
---@field hash string      what an approval is given for

-- Positions move while people think; names and settings may not.
local function without_numbers(value)
  if type(value) == "number" then return 0 end
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = without_numbers(item) end
  return out
end

local function identity(planned)
  local parts = { planned.id }
  for _, one in ipairs(planned.effects) do
    parts[#parts + 1] = { one.primitive, one.target,
                          without_numbers(one.args) or false }
  end
  return sys.sha256(assert(json.encode(parts))):sub(1, 16)
end

-- Records instead of sending; asks the server where it can be asked.
local function recorder(planned, overlay)
  return function(one)
    local entry = plain.copy {
      primitive = one.primitive, target = one.target, resume = one.resume,
      summary = one.summary, args = one.args, before = one.before,
      after = one.after, undo = one.undo,
    }
    planned.effects[#planned.effects + 1] = entry
    planned.lines[#planned.lines + 1] = entry.summary or entry.primitive
    if one.simulate then
      local value, why = one.simulate()
      if value == nil and why then
        entry.refused = plain.error(why)
        return nil, why
      end
      entry.simulated = true
    end
    if one.after ~= nil then overlay[one.target] = one.after end
    return effect.unknown("the outcome of \"" .. tostring(one.summary) .. "\"")
  end
end

local function ended(planned, why, overlay)
  local text = err.told(why)
  if type(why) == "table" and why.kind == "unknown" then
    planned.status, planned.because = "depends", text
  elseif type(why) == "table" and why.kind == "timeout" then
    planned.status = "depends"
    planned.because = "depends on something that takes longer than a plan may"
  elseif next(overlay) ~= nil then
    planned.status = "depends"
    planned.because = "depends on what steps above change: " .. text
  else
    planned.status, planned.because = "problem", text
  end
end

local function add_lines(planned, said)
  if type(said) == "string" then said = { said } end
  if type(said) ~= "table" or effect.is_unknown(said) then return end
  for _, line in ipairs(said) do
    planned.lines[#planned.lines + 1] =
      type(line) == "table" and plain.line(line.summary or line.text or line)
      or plain.line(line)
  end
end

-- Plans one goal: true, or nil and why the plan ends here.
local function plan_goal(session, planned, overlay, step, goal)
  local run = run_context.new(session, nil, step, goal)
  local evidence = {}
  local within = session:context("plan", step, {
    overlay = overlay, perform = recorder(planned, overlay), read_only = true,
    evidence = function(said) evidence[#evidence + 1] = said end,
  })
  if goal:has "check" then
    local said, why = answer.call(within, goal.check, goal, run)
    if said == nil and why then return nil, why end
    local ok = said == true or type(said) == "table" and said.ok
    if ok then return true end
    local seen = type(said) == "table" and said or evidence[#evidence]
    if seen then planned.now = answer.text(plain.copy(seen)) end
  end
  planned.status = "changes"
  local asked = goal:has "plan" and goal.plan or goal.apply
  if not goal:has "plan" and not goal:has "apply" then
    return nil, { kind = "unknown", message = "depends on a person: "
                  .. goal.title .. " is not so, and nothing here makes it so" }
  end
  local said, why = answer.call(within, asked, goal, run)
  if said == nil and why then return nil, why end
  if goal:has "plan" then add_lines(planned, said) end
  return true
end

local function undo_of(step)
  if step.irreversible then return "none: " .. step.irreversible end
  local words = {}
  for _, goal in ipairs(shape.goals(step)) do
    if not goal:has "undo" then
      local why = goal.def and goal.def.irreversible
      words[#words + 1] = "none" .. (why and ": " .. why or "")
    end
  end
  if #words > 0 then return table.concat(words, "; ") end
  return step.lasts == "run" and "taken back at the end of the run"
    or "taken back by its own undo"
end

local function new_planned(step)
  return { id = step.id, title = step.title, group = step.group and
           step.group.title, effects = {}, lines = {}, questions = {},
           status = "found" }
end

--- Plans one step over an overlay of planned writes.
---@async
---@param overlay table<string, any>
---@return tranship.PlannedStep
function M.step(session, step, overlay)
  local planned = new_planned(step)
  for _, proof in ipairs(answer.proofs(step, {}, function() end)) do
    planned.questions[#planned.questions + 1] = proof.title
  end
  if step.approve then planned.approve = step.approve.question end
  planned.note, planned.takes_ms = step.note, step.takes_ms
  if step.kind == "ponr" then
    planned.status = "line"
  elseif shape.is_attestation(step) then
    planned.status = "proves"
  else
    planned.undo = undo_of(step)
    local done, why = task.deadline(STEP_LIMIT_MS, function()
      for _, goal in ipairs(shape.goals(step)) do
        local ok, ended_by = plan_goal(session, planned, overlay, step, goal)
        if not ok then return { ended_by } end
      end
      return {}
    end)
    if not done then done = { why } end
    if done[1] then ended(planned, done[1], overlay) end
  end
  planned.hash = identity(planned)
  return planned
end

local function is_skipped(session, step)
  local when = step.when
  if when == nil or when == true then return false end
  if when == false then return true, "its `when` is false" end
  local said, why = answer.ask(session, step, when)
  if not said then return false, tostring(why) end
  return not said.ok, "its `when` says no"
end

--- Plans a whole book, in order; steps that are done already are named so.
---@async
---@param selected fun(step): boolean, string?
function M.book(session, book, selected)
  local overlay, steps, changes = {}, {}, 0
  for _, step in ipairs(book.steps) do
    local chosen, because = selected(step)
    local known = session.state.steps[step.id]
    local planned
    if not chosen then
      planned = new_planned(step)
      planned.status, planned.because = "skipped", because
    elseif known and known.state == "done" and not shape.is_attestation(step) then
      planned = new_planned(step)
      planned.status = "done"
    else
      local skip, why = is_skipped(session, step)
      if skip then
        planned = new_planned(step)
        planned.status, planned.because = "skipped", why
      else
        planned = M.step(session, step, overlay)
      end
    end
    if planned.status == "changes" or planned.status == "depends" then
      changes = changes + 1
    end
    steps[#steps + 1] = planned
  end
  return { format = M.FORMAT, runbook = book.name, version = book.version,
           fingerprint = book.fingerprint, steps = steps, changes = changes,
           hash = M.hash(steps) }
end

--- One hash for a whole plan.
function M.hash(steps)
  local parts = {}
  for at, step in ipairs(steps) do parts[at] = step.hash or step.status end
  return sys.sha256(table.concat(parts, " ")):sub(1, 16)
end

return M
