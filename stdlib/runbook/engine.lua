--- Drives runs: a new one, one that stopped, one that goes back. Here stands
-- the order of things on the way in: plan, confirm, folder, claim, archive,
-- baseline; on resume: lock, chain, archive, clusters, drift. The way out is
-- ending.lua.

local err = require "base.err"
local sys = require "vm.sys"
local task = require "vm.task"
local archive = require "runbook.archive"
local ending = require "runbook.ending"
local interrupt = require "runbook.interrupt"
local journal = require "runbook.journal"
local needs = require "runbook.needs"
local runs = require "runbook.runs"
local sessions = require "runbook.session"
local shape = require "runbook.shape"
local undo = require "runbook.undo"
local version = require "runbook.version"
local walk = require "runbook.walk"

local M = {}

local TICK_MS = 1000
local GAP_CHOICES = { "finish", "undo this", "leave as is" }

---@class tranship.DriveOptions
---@field root string                 the state folder
---@field talk? fun(line: string)     for people; default stderr
---@field view? table                 live view (runbook.view)
---@field terminal? tranship.Terminal
---@field no_wait? boolean            do not wait for approvals
---@field ask_each? boolean           ask before each step
---@field read_only? boolean
---@field select? table               only, skip, from, until_to
---@field given? table                parameters as given, for the archive

local function refused(why, exit)
  return nil, err.is(why) and why or err.new {
    kind = "refused", origin = "run", message = tostring(why),
  }, exit
end

-- Readings before anything begins ---------------------------------------------

--- Ids of the clusters, as they answer now.
local function cluster_ids(session, book)
  local ids = {}
  for _, cluster in ipairs(book.clusters or {}) do
    if type(cluster.id) == "function" then
      local id, why = session:reading(nil, cluster.id, cluster)
      if not id then return nil, why end
      ids[cluster.name] = id
    end
  end
  return ids
end

local function groups_of(workload)
  local group = workload.group
  if type(group) == "table" then return group end
  return group and { group } or {}
end

-- Sizes and positions as they are before the run touches anything.
local function take_baseline(session, book)
  local taken = { workloads = {}, groups = {} }
  for _, workload in ipairs(book.workloads or {}) do
    if type(workload.baseline) == "function" then
      local value, why = workload:baseline()
      if value == nil then return nil, why end
      taken.workloads[workload.name] = value
    end
    for _, cluster in ipairs(book.clusters or {}) do
      local known = taken.groups[cluster.name] or {}
      taken.groups[cluster.name] = known
      for _, group in ipairs(groups_of(workload)) do
        if type(cluster.group_offsets) == "function" then
          local offsets, why = cluster:group_offsets(group)
          if not offsets and why.kind ~= "not found" then return nil, why end
          known[group] = offsets or {}
        end
      end
    end
  end
  return taken
end

-- Selection --------------------------------------------------------------------

local function has_tag(step, tags)
  for _, tag in ipairs(step.tags or {}) do
    for _, wanted in ipairs(tags) do
      if tag == wanted then return true end
    end
  end
  for _, wanted in ipairs(tags) do
    if wanted == step.id then return true end
  end
  return false
end

--- Which steps --only, --skip and --from leave in.
---@return (fun(step): boolean, string?)?
---@return tranship.Err? err
function M.selector(book, select)
  select = select or {}
  local from, last
  for name, value in pairs { from = select.from, until_to = select.until_to } do
    local step = shape.find(book, value)
    if not step then
      return refused(("no step %s in %s"):format(value, book.name))
    end
    if name == "from" then from = step else last = step end
  end
  return function(step)
    local index = step.index or step.rescue_of and step.rescue_of.index or 0
    if from and index < from.index then return false, "before --from" end
    if last and index > last.index then return false, "after --until" end
    if select.only and not has_tag(step, select.only) then
      return false, "not in --only"
    end
    if select.skip and has_tag(step, select.skip) then
      return false, "in --skip"
    end
    return true
  end
end

-- What --from leaves out must be so already.
local function check_left_out(session, book, from)
  if not from then return true end
  local first = shape.find(book, from)
  local answer = require "runbook.answer"
  local run_context = require "runbook.run_context"
  for _, step in ipairs(book.steps) do
    if step == first then return true end
    for _, goal in ipairs(shape.goals(step)) do
      if goal:has "check" then
        local said, why = answer.ask(session, step, goal.check, goal,
                                     run_context.new(session, nil, step, goal))
        if not said then return refused(why) end
        if not said.ok then
          return refused(("--from %s leaves out step %s, which is not so: %s")
            :format(from, step.id, answer.text(said)))
        end
      end
    end
  end
  return true
