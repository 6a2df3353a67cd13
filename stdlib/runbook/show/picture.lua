--- The live picture of a run: one line per step, the present ones unfolded,
-- below them what is owed, the way back and the lag. Pure: folded state and a
-- clock in, lines out.

local time = require "base.time"
local units = require "base.units"

local M = {}

local MARK = {
  pending = "..", skipped = "--", checking = ">>", applying = ">>",
  verifying = ">>", asking = "??", done = "ok", failed = "!!", stopped = "!!",
  undoing = "<<", undone = "un", kept = "ok", paid = "ok",
  ["undo failed"] = "!!",
}
local COLOR = { ok = "32", [">>"] = "36", ["??"] = "33", ["!!"] = "31",
                ["<<"] = "33", un = "33", ["--"] = "2", [".."] = "2" }

local OPEN = { checking = true, applying = true, verifying = true,
               asking = true, undoing = true }

local function paint(o, code, text)
  if not o.color or not code then return text end
  return "\27[" .. code .. "m" .. text .. "\27[0m"
end

-- Cuts to `width` characters (not bytes), so that no line ever wraps.
local function fit(text, width)
  local length = utf8.len(text)
  if not length then return text:sub(1, width) end
  if length <= width then return text end
  return text:sub(1, utf8.offset(text, width) - 1) .. "…"
end

local function clock(ms)
  local s = ms // 1000
  if s >= 3600 then
    return ("%d:%02d:%02d"):format(s // 3600, s % 3600 // 60, s % 60)
  end
  return ("%02d:%02d"):format(s // 60, s % 60)
end

local function time_of(o, step)
  local since = step.state == "undoing" and step.undo_at or step.entered_at
  if OPEN[step.state] then
    return since and clock(math.max(0, o.now - since)) or ""
  end
  return step.took_ms and units.show_duration(step.took_ms) or ""
end

local function remark_of(o, step)
  if step.state == "asking" then return "approval 0/1" end
  if step.sealed then return "sealed" end
  local owed = o.state:debts("gap", step.id)[1]
  if owed then
    return ("gap: %s for %s"):format(owed.title, clock(o.now - owed.time))
  end
  if step.how == "found" then return "was so already" end
  if step.how == "settled" then return "settled by hand" end
  if step.state == "skipped" then return step.because or "" end
  return ""
end

-- The id stands before it: "6a. Move the consumer" without its number.
local function bare_title(declared)
  return (declared.title:gsub("^[%w%-]+%.%s+", ""))
end

local function step_line(o, declared, step)
  local mark = MARK[step.state] or "  "
  local text = fit(("%-5s %-44s %8s  %s"):format(declared.id,
    fit(bare_title(declared), 44), time_of(o, step),
    remark_of(o, step)), o.width - 4)
  return " " .. paint(o, COLOR[mark], mark .. " " .. text:gsub("%s+$", ""))
end

local function line_of_no_return(o, declared, step)
  local text = "══ " .. bare_title(declared)
    .. (o.state.crossed and " ══ crossed ══" or " ══")
  local mark = MARK[step.state]
  return " " .. paint(o, COLOR[mark], mark .. " "
    .. fit(("%-5s %s"):format(declared.id, text), o.width - 4))
end

local function below(o, step, lines)
  local why = step.error and step.error.message
  if why and (step.state == "failed" or step.state == "stopped"
              or step.state == "undo failed") then
    lines[#lines + 1] = "          " .. paint(o, "31", fit(why, o.width - 10))
  end
  local progress = o.progress[step.id]
  if progress and OPEN[step.state] then
    lines[#lines + 1] = "          " .. fit(progress, o.width - 10)
  elseif OPEN[step.state] and step.seen and step.seen.text then
    lines[#lines + 1] = "          " .. fit(step.seen.text, o.width - 10)
  end
end

local function head(o)
  local open = o.state.open or {}
  local driver = (o.state.driver or open).operator or ""
  local text = ("%s %s   run %s  %s   driver %s"):format(o.book.name,
    o.book.version or "", o.run_id, time.day_clock(o.now),
    driver)
  return paint(o, "1", fit(text, o.width))
end

local function foot(o)
  local f, parts = o.footer or {}, {}
  if f.owed and #f.owed > 0 then
    parts[#parts + 1] = "owed: " .. table.concat(f.owed, "; ")
  end
  if f.way_back and #f.way_back > 0 then
    parts[#parts + 1] = "way back: " .. table.concat(f.way_back, ", ")
  end
  if f.lag then
    parts[#parts + 1] = f.max_lag and ("lag %d (max %d)"):format(f.lag, f.max_lag)
      or ("lag %d"):format(f.lag)
  end
  if #parts == 0 then return end
  return fit(table.concat(parts, "      "), o.width)
end

-- What is over, or not yet begun, gives way when the screen is too low.
local function squeeze(o, rows, height)
  local total = 0
  for _, row in ipairs(rows) do total = total + #row.lines end
  for _, over in ipairs { "ok", ".." } do
    local ids = {}
    for _, row in ipairs(rows) do
      if total + 1 <= height and #ids == 0 then break end
      if row.mark == over and total >= height then
        ids[#ids + 1] = row.id
        total = total - #row.lines
        row.lines = {}
      end
    end
    if #ids > 0 then
      total = total + 1
      rows[#rows + 1] = { at = over, lines = {
        " " .. paint(o, COLOR[over], fit(over .. " " .. table.concat(ids, " "),
                                         o.width - 2)) } }
    end
  end
  return rows
end

local function flatten(rows)
  local first, middle, last = {}, {}, {}
  for _, row in ipairs(rows) do
    local into = row.at == "ok" and first or row.at == ".." and last or middle
    table.move(row.lines, 1, #row.lines, #into + 1, into)
  end
  table.move(middle, 1, #middle, #first + 1, first)
  return table.move(last, 1, #last, #first + 1, first)
end

--- The picture as lines, at most `height` of them where that can be done.
---@param o table  book, run_id, state (folded), progress (text by step), footer, now
-- (wall ms), color, width, height, question? ({ text, step })
---@return string[]
function M.lines(o)
  local rows = {}
  local function row(declared)
    local step = o.state.steps[declared.id]
      or { id = declared.id, state = "pending" }
    local lines = { (declared.kind == "ponr" and line_of_no_return
                     or step_line)(o, declared, step) }
    below(o, step, lines)
    rows[#rows + 1] = { lines = lines, mark = MARK[step.state],
                        id = declared.id }
    local rescue = declared.on_failure and declared.on_failure.steps or {}
    for _, extra in ipairs(rescue) do
      if o.state.steps[extra.id] then row(extra) end
    end
  end
  for _, declared in ipairs(o.book.steps) do row(declared) end

  local tail = {}
  if o.question then
    tail[#tail + 1] = ""
    tail[#tail + 1] = paint(o, "33;1", fit(o.question.text, o.width))
    tail[#tail + 1] = o.question.step and fit(("type %s to approve, or: "
      .. "tranship approve %s %s"):format(o.question.step, o.run_id,
      o.question.step), o.width)
  end
  tail[#tail + 1] = foot(o)
  local lines = flatten(squeeze(o, rows, o.height - 1 - #tail))
  table.insert(lines, 1, head(o))
  return table.move(tail, 1, #tail, #lines + 1, lines)
end

return M
