--- Checks on the whole of a declaration that no single word can make: order,
-- references, the way back. Each rule is one function; all of them always run.

local kinds = require "runbook.declare.kinds"

local M = {}

local function named(step)
  return (step.kind == "ponr" and 'line "%s"' or 'step "%s"'):format(step.title)
end

local function goals_of(step)
  local goals = {}
  for _, made in ipairs(step.ensure or {}) do
    if kinds.of(made) == "goal" then goals[#goals + 1] = made end
  end
  return goals
end

local function rescue_steps(step)
  return step.on_failure and step.on_failure.kind == "rescue"
    and step.on_failure.steps or {}
end

--- All steps, those of rescues included.
local function each_step(d)
  local all = {}
  for _, step in ipairs(d.steps) do
    all[#all + 1] = step
    for _, rescuer in ipairs(rescue_steps(step)) do all[#all + 1] = rescuer end
  end
  return ipairs(all)
end

local rules = {}

function rules.runbook_is_named(d)
  if not d.runbook then
    d:problem("E0113", { file = d.file, line = 1, col = 1 },
      "the file names no runbook", "begin with runbook \"name\" { ... }")
  end
end

function rules.everything_has_a_body(d)
  for _, pending in ipairs(d.pending) do
    if not pending.done then
      d:problem("E0106", pending.where, ('%s "%s" has no table { ... } behind it')
        :format(pending.word, pending.title))
    end
  end
end

--- A step is filled in one way: goals, or the questions inline, or proof only.
function rules.step_does_something(d)
  for _, step in each_step(d) do
    local inline = step.apply or step.plan or step.undo
    if step.kind == "ponr" or step.broken then
      goto continue
    elseif not step.ensure and not step.apply and not step.verify
      and not step.check then
      d:problem("E0305", step.pos, named(step) .. " does nothing",
        "give it ensure = goal, or verify = { ... }")
    elseif step.ensure and (inline or step.check) then
      d:problem("E0306", step.pos, named(step)
        .. " has both a goal and its own apply or check",
        "a goal brings its own; keep one of them",
        { field = step.apply and "apply" or step.check and "check"
          or step.plan and "plan" or "undo" })
    elseif step.apply and not step.check then
      d:problem("E0316", step.pos, named(step) .. " has apply without check",
        "without check nobody knows whether apply is needed or has worked",
        { field = "apply" })
    end
    ::continue::
  end
end

function rules.proof_fields_have_a_proof(d)
  for _, step in each_step(d) do
    for _, field in ipairs { "steady", "good_for" } do
      if step[field .. "_ms"] and not step.verify then
        d:problem("E0317", step.pos, ("%s of %s has nothing to hold"):format(
          field, named(step)), "it says how long verify holds",
          { field = field })
      end
    end
  end
end

function rules.go_on_only_past_proofs(d)
  for _, step in each_step(d) do
    if step.on_failure and step.on_failure.kind == "go on"
      and (step.ensure or step.apply) then
      d:problem("E0307", step.pos, named(step)
        .. " changes things, so a failure cannot be passed over",
        "\"go on\" is for steps that only look", { field = "on_failure" })
    end
  end
end

--- Cycles, and needs that do not stand above.
function rules.needs_are_above(d)
  local state = {}
  local function visit(step, path)
    if state[step] == "done" then return false end
    if state[step] == "open" then
      local from = 1
      while path[from] ~= step do from = from + 1 end
      local titles = {}
      for i = from, #path do titles[#titles + 1] = '"' .. path[i].title .. '"' end
      titles[#titles + 1] = '"' .. step.title .. '"'
      d:problem("E0304", path[#path].pos, "steps need each other: "
        .. table.concat(titles, " needs "), "take one of the needs out",
        { field = "needs" })
      return true
    end
    state[step] = "open"
    path[#path + 1] = step
    local found = false
    for _, needed in ipairs(step.needs_given and step.needs or {}) do
      found = visit(needed, path) or found
    end
    path[#path] = nil
    state[step] = "done"
    return found
  end
  for _, step in each_step(d) do
    local cyclic = visit(step, {})
    for i, needed in ipairs(step.needs_given and step.needs or {}) do
      local index = step.index or step.rescue_of.index
      if not cyclic and (not needed.index or needed.index >= index) then
        d:problem("E0303", step.pos, ('%s needs %s, which does not stand above '
          .. 'it'):format(named(step), named(needed)),
          "needs gates steps, it never reorders them",
          { field = "needs", inner = { item = i } })
      end
    end
  end
end

function rules.way_back_stays_on_this_side(d)
  for _, step in each_step(d) do
    local failure = step.on_failure or {}
    local index = step.index or step.rescue_of.index
    local at = { field = "on_failure" }
    if failure.kind == "undo to" then
      local to = failure.step
      if not to.index or to.index >= index then
        d:problem("E0309", step.pos, ("%s goes back to %s, which does not stand "
          .. "above it"):format(named(step), named(to)), nil, at)
      elseif step.line_before and step.line_before.index > to.index
        or to.kind == "ponr" then
        d:problem("E0311", step.pos, ("%s would undo across the point of no "
          .. "return \"%s\""):format(named(step),
          (to.kind == "ponr" and to or step.line_before).title),
          "behind the line there is \"stop\", \"ask\", \"undo this\" or rescue",
          at)
      end
    elseif failure.kind == "undo all" and step.line_before then
      d:problem("E0311", step.pos, ("%s would undo across the point of no "
        .. "return \"%s\""):format(named(step), step.line_before.title),
        "behind the line there is \"stop\", \"ask\", \"undo this\" or rescue",
        at)
    end
  end
end

local function overlap(a, b)
  return a == b or a:sub(1, #b + 1) == b .. "/" or b:sub(1, #a + 1) == a .. "/"
end

--- Two steps that may run at once must not work on the same thing.
function rules.one_owner_at_a_time(d)
  for _, item in ipairs(d.items) do
    local owners = {}
    for _, step in ipairs(item.kind == "parallel" and item.steps or {}) do
      for _, made in ipairs(goals_of(step)) do
        for _, other in ipairs(owners) do
          if other.step ~= step and made.subject and other.subject
            and overlap(made.subject, other.subject) then
            d:problem("E0312", step.pos, ('%s and %s work on %s at the same time')
              :format(named(step), named(other.step), made.subject),
              "put them one after the other", { field = "ensure" })
          end
        end
        owners[#owners + 1] = { step = step, subject = made.subject }
      end
    end
  end
end

function rules.ways_back_exist(d)
  for _, step in each_step(d) do
    if step.irreversible or step.line_before then goto continue end
    if step.apply and not step.undo and not step.ensure then
      d:problem("W0301", step.pos, named(step) .. " has no undo",
        "give it undo, or irreversible = \"why\"", { field = "apply" })
    end
    for _, made in ipairs(goals_of(step)) do
      if not made.def.where and not made:has "undo"
        and not made.def.irreversible then
        d:problem("W0301", step.pos, ('%s has no undo ("%s")'):format(
          named(step), made.title), "add irreversible = \"why\" to the step",
          { field = "ensure" })
      end
    end
    ::continue::
  end
end

--- A goal that no step ensures was probably meant to be one.
function rules.goals_are_used(d)
  if #d.problems > 0 then return end
  local used = {}
  for _, step in each_step(d) do
    for _, made in ipairs(goals_of(step)) do used[made] = true end
  end
  for _, made in ipairs(d.goals) do
    if not used[made] then
      d:problem("W0302", made.pos, ('nothing ensures the goal "%s"'):format(
        made.title), "write step \"...\" { ensure = ... }")
    end
  end
end

function rules.fields_stand_once(d)
  for file, text in next, d.sources do
    for _, call in ipairs(require "runbook.declare.outline".of(text).calls) do
      for _, field in ipairs(call.body and call.body.twice or {}) do
        d:problem("E0111", { file = file, line = field.line, col = field.col },
          ("'%s' is written twice in one table; the first is lost"):format(
          field.name))
      end
    end
  end
end

--- Names inside functions are looked up only when those run: here all are.
function rules.names_are_known(d)
  local told = {}
  for _, problem in ipairs(d.problems) do
    told[("%s:%s:%s"):format(problem.file, problem.line, problem.col)] = true
  end
  for file, stranger in next, d.strangers do
    local outline = require "runbook.declare.outline".of(d.sources[file])
    for _, token in ipairs(outline:free_names()) do
      local code, message, hint = stranger(token.text)
      if code and not told[("%s:%d:%d"):format(file, token.line, token.col)] then
        d:problem(code, { file = file, line = token.line, col = token.col },
          message, hint)
      end
    end
  end
end

function rules.readers_move_first(d) require "runbook.declare.order".check(d) end

local NAMES = {}
for name in next, rules do NAMES[#NAMES + 1] = name end
table.sort(NAMES)

--- Runs every rule over an arranged declaration.
---@param d tranship.Declaration
function M.run(d)
  for _, name in ipairs(NAMES) do rules[name](d) end
end

return M
