--- Journal records in words: one line each, for plain output, the live view
-- and the report's timeline. Kinds that say nothing to a person give nil.

local units = require "base.units"

local M = {}

---@class tranship.Line
---@field text string
---@field weight "news"|"detail"|"trouble"  how much a reader should care

local function news(text, ...) return { text = text:format(...), weight = "news" } end
local function detail(text, ...) return { text = text:format(...), weight = "detail" } end
local function trouble(text, ...) return { text = text:format(...), weight = "trouble" } end

local function because(rec)
  local why = rec.because or (rec.error and rec.error.message)
  return why and ": " .. why or ""
end

local function answer(rec)
  local a = rec.answer or {}
  local word = a.unsure and "unsure" or (a.ok and "yes" or "no")
  local why = a.unsure or a.text
  return why and ("%s (%s)"):format(word, why) or word
end

local function took(rec)
  return rec.took_ms and " in " .. units.show_duration(rec.took_ms) or ""
end

local LEFT = { done = news, failed = trouble, stopped = trouble }
local HOW = { found = "was so already", applied = "done", proved = "proved",
              settled = "settled by hand" }

local on = {
  ["run.open"] = function(r)
    return news("run %s of %s %s by %s", r.run, r.runbook, r.version or "",
                r.operator or "?")
  end,
  ["run.drive"] = function(r)
    if r.how == "run" then return end
    return news("%s by %s", r.how == "undo" and "taken back" or "resumed",
                r.operator or "?")
  end,
  ["step.skip"] = function(r) return detail("skipped%s", because(r)) end,
  ["step.enter"] = function(r)
    return detail(r.proof and "proving it again" or "begins")
  end,
  ["check.answer"] = function(r) return detail("already so? %s", answer(r)) end,
  ["verify.answer"] = function(r)
    local line = detail("%s? %s", r.question or "really so", answer(r))
    return line
  end,
  ["step.retry"] = function(r)
    return trouble("try %d failed%s; again in %s", r.try or 1, because(r),
                   units.show_duration(r.wait_ms or 0))
  end,
  ["step.leave"] = function(r)
    local say = LEFT[r.state] or detail
    local word = r.state == "done" and HOW[r.how] or r.state
    return say("%s%s%s", word or "done", took(r), because(r))
  end,
  ["step.passed"] = function() return trouble("goes on in spite of that") end,
  ["approval.asked"] = function(r) return news("asks: %s", r.question) end,
  ["approval.given"] = function(r)
    return news("approved by %s (%s)", r.who, r.how or "?")
  end,
  ["approval.denied"] = function(r)
    return trouble("denied by %s%s", r.who,
                   r.comment and ": " .. r.comment or "")
  end,
  ["approval.expired"] = function() return trouble("nobody approved in time") end,
  ["approval.void"] = function(r) return trouble("approval void%s", because(r)) end,
  ["effect.intent"] = function(r)
    return detail("%s", r.summary or r.primitive .. " " .. r.target)
  end,
  ["effect.outcome"] = function(r)
    if r.ok then return end
    return trouble("that failed%s", because(r))
  end,
  ["owed.open"] = function(r)
    return news(r.debt == "gap" and "gap opens: %s" or "owed: %s", r.title)
  end,
  ["owed.paid"] = function(r)
    return news(r.debt == "gap" and "gap closed after %s: %s"
                or "paid after %s: %s",
                units.show_duration(r.took_ms or 0), r.title)
  end,
  ["ponr.crossed"] = function() return news("the point of no return is crossed") end,
  ["undo.begin"] = function(r) return trouble("going back%s", because(r)) end,
  ["undo.enter"] = function() return news("taking it back") end,
  ["undo.leave"] = function(r)
    if r.idle then return nil end              -- there was nothing to take back
    local say = r.state == "undo failed" and trouble or news
    return say("%s%s%s", r.state, took(r), because(r))
  end,
  ["undo.end"] = function(r) return news("the way back ends: %s", r.state or "done") end,
  settle = function(r)
    return news("settled as %s by %s%s", r.as, r.who or "?", because(r))
  end,
  signal = function(r) return trouble("signal %s", r.name) end,
  log = function(r) return detail("%s", r.text) end,
  bridge = function(r)
    -- `text` alone says whether it copies, its lag and how to stop it.
    local text = r.text or "state unknown"
    return news("%s%s", text:find "^bridge " and "" or "bridge " .. r.bridge .. ": ", text)
  end,
  ["run.stop"] = function(r) return trouble("%s%s", r.outcome or "stopped", because(r)) end,
  ["run.close"] = function(r) return news("run closed: %s", r.outcome) end,
}

--- A record in words, or nil when it says nothing to a person.
---@param record tranship.Record
---@return tranship.Line?
function M.line(record)
  local say = on[record.kind]
  return say and say(record)
end

return M
