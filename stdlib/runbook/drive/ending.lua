--- The way out of a drive: loans paid, debts counted, bridges looked at, the
-- last record written, and the last words said. Every exit goes through here.

local time = require "base.time"
local sys = require "vm.sys"
local task = require "vm.task"
local plain = require "runbook.record.plain"
local runs = require "runbook.record.runs"
local undo = require "runbook.drive.undo"

local M = {}

local BRIDGE_LIMIT_MS = 10 * 1000
local BY_PEOPLE = { fire = true, append = true }

-- Effects in doubt that no rule settles: a person has to say.
local function doubt_for_people(state)
  for _, intent in ipairs(state:in_doubt()) do
    if BY_PEOPLE[intent.resume] then return intent end
  end
end

local function has_failed_undo(state)
  for _, step in pairs(state.steps) do
    if step.state == "undo failed" then return true end
  end
end

--- The exit code, after debts: an open gap, a loan unpaid, an effect only a
-- person can settle, or a failed undo make it 7.
local function exit_code(session, verdict)
  local state = session.state
  if #state:debts() > 0 or doubt_for_people(state)
     or has_failed_undo(state) then
    return 7
  end
  return verdict.exit
end

-- Bridges outlive runs: every exit says what they do now.
local function look_at(session, bridge)
  local status, why = task.deadline(BRIDGE_LIMIT_MS, function()
    return session:reading(nil, bridge.status, bridge)
  end)
  if not status then
    return { bridge = bridge.name,
             text = "cannot be asked: " .. tostring(why) }
  end
  local copying = status.alive or status.copying or false
  local text = copying and "still copying" or "not copying"
  if status.pid then text = text .. (", pid %s"):format(status.pid) end
  if status.lag then text = text .. (", lag %s"):format(status.lag) end
  return { bridge = bridge.name, copying = copying, lag = status.lag,
           pid = status.pid, text = status.text or text }
end

--- What each bridge of the book does now.
---@async
function M.bridges(session)
  local list = {}
  for _, bridge in ipairs(session.book.bridges or {}) do
    if type(bridge.status) == "function" then
      local ok, seen = pcall(look_at, session, bridge)
      list[#list + 1] = ok and seen
        or { bridge = bridge.name, text = "cannot be asked: " .. tostring(seen) }
    end
  end
  return list
end

-- Nothing was ever changed, so nothing needs to be kept from others.
local function touched_nothing(state)
  if #state:debts() > 0 or state.crossed then return false end
  for _, step in pairs(state.steps) do
    if #step.intents > 0 then return false end
  end
  return true
end

local function closing(session, verdict, exit)
  if exit == 0 and verdict.outcome == "done" then return "done" end
  if exit == 5 and not session.state.crossed
     and verdict.scope == "all" then
    return "undone"
  end
end

--- What to type next.
---@return string[]
function M.next_commands(session, verdict, exit)
  local id, state = session.id, session.state
  local step = verdict.step and verdict.step.id
  if state.closed then return { "tranship report " .. id } end
  local list = {}
  local asking = step and state:step(step).approval.asked
  local doubt = doubt_for_people(state)
  if asking then
    list[#list + 1] = ("tranship approve %s %s"):format(id, step)
  elseif doubt then
    list[#list + 1] = ("tranship settle %s %s --as done|not-done --because "
      .. "\"...\""):format(id, doubt.step)
  elseif verdict.outcome == "undo failed" then
    list[#list + 1] = ("tranship settle %s %s --as undone --because \"...\"")
      :format(id, step)
  end
  list[#list + 1] = "tranship resume " .. id
  if state.direction == "forward" and #state:way_back(session.book) > 0 then
    list[#list + 1] = "tranship undo " .. id
  end
  return list
end

local WORDS = {
  [0] = "done", [1] = "stopped", [4] = "refused", [5] = "undone",
  [6] = "waiting", [7] = "a person is needed",
}

local function word_of(verdict, exit)
  if exit == 0 then return verdict.outcome end
  return WORDS[exit] or verdict.outcome
end

local function say_debts(say, state)
  for _, owed in ipairs(state:debts()) do
    say("OWED   %s (%s, since %s)", owed.title,
        owed.debt == "gap" and "the gap of step " .. owed.step
        or "loan of step " .. owed.step,
        time.date(owed.time))
  end
  for _, intent in ipairs(state:in_doubt()) do
    say("DOUBT  %s (step %s, record %d)", intent.summary or intent.primitive,
        intent.step, intent.seq)
  end
end

--- The last lines of every drive, for people.
local function last_words(session, verdict, exit, bridges)
  local function say(format, ...)
    session.talk(plain.line(format:format(...)))
  end
  local where = verdict.step and (", at step %s (%s)"):format(verdict.step.id,
                                                     verdict.step.title) or ""
  say("run %s %s%s%s", session.id, word_of(verdict, exit), where,
      verdict.because and ": " .. verdict.because or "")
  if verdict.failed then say("failed: step %s", verdict.failed.id) end
  for _, id in ipairs(verdict.kept or {}) do
    say("kept: step %s has no way back", id)
  end
  say_debts(say, session.state)
  for _, bridge in ipairs(bridges) do
    local named = bridge.text:find("^bridge ")
    say("%s%s", named and "" or "bridge " .. bridge.bridge .. ": ", bridge.text)
  end
  for at, command in ipairs(M.next_commands(session, verdict, exit)) do
    say("%s%s", at == 1 and "next:  " or "   or  ", command)
  end
end

local function write_end(session, verdict, exit, bridges)
  for _, seen in ipairs(bridges) do session:record("bridge", seen) end
  local outcome = closing(session, verdict, exit)
  local fields = {
    exit = exit, outcome = outcome or word_of(verdict, exit),
    step = verdict.step and verdict.step.id, because = verdict.because,
    error = plain.error(verdict.err), kept = verdict.kept,
  }
  session:record(outcome and "run.close" or "run.stop", fields, true)
  if outcome or touched_nothing(session.state) then
    runs.release(session.folder)
  end
end

--- Ends the drive and returns the exit code.
---@async
---@param verdict tranship.Verdict
function M.finish(session, verdict)
  local mute = session:is_mute()
  if not mute and verdict.outcome ~= "undo failed" then
    local ok, paid, why = pcall(undo.pay_loans, session)
    if ok and not paid and why then
      session.talk("a loan could not be paid: " .. tostring(why))
    end
  end
  local exit = exit_code(session, verdict)
  local bridges = M.bridges(session)
  if not session:is_mute() then
    local ok, why = pcall(write_end, session, verdict, exit, bridges)
    if not ok then session.talk(tostring(why)) end
  end
  if session.view then session.view:close() end
  session.view_closed = true
  last_words(session, verdict, exit, bridges)
  return exit
end

--- Says a line to the person, above the live view while there is one.
function M.talker(session)
  return function(text)
    local view = session.view
    if view and view.say and not session.view_closed then return view:say(text) end
    sys.errout(text .. "\n")
  end
end

return M
