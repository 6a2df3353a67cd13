--- Steps as the engine sees them: a list of goals, whatever they are made of.
-- `ensure` holds goals; functions written in the step itself make one more.

local question = require "base.question"

local M = {}

local Inline = { __name = "goal" }
Inline.__index = Inline

--- Functions of an inline goal: check, plan, apply, undo (verify stays with
-- the step, where questions are asked too).
function Inline:has(name)
  return name ~= "verify" and self.step[name] ~= nil
end

local function all_of(list, run)
  local last = true
  for _, item in ipairs(list) do
    local said, why
    if question.is(item) then said, why = item.ask()
    else said, why = item(nil, run) end
    if said == nil then return nil, why end
    last = said
    if said == false or type(said) == "table" and not said.ok then return said end
  end
  return last
end

for _, name in ipairs { "check", "plan", "apply", "undo" } do
  Inline[name] = function(self, run)
    local own = self.step[name]
    if type(own) == "table" and not question.is(own) then
      return all_of(own, run)
    elseif question.is(own) then
      return own.ask()
    end
    return own({}, run)
  end
end

local made = setmetatable({}, { __mode = "k" })

--- The goals of a step, in order.
---@param step tranship.Step
---@return tranship.Goal[]
function M.goals(step)
  if made[step] then return made[step] end
  local list = {}
  for _, goal in ipairs(step.ensure or {}) do list[#list + 1] = goal end
  if step.check or step.apply or step.plan or step.undo then
    list[#list + 1] = setmetatable({
      title = step.title, subject = "step/" .. step.id, args = {}, step = step,
    }, Inline)
  end
  made[step] = list
  return list
end

--- A step that only proves a moment: nothing to do, nothing to take back.
function M.is_attestation(step)
  return step.kind ~= "ponr" and #M.goals(step) == 0
end

--- True if `subject` is `about` or lies under it.
function M.covers(about, subject)
  return subject == about or subject:sub(1, #about + 1) == about .. "/"
end

--- Every step of a book by id, rescue steps included.
function M.index(book)
  local by_id, all = {}, {}
  local function add(step)
    if by_id[step.id] then return end
    by_id[step.id] = step
    all[#all + 1] = step
    local rescue = type(step.on_failure) == "table" and step.on_failure.steps
    for _, inner in ipairs(rescue or {}) do add(inner) end
  end
  for _, step in ipairs(book.steps) do add(step) end
  book.by_id, book.all_steps = by_id, all
  return book
end

--- Finds a step by id, number or title.
function M.find(book, name)
  if book.by_id[name] then return book.by_id[name] end
  for _, step in ipairs(book.all_steps) do
    if step.title == name or tostring(step.index) == name then return step end
  end
end

return M
