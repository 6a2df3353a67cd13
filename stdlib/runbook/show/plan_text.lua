--- A plan as people read it: per step what would change, before and after, the
-- way back, and where a plan ends because nobody can know more yet.

local units = require "base.units"
local json = require "vm.json"
local plain = require "runbook.record.plain"

local M = {}

local TITLE_WIDTH = 52
local INDENT = "        "

local SAYS = {
  found = "already so", done = "done in this run", proves = "proves",
  line = "", depends = "depends", problem = "CANNOT BE PLANNED",
  skipped = "left out",
}

-- "name=value name=value" of a flat table; anything deeper as JSON.
local function pairs_text(value)
  local names, parts = {}, {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    local shown = plain.line(value[name])
    if shown ~= "{}" then
      parts[#parts + 1] = ("%s=%s"):format(name, shown)
    end
  end
  return table.concat(parts, " ")
end

local function value_text(value)
  if value == nil or value == json.null or value == false then
    return "nothing"
  elseif type(value) == "table" then
    if value.unknown then return value.unknown end
    if #value == 0 then return pairs_text(value) end
  end
  return plain.line(value)
end

local function says(step)
  if step.status == "changes" or step.status == "depends" then
    local count = math.max(#step.effects, #step.lines)
    local text = ("%d change%s"):format(count, count == 1 and "" or "s")
    if step.status == "depends" then text = text .. ", and more" end
    return text
  end
  return SAYS[step.status] or step.status
end

local function add_effect(lines, effect)
  lines[#lines + 1] = ("%s~ %s"):format(INDENT,
                                       effect.summary or effect.primitive)
  if effect.before ~= nil or effect.after ~= nil then
    lines[#lines + 1] = ("%s    %s -> %s"):format(INDENT,
      value_text(effect.before), value_text(effect.after))
  end
  if effect.undo then
    lines[#lines + 1] = INDENT .. "    undo: " .. effect.undo
  end
  if effect.refused then
    lines[#lines + 1] = INDENT .. "    REFUSED by the server: "
      .. effect.refused.message
  end
end

local function add_details(lines, step)
  local function add(format, ...)
    lines[#lines + 1] = INDENT .. format:format(...)
  end
  if step.now and step.status ~= "found" then add("now: %s", step.now) end
  for _, effect in ipairs(step.effects) do add_effect(lines, effect) end
  for at = #step.effects + 1, #step.lines do add("~ %s", step.lines[at]) end
  if step.because then add("%s", step.because) end
  if step.note then add("note: %s", plain.line(step.note)) end
  if step.takes_ms then add("takes about %s", units.show_duration(step.takes_ms)) end
  for _, question in ipairs(step.questions) do add("? %s", question) end
  if step.approve then add("asks: %s", step.approve) end
  if step.undo and step.status ~= "found" then add("way back: %s", step.undo) end
end

--- The plan of one step as lines.
function M.step(step)
  local lines = {}
  if step.status == "line" then
    lines[1] = ("  ═══ point of no return ═══  %s"):format(step.title)
  else
    local named = step.title:sub(1, #step.id + 1) == step.id .. "."
    local head = "  " .. (named and step.title
      or ("%-4s  %s"):format(step.id, step.title))
    local width = utf8.len(head) or #head
    lines[1] = head .. (" "):rep(math.max(2, TITLE_WIDTH - width))
      .. says(step)
  end
  add_details(lines, step)
  return lines
end

-- "3 steps, 2 of them change something, 1 cannot be planned".
local function sum(plan)
  local parts, problems = { require "base.text".count(#plan.steps, "step") }, #M.problems(plan)
  if plan.changes > 0 then
    parts[2] = ("%d of them %s something"):format(plan.changes,
      plan.changes == 1 and "changes" or "change")
  elseif problems == 0 then
    parts[2] = "nothing to change"
  end
  if problems > 0 then parts[#parts + 1] = problems .. " cannot be planned" end
  return table.concat(parts, ", ")
end

--- The whole plan as text.
---@return string
function M.text(plan)
  local lines = { ("%s%s: %s"):format(plan.runbook,
    plan.version and " " .. plan.version or "", sum(plan)), "" }
  local group
  for _, step in ipairs(plan.steps) do
    if step.group ~= group then
      group = step.group
      if group then lines[#lines + 1] = "  side by side: " .. group end
    end
    for _, line in ipairs(M.step(step)) do lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n") .. "\n"
end

--- Steps that could not be planned, one line each.
function M.problems(plan)
  local list = {}
  for _, step in ipairs(plan.steps) do
    if step.status == "problem" then
      list[#list + 1] = ("step %s (%s): %s"):format(step.id, step.title,
                                                    step.because)
    end
  end
  return list
end

return M