end

-- A drive ------------------------------------------------------------------------

local function gap_question(session)
  return function(work)
    if not session.terminal then return "finish" end
    local choice = session.terminal:choose(
      ("step %s is inside a gap; Ctrl-C again cancels it"):format(work.step.id),
      GAP_CHOICES)
    return choice == "leave as is" and "leave" or choice
  end
end

local function equip(session, book, options)
  session.book = shape.index(book)
  session.operator = sessions.operator()
  session.talk = options.talk or ending.talker()
  session.terminal, session.view = options.terminal, options.view
  session.no_wait, session.ask_each = options.no_wait, options.ask_each
  session.read_only = options.read_only
  session.interrupt = interrupt.new(function(count, name)
    session.talk(count == 1 and "stopping at the next safe point; again: cancel"
                 or "cancelling; again: exit now")
    if not session:is_mute() then
      session:record("signal", { name = name, count = count })
    end
  end, gap_question(session))
  local view = options.view
  if view then
    session:observe(function(record) view:record(record) end)
    session.on_progress = function(step, text)
      view:progress(step and step.id, text)
    end
    session.on_ask = function(step, asked)
      view:ask(asked.question, step.id)
    end
  end
  return session
end

local function footer(session)
  local owed, back = {}, {}
  for _, one in ipairs(session.state:debts()) do owed[#owed + 1] = one.title end
  for _, step in ipairs(session.state:way_back(session.book)) do
    back[#back + 1] = step.id
  end
  return { owed = owed, way_back = back }
end

local function ticker(session)
  if not session.view then return nil end
  return task.spawn(function()
    while true do
      task.sleep(TICK_MS)
      session.view:footer(footer(session))
      session.view:tick()
    end
  end)
end

-- Runs `fn` with signals and view, then ends the drive whatever happened.
local function drive(session, fn)
  local _ <close> = session.interrupt:listen()
  local ticking = ticker(session)
  local done, verdict = xpcall(fn, function(thrown)
    if err.is(thrown) then return thrown end
    return err.new { kind = "bug", origin = "engine",
                     message = debug.traceback(tostring(thrown), 2) }
  end)
  if not done then
    verdict = { exit = 1, outcome = "stopped", err = verdict,
                because = tostring(verdict) }
  end
  if ticking then ticking:cancel() end
  local exit = ending.finish(session, verdict)
  if session.view then session.view:close() end
  session:close()
  return exit
end

local function enter(session, how)
  session:record("run.drive", { how = how, operator = session.operator,
                                pid = sys.pid(), build = version.BUILD }, true)
end

local function claim(session, ids, since)
  return runs.claim(session.folder.root, session.folder, {
    subjects = runs.subjects(session.book, ids), operator = session.operator,
    runbook = session.book.name, since = since or sys.time(),
  })
end

local function public_params(session, book)
  local out = {}
  for name, param in pairs(book.params or {}) do
    out[name] = { kind = param.kind, value = session:public(param.value) }
  end
  return out
end

-- Everything that may still refuse happens before the first record.
local function prepare(session, book, options)
  local ids, why = cluster_ids(session, book)
  if not ids then return refused(why) end
  local ok
  ok, why = check_left_out(session, book, options.select and options.select.from)
  if not ok then return refused(why) end
  local baseline
  baseline, why = session:reading(nil, take_baseline, session, book)
  if not baseline then return refused(why) end
  ok, why = claim(session, ids)
  if not ok then return refused(why) end
  local hash
  hash, why = archive.store(session.folder.archive, book, options.given)
  if not hash then return refused(why) end
  return { ids = ids, baseline = baseline, hash = hash }
end

local function open(session, book, options, ready)
  session:record("run.open", {
    format = journal.FORMAT, build = version.BUILD, run = session.id,
    runbook = book.name, version = book.version, owner = book.owner,
    file = book.file, archive = ready.hash, fingerprint = book.fingerprint,
    params = public_params(session, book), clusters = ready.ids,
    operator = session.operator, options = options.select,
    plan = options.plan_hash,
  }, true)
  enter(session, "run")
  session:record("baseline", { value = ready.baseline }, true)
end

--- Starts a run of a book and drives it. The plan was shown and confirmed.
---@async
---@param options tranship.DriveOptions
---@return integer? exit
---@return tranship.Err? err  refused before anything was written
function M.start(book, options)
  local selected, why = M.selector(shape.index(book), options.select)
  if not selected then return nil, why end
  local session
  session, why = sessions.create(options.root)
  if not session then return nil, why end
  equip(session, book, options)
  session.selected = selected
  local ready
  ready, why = prepare(session, book, options)
  if not ready then
    session:close()
    runs.discard(session.folder)
    return nil, why
  end
  return drive(session, function()
    open(session, book, options, ready)
    if options.on_open then options.on_open(session) end
    local verdict = walk.forward(session)
    if verdict.outcome == "done" and options.select
       and options.select.until_to then
      verdict.outcome = "stopped"
      verdict.because = "--until " .. options.select.until_to .. " is reached"
    end
    return verdict
  end)
end

-- Resuming -----------------------------------------------------------------------

local function same_clusters(session, ids)
  for name, id in pairs(session.state.open.clusters or {}) do
    if ids[name] and ids[name] ~= id then
      return refused(("cluster %s was %s when this run began and answers as %s")
        :format(name, id, ids[name]))
    end
  end
  return true
end

--- Loads the book a run executes: its own archived copy.
---@async
---@return tranship.Book? book
---@return tranship.Err|tranship.Problem[]|nil why
---@return string[]? changed  files that differ on disk now
function M.archived_book(folder, opened)
  local manifest, why = archive.load(folder.archive, opened.archive)
  if not manifest then return nil, why end
  local book
  book, why = require("runbook.load").book(manifest.file, {
    params = manifest.params, sources = manifest.sources,
  })
  if not book then return nil, why end
  return book, nil, archive.changed(manifest)
end

local function reopen(folder, options, book)
  local session, why = sessions.open(folder)
  if not session then return refused(why) end
  local changed
  if not book then
    book, why, changed = M.archived_book(folder, session.state.open)
    if not book then
      session:close()
      return refused(why)
    end
  end
  equip(session, book, options)
  if session.cut then
    session.talk("the last line of the journal was torn and is cut off")
  end
  for _, name in ipairs(changed or {}) do
    session.talk(name .. " differs from the copy this run executes")
  end
  local select = session.state.open.options or {}
  select.until_to = options.select and options.select.until_to
  session.selected, why = M.selector(session.book, select)
  if not session.selected then
    session:close()
    return refused(why)
  end
  return session
end

local function reclaim(session)
  local ids, why = cluster_ids(session, session.book)
  if not ids then return refused(why) end
  local ok
  ok, why = same_clusters(session, ids)
  if not ok then return nil, why end
  return claim(session, ids, session.state.open.time)
end

local function say_drift(session, drifted)
  local answer = require "runbook.answer"
  local lines = {}
  for _, one in ipairs(drifted) do
    lines[#lines + 1] = ("step %s is no longer so: %s: %s"):format(one.step.id,
      one.goal, answer.text(one.answer))
  end
  return table.concat(lines, "; ")
end

local function go_on(session)
  if session.state.direction == "back" then return undo.back(session) end
  local drifted, why = needs.drift(session, session.book)
  if not drifted then
    return { exit = 1, outcome = "stopped", err = why, because = tostring(why) }
  elseif #drifted > 0 then
    return { exit = 4, outcome = "drift", step = drifted[1].step,
             because = say_drift(session, drifted) }
  end
  return walk.forward(session)
end

local function drive_again(folder, options, book, how, fn)
  local session, why = reopen(folder, options, book)
  if not session then return nil, why end
  local ok
  ok, why = reclaim(session)
  if not ok then
    session:close()
    return nil, why
  end
  return drive(session, function()
    enter(session, how)
    if options.on_open then options.on_open(session) end
    return fn(session)
  end)
end

--- Goes on with a run, in the direction it had.
---@async
---@param book? tranship.Book  instead of the archived one (tests)
function M.resume(folder, options, book)
  return drive_again(folder, options, book, "resume", go_on)
end

--- Turns a run round and takes it back; `options.to` is the step to stay at.
---@async
function M.undo(folder, options, book)
  return drive_again(folder, options, book, "undo", function(session)
    local state = session.state
    if state.direction == "forward" then
      local to = options.to and shape.find(session.book, options.to)
      undo.begin(session, to and "to" or "all", to, "asked by the operator")
    end
    return undo.back(session)
  end)
end

--- A reader of the world without a run: for plans and checks.
---@param root string
---@param state? tranship.RunState
function M.reader(root, state) return sessions.reader(root, state) end

return M
