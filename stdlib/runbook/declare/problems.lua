--- Problems as people and programs read them.

local M = {}

--- Problems by file and place, errors before warnings at one place.
---@param problems tranship.Problem[]
function M.sort(problems)
  for i, problem in ipairs(problems) do problem.order = i end
  table.sort(problems, function(a, b)
    if (a.file or "") ~= (b.file or "") then
      return (a.file or "") < (b.file or "")
    elseif (a.line or 0) ~= (b.line or 0) then
      return (a.line or 0) < (b.line or 0)
    elseif (a.col or 0) ~= (b.col or 0) then
      return (a.col or 0) < (b.col or 0)
    end
    return a.order < b.order
  end)
  for _, problem in ipairs(problems) do problem.order = nil end
  return problems
end

local function place(problem)
  if not problem.line then return problem.file or "" end
  if not problem.col then return ("%s:%d"):format(problem.file, problem.line) end
  return ("%s:%d:%d"):format(problem.file, problem.line, problem.col)
end

--- "bus.lua:43:70 error E0107  step ... has no field 'retyr'; did you mean ...".
---@param problem tranship.Problem
---@param width? integer  of the place, so that several line up
---@return string
function M.line(problem, width)
  local text = problem.hint and problem.message .. "; " .. problem.hint
    or problem.message
  return ("%-" .. (width or 1) .. "s %-5s %s %s"):format(place(problem),
    problem.severity, problem.code, text)
end

---@return integer errors, integer warnings
function M.count(problems)
  local errors = 0
  for _, problem in ipairs(problems) do
    if problem.severity == "error" then errors = errors + 1 end
  end
  return errors, #problems - errors
end

--- All problems, and how many; without any, an empty text.
---@param problems tranship.Problem[]
---@return string
function M.text(problems)
  if #problems == 0 then return "" end
  local width, lines, worst = 0, {}, nil
  for _, problem in ipairs(problems) do
    width = math.max(width, math.min(#place(problem), 40))
    if problem.severity == "error" then worst = worst or problem.code end
  end
  for i, problem in ipairs(problems) do lines[i] = M.line(problem, width) end
  lines[#lines + 1] = ("%s, nothing was contacted.  `tranship explain %s` shows "
    .. "a worked example."):format(
    require "base.text".count(#problems, worst and "problem" or "warning"),
    worst or problems[1].code)
  return table.concat(lines, "\n") .. "\n"
end

return M
