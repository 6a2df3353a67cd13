--- Approvals: asked with the step's freshly made plan, answered by a person.
-- At the terminal one types the step's short name. From another shell, `tranship
-- approve RUN STEP` leaves a signed-off note in the run's inbox, which is
-- watched. No flag and no variable answers. An answer counts for the plan it
-- was given for, and until it expires.

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local closing = require "base.closing"

local M = { FORMAT = 1 }

local function expired(asked)
  return asked.expires ~= nil and sys.time() >= asked.expires
end

local function ended(asked, planned)
  if expired(asked) then return "approval.expired", "nobody answered in time" end
  if asked.plan ~= planned.hash then
    return "approval.void", "the plan changed"
  end
end

-- The question now open: the one still waiting from before, or a new one.
local function open_question(session, step, planned)
  local asked = session.state:step(step.id).approval.asked
  if asked then
    local kind, because = ended(asked, planned)
    if not kind then return asked end
    session:record(kind, { step = step.id, because = because })
  end
  local within = step.approve.within_ms
  return session:record("approval.asked", {
    step = step.id, question = step.approve.question, plan = planned.hash,
    lines = planned.lines, expires = within and sys.time() + within or nil,
  }, true)
end

local function matches(note, asked)
  return type(note) == "table" and note.format == M.FORMAT
    and note.step == asked.step and note.asked == asked.seq
    and note.plan == asked.plan
    and (note.answer == "given" or note.answer == "denied")
end

local function names_in(folder)
  local names = {}
  for _, name in ipairs(sys.list(folder) or {}) do
    if name:find "%.json$" then names[#names + 1] = name end
  end
  return names
end

--- Looks through the inbox for an answer to this question.
---@async
function M.in_inbox(folder, asked)
  for _, name in ipairs(names_in(folder.inbox)) do
    local note = json.decode(sys.read_file(folder.inbox .. "/" .. name) or "")
    if matches(note, asked) then
      return { answer = note.answer, who = note.who, how = "inbox",
               comment = note.comment, given_at = note.time }
    end
  end
end

--- Leaves an answer in a run's inbox; what the other shell does.
---@async
---@param answer "given"|"denied"
function M.leave(folder, asked, answer, who, comment)
  local name = ("%s/%d-%s.json"):format(folder.inbox, asked.seq,
                                        sys.hex(sys.random(4)))
  return sys.write_file(name, json.encode {
    format = M.FORMAT, run = folder.id, step = asked.step, asked = asked.seq,
    plan = asked.plan, answer = answer, who = who, comment = comment,
    time = sys.time(),
  }, { sync = true, atomic = true })
end

local function watch_inbox(session, asked, answers)
  local changes <close> = assert(sys.watch(session.folder.inbox))
  repeat
    local found = M.in_inbox(session.folder, asked)
    if found then return answers:push(found) end
  until not changes:next()
end

local function watch_terminal(session, step, answers)
  while true do
    local typed = session:read_line(step,
      ("type %s to approve, deny to refuse: "):format(step.id))
    if typed == step.id then
      return answers:push { answer = "given", who = session.operator,
                            how = "terminal" }
    elseif typed == "deny" then
      return answers:push { answer = "denied", who = session.operator,
                            how = "terminal" }
    end
  end
end

local function first_answer(session, step, asked)
  local answers, helpers = task.queue(), {}
  local _ <close> = closing(helpers)
  helpers[1] = task.spawn(watch_inbox, session, asked, answers)
  if session.terminal then
    helpers[#helpers + 1] = task.spawn(watch_terminal, session, step, answers)
  end
  if asked.expires then
    helpers[#helpers + 1] = task.spawn(function()
      task.sleep(math.max(0, asked.expires - sys.time()))
      answers:push { answer = "expired" }
    end)
  end
  return answers:pop()
end

--- Asks and waits. `no_wait` sessions return "waiting" when nobody has answered.
---@async
---@param planned { hash: string, lines: string[] }
---@return "given"|"denied"|"expired"|"waiting"
function M.ask(session, step, planned)
  local asked = open_question(session, step, planned)
  local found = M.in_inbox(session.folder, asked)
  if not found and session.no_wait then return "waiting" end
  if not found and session.on_ask then session.on_ask(step, asked) end
  found = found or first_answer(session, step, asked)
  if found.answer ~= "expired" and expired(asked)
     and (found.given_at or sys.time()) >= asked.expires then
    found = { answer = "expired" }
  end
  session:record("approval." .. found.answer, {
    step = step.id, who = found.who, how = found.how, comment = found.comment,
    given_at = found.given_at,
  }, true)
  return found.answer
end

return M
