--- Asking a goal's function or a question, and what its answer says.
-- Functions of scripts may return true or false, an answer table, or fail in
-- any way Lua can fail; out of here comes an answer or an error value.

local context = require "base.context"
local err = require "base.err"
local log = require "vm.log"
local task = require "vm.task"
local question = require "base.question"
local units = require "base.units"
local plain = require "runbook.record.plain"

local M = {}

M.QUIET_MS = 120000 -- of a reading in a step without a timeout

local function as_error(thrown)
  if err.is(thrown) then return thrown end
  local text = tostring(thrown)
  log.debug(debug.traceback(text, 2))
  return err.new { kind = "script", origin = "runbook", message = text }
end

--- Calls `fn(...)` under a context. A raised error value becomes `nil, err`,
-- a string error one of kind "script". A cancel passes through.
---@async
function M.call(within, fn, ...)
  local out = table.pack(xpcall(context.with, as_error, within, fn, ...))
  if not out[1] then return nil, out[2] end
  return table.unpack(out, 2, out.n)
end

-- A no is explained by the last no, a yes by everything that said yes.
local function from_evidence(answer, evidence)
  local shown, texts = nil, {}
  for _, seen in ipairs(evidence) do
    if seen.unsure then answer.unsure = answer.unsure or seen.unsure end
    if not seen.ok then shown = seen end
    texts[#texts + 1] = seen.text and plain.line(seen.text) or nil
  end
  if answer.ok and #evidence > 1 then
    answer.text = #texts > 0 and table.concat(texts, "; ") or nil
    answer.seen = evidence
  elseif #evidence > 0 then
    shown = shown or evidence[#evidence]
    answer.text, answer.seen, answer.want = shown.text, shown.seen, shown.want
  end
  return answer
end

local function shape(value, evidence)
  if type(value) == "boolean" then
    local answer = from_evidence({ ok = value }, evidence)
    if value then answer.unsure = nil end
    return answer
  elseif type(value) == "table" and value.ok ~= nil then
    return { ok = value.ok and true or false, unsure = value.unsure,
             seen = value.seen, want = value.want, text = value.text }
  end
end

--- Calls a reading; one that says nothing for too long, neither an answer nor
-- progress, is ended: a broker may be there and never answer.
local function bounded(within, quiet_ms, fn, ...)
  local heard, tell = task.now(), within.progress
  within.progress = function(text)
    heard = task.now()
    if tell then tell(text) end
  end
  local work <close> = task.spawn(M.call, within, fn, ...)
  while not work:is_done() do
    local left = heard + quiet_ms - task.now()
    if left <= 0 then
      return nil, err.new { kind = "timeout", origin = "runbook",
        retriable = true, message = ("no answer, and no sign of one, within %s; "
        .. "a step's timeout = allows more"):format(units.show_duration(quiet_ms)) }
    end
    local ticket = task.ticket()
    local _ <close> = task.timer(math.ceil(left), ticket)
    work:tell(ticket)
    task.park(ticket)
  end
  local out = table.pack(work:outcome())
  if not out[1] then return nil, out[2] end
  return table.unpack(out, 2, out.n)
end

--- Asks one reading function; evidence seen on the way fills a bare yes or no.
---@async
---@return tranship.Answer? answer, tranship.Err? err
function M.ask(session, step, fn, ...)
  local evidence = {}
  local within = session:context("check", step, {
    evidence = function(answer) evidence[#evidence + 1] = answer end,
  })
  local quiet_ms = step and step.timeout_ms or M.QUIET_MS
  local value, why = bounded(within, quiet_ms, fn, ...)
  if value == nil and why then return nil, why end
  local answer = shape(value, evidence)
  if not answer then
    return nil, err.new {
      kind = "script", origin = "runbook",
      message = ("a question was answered with %s; it must be true, false or "
        .. "{ ok =, seen =, want = }"):format(
          value == nil and "nothing" or plain.line(value)),
    }
  end
  return plain.copy(answer)
end

--- What has to be proved at the end of a step: its goals' verify functions and
-- its own questions.
---@return { title: string, steady_ms: integer, fn: function }[]
function M.proofs(step, goals, run_of)
  local list = {}
  for _, goal in ipairs(goals) do
    if goal:has "verify" then
      list[#list + 1] = {
        title = goal.title .. " (verified)", steady_ms = 0,
        fn = function() return goal:verify(run_of(goal)) end,
      }
    end
  end
  local own = step.verify
  if own and (type(own) == "function" or question.is(own)) then own = { own } end
  for at, item in ipairs(own or {}) do
    local declared = question.is(item)
    list[#list + 1] = {
      title = declared and item.title or "question " .. at,
      steady_ms = declared and item.steady_ms or 0,
      fn = declared and item.ask
        or function() return item(nil, run_of()) end,
    }
  end
  return list
end

--- An error in one line for people, without where it came from.
function M.why(why)
  if type(why) ~= "table" then return plain.line(tostring(why)) end
  return plain.line(why.message or tostring(why))
end

--- The text of an answer for one line.
function M.text(answer)
  if answer.text then return plain.line(answer.text) end
  if answer.unsure then return "unsure: " .. plain.line(answer.unsure) end
  if answer.seen ~= nil then
    local text = plain.line(answer.seen)
    if answer.want ~= nil then
      text = text .. ", wanted " .. plain.line(answer.want)
    end
    return text
  end
  return answer.ok and "yes" or "no"
end

return M
