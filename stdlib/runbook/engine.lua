--- Drives runs: a new one, one that stopped, one that goes back. The way in is
-- entry.lua, forward is walk.lua, back is undo.lua, the way out ending.lua.

local err = require "base.err"
local archive = require "runbook.record.archive"
local answer = require "runbook.drive.answer"
local ending = require "runbook.drive.ending"
local entry = require "runbook.drive.entry"
local interrupt = require "runbook.drive.interrupt"
local needs = require "runbook.drive.needs"
local renewing = require "runbook.drive.renewing"
local runs = require "runbook.record.runs"
local selection = require "runbook.drive.selection"
local sessions = require "runbook.drive.session"
local shape = require "runbook.drive.shape"
local state = require "runbook.record.state"
local undo = require "runbook.drive.undo"
local walk = require "runbook.drive.walk"
local watching = require "runbook.drive.watching"

local M = {}

local GAP_CHOICES = { "finish", "undo this", "leave as is" }

---@class tranship.DriveOptions
---@field root string                 the state folder
---@field talk? fun(line: string)     for people; default stderr
---@field make_view? fun(session): table  the live view (runbook.show.view)
---@field terminal? tranship.Terminal
---@field no_wait? boolean            do not wait for approvals
---@field ask_each? boolean           ask before each step
---@field read_only? boolean
---@field select? table               only, skip, from, until_to
---@field given? table                parameters as given, for the archive
---@field recipes? string[]           folders of recipes, for the archive
---@field plan_hash? string           of the plan that was confirmed

-- A drive -------------------------------------------------------------------

local function gap_question(session)
  return function(work)
    if not session.terminal then return "finish" end
    local choice = session:choose(work.step, ("step %s is inside a gap; Ctrl-C "
      .. "again cancels it"):format(work.step.id), GAP_CHOICES)
    return choice == "leave as is" and "leave" or choice
  end
end

local function on_signal(session)
  return function(count, name)
    session.talk(count == 1
      and "stopping at the next safe point; once more: cancel"
      or "cancelling; once more: exit at once")
    if not session:is_mute() then
      session:record("signal", { name = name, count = count })
    end
  end
end

local function show(session, make_view)
  local view = make_view(session)
  session.view = view
  session:observe(function(record) view:record(record) end)
  session.on_progress = function(step, text)
    view:progress(step and step.id, text)
  end
  session.on_ask = function(step, asked) view:ask(asked.question, step.id) end
end

local function equip(session, book, options)
  session.book = shape.index(book)
  session.operator = sessions.operator()
  session.talk = options.talk or ending.talker(session)
  session.terminal = options.terminal
  session.no_wait, session.ask_each = options.no_wait, options.ask_each
  session.read_only = options.read_only
  session.interrupt = interrupt.new(on_signal(session), gap_question(session))
  if options.make_view then show(session, options.make_view) end
end

local function explain(thrown)
  if err.is(thrown) then return thrown end
  return err.new { kind = "bug", origin = "engine",
                   message = debug.traceback(tostring(thrown), 2) }
end

-- Runs `fn` with signals and view, then ends the drive whatever happened.
local function drive(session, fn)
  local _ <close> = session.interrupt:listen()
  local _ <close> = watching.start(session)
  local _ <close> = renewing.start(session)
  local done, verdict = xpcall(fn, explain)
  if not done then
    verdict = { exit = 1, outcome = "stopped", err = verdict,
                because = tostring(verdict) }
  end
  local exit = ending.finish(session, verdict)
  session:close()
  return exit
end

-- A new run -----------------------------------------------------------------

local function refuse(session, why)
  session:close()
  runs.discard(session.folder)
  return nil, why
end

local function forward(session, options)
  local verdict = walk.forward(session)
  local last = options.select and options.select.until_to
  if verdict.outcome == "done" and last then
    verdict.outcome, verdict.because = "stopped", "--until " .. last
      .. " is reached"
  end
  return verdict
end

--- Starts a run of a book and drives it. The plan was shown and confirmed.
---@async
---@param options tranship.DriveOptions
---@return integer? exit
---@return tranship.Err? err  refused before anything was written
function M.start(book, options)
  local selected, why = selection.of(shape.index(book), options.select)
  if not selected then return nil, why end
  local session
  session, why = sessions.create(options.root)
  if not session then return nil, why end
  equip(session, book, options)
  session.selected = selected
  local ready
  ready, why = entry.prepare(session, book, options)
  if not ready then return refuse(session, why) end
  return drive(session, function()
    entry.open(session, book, options, ready)
    return forward(session, options)
  end)
