--- Which steps a drive takes: --only, --skip, --from, --until.

local err = require "base.err"
local answer = require "runbook.drive.answer"
local run_context = require "runbook.drive.run_context"
local shape = require "runbook.drive.shape"

local M = {}

local function refused(format, ...)
  return nil, err.new { kind = "refused", origin = "run",
                        message = format:format(...) }
end

local function has(step, names)
  for _, wanted in ipairs(names) do
    if wanted == step.id then return true end
    for _, tag in ipairs(step.tags or {}) do
      if tag == wanted then return true end
    end
  end
  return false
end

local function place(step)
  return step.index or step.rescue_of and step.rescue_of.index or 0
end

--- A predicate over steps: true, or false and why a step is left out.
---@param select? { only?: string[], skip?: string[], from?: string, until_to?: string }
---@return (fun(step): boolean, string?)? selected
---@return tranship.Err? err
function M.of(book, select)
  select = select or {}
  local from, last
  if select.from then
    from = shape.find(book, select.from)
    if not from then
      return refused("no step %s in %s", select.from, book.name)
    end
  end
  if select.until_to then
    last = shape.find(book, select.until_to)
    if not last then
      return refused("no step %s in %s", select.until_to, book.name)
    end
  end
  return function(step)
    if from and place(step) < from.index then
      return false, "it is above --from " .. from.id
    elseif last and place(step) > last.index then
      return false, "it is below --until " .. last.id
    elseif select.only and not has(step, select.only) then
      return false, "it is not in --only"
    elseif select.skip and has(step, select.skip) then
      return false, "it is in --skip"
    end
    return true
  end
end

--- What --from leaves out must be so already.
---@async
function M.check_above(session, book, from)
  if not from then return true end
  local first = shape.find(book, from)
  for _, step in ipairs(book.steps) do
    if step == first then return true end
    for _, goal in ipairs(shape.goals(step)) do
      if goal:has "check" then
        local said, why = answer.ask(session, step, goal.check, goal,
                                     run_context.new(session, nil, step, goal))
        if not said then return nil, why end
        if not said.ok then
          return refused("--from %s leaves out step %s, which is not so: %s",
                         from, step.id, answer.text(said))
        end
      end
    end
  end
  return true
end

return M