end

-- A run that is there already -------------------------------------------------

--- Loads the book a run executes: its own archived copy.
---@async
---@param more? table  further options for load.book
---@return tranship.Book? book
---@return tranship.Err|tranship.Problem[]|nil why
---@return string[]? changed  files that differ on disk now
function M.archived_book(folder, opened, more)
  local manifest, why = archive.load(folder.archive, opened.archive)
  if not manifest then return nil, why end
  local book
  book, why = require "runbook.load".book(manifest.file, {
    params = manifest.params, sources = manifest.sources,
    recipes = manifest.recipes, blind = more and more.blind, once = more and more.once,
  })
  if not book then return nil, why end
  return shape.index(book), nil, archive.changed(manifest)
end

local function say_changed(session, changed)
  if session.cut then
    session.talk("the last line of the journal was torn and is cut off")
  end
  for _, name in ipairs(changed or {}) do
    session.talk(name .. " differs from the copy this run executes")
  end
end

-- Equips an open session with its archived book; refusals close it.
local function ready(session, options, book)
  local changed, why
  if not book then
    book, why, changed = M.archived_book(session.folder, session.state.open)
    if not book then return nil, why end
  end
  equip(session, book, options)
  say_changed(session, changed)
  local select = session.state.open.options or {}
  select.until_to = options.select and options.select.until_to
  session.selected, why = selection.of(session.book, select)
  if not session.selected then return nil, why end
  local ids
  ids, why = entry.cluster_ids(session, session.book)
  if not ids then return nil, why end
  local ok
  ok, why = entry.same_clusters(session, ids)
  if not ok then return nil, why end
  return entry.claim(session, ids)
end

-- A closed run is over; only an undo opens one that is done.
local function may_open(session, how)
  local closed = session.state.closed
  if not closed or how == "undo" and closed.outcome == "done" then
    return true
  end
  return nil, err.new { kind = "closed", origin = "run",
    message = ("run %s is %s; there is nothing to go on with"):format(
      session.id, closed.outcome) }
end

local function drive_again(folder, options, book, how, fn)
  local session, why = sessions.open(folder)
  if not session then return nil, why end
  local ok
  ok, why = may_open(session, how)
  if ok then ok, why = ready(session, options, book) end
  if not ok then
    session:close()
    return nil, why
  end
  return drive(session, function()
    entry.enter(session, how)
    return fn(session)
  end)
end

local function drift_text(drifted)
  local lines = {}
  for _, one in ipairs(drifted) do
    lines[#lines + 1] = ("step %s is no longer so: %s: %s"):format(one.step.id,
      one.goal, answer.text(one.answer))
  end
  return table.concat(lines, "; ")
end

local function go_on(session, options)
  if session.state.direction == "back" then return undo.back(session) end
  local drifted, why = needs.drift(session, session.book)
  if not drifted then
    return { exit = 1, outcome = "stopped", err = why, because = tostring(why) }
  elseif #drifted > 0 then
    return { exit = 4, outcome = "drift", step = drifted[1].step,
             because = drift_text(drifted) }
  end
  return forward(session, options)
end

--- Goes on with a run, in the direction it had.
---@async
---@param book? tranship.Book  instead of the archived one (tests)
---@return integer? exit
---@return tranship.Err|tranship.Problem[]|nil why  refused
function M.resume(folder, options, book)
  return drive_again(folder, options, book, "resume", function(session)
    return go_on(session, options)
  end)
end

local function turn_round(session, options)
  local to = options.to and shape.find(session.book, options.to)
  if options.to and not to then
    return { exit = 4, outcome = "refused",
             because = "there is no step " .. options.to }
  end
  local scope = { scope = to and "to" or "all", step = to and to.id }
  if session.state.crossed and #undo.path(session, scope) == 0 then
    return { exit = 4, outcome = "refused", because = ("%s was crossed; "
      .. "nothing behind it is taken back"):format(session.state.crossed.title) }
  end
  undo.begin(session, scope.scope, to, "asked by the operator")
end

--- Turns a run round and takes it back; `options.to` is the step to stay at.
---@async
function M.undo(folder, options, book)
  return drive_again(folder, options, book, "undo", function(session)
    local refused = session.state.direction == "forward"
      and turn_round(session, options)
    return refused or undo.back(session)
  end)
end

--- A reader of the world without a run: for plans and checks.
---@param root string
---@param folded? tranship.RunState
function M.reader(root, folded)
  return sessions.reader(root, folded or state.new())
end

M.cluster_ids = entry.cluster_ids

return M
