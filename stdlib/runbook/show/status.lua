--- Where a run stands, read from its journal alone: no cluster is asked.

local time = require "base.time"
local units = require "base.units"
local json = require "vm.json"
local runs = require "runbook.record.runs"
local sys = require "vm.sys"

local M = { FORMAT = 1 }

local function shown_state(state, step)
  if step.sealed and step.state == "done" then return "sealed" end
  for _, intent in ipairs(state:in_doubt(step.id)) do
    if not intent.undoing then return "in doubt" end
  end
  return step.passed and "passed over" or step.state
end

local function step_list(state)
  local list = {}
  for _, step in ipairs(state.order) do
    list[#list + 1] = {
      id = step.id, title = step.title, state = shown_state(state, step),
      how = step.how, took_ms = step.took_ms, because = step.because,
      error = step.error and step.error.message,
      asks = step.approval.asked and not step.approval.given
        and step.approval.asked.question or nil,
    }
  end
  return json.array(list)
end

local function debts(state)
  local list = {}
  for _, owed in ipairs(state:debts()) do
    list[#list + 1] = { step = owed.step, debt = owed.debt, title = owed.title,
                        since = owed.time }
  end
  return json.array(list)
end

local function doubts(state)
  local list = {}
  for _, intent in ipairs(state:in_doubt()) do
    list[#list + 1] = { step = intent.step, seq = intent.seq,
                        summary = intent.summary, resume = intent.resume }
  end
  return json.array(list)
end

local function word(state, is_driven)
  local said = state:word()
  if said == "running" or said == "going back" then
    return is_driven and said or said == "running" and "killed"
      or "killed going back"
  end
  return is_driven and "running" or said
end

--- What `tranship status` says of a run.
---@async
---@param folder tranship.RunFolder
function M.of(folder)
  local state, records = runs.read(folder)
  if not state then
    return { format = M.FORMAT, run = folder.id, unreadable = tostring(records),
             state = "unreadable" }
  end
  local last = state.last
  local is_driven = runs.is_driven(folder)
  return {
    format = M.FORMAT, run = folder.id, runbook = state.open.runbook,
    version = state.open.version, operator = state.open.operator,
    started = state.open.time, last = last.time,
    state = word(state, is_driven), direction = state.direction,
    exit = state.stopped and state.stopped.exit, driven = is_driven,
    step = state.stopped and state.stopped.step or last.step,
    because = state.stopped and state.stopped.because,
    crossed = state.crossed and state.crossed.title,
    steps = step_list(state), owed = debts(state), in_doubt = doubts(state),
    clusters = state.open.clusters, journal = folder.journal,
  }
end

--- One line per run.
function M.table(list)
  local lines = { ("%-5s  %-24s  %-16s  %-8s  %s"):format("run", "runbook",
                                                "state", "step", "started") }
  for _, run in ipairs(list) do
    lines[#lines + 1] = ("%-5s  %-24s  %-16s  %-8s  %s"):format(run.run,
      run.runbook or "?", run.state, run.step or "",
      run.started and time.date(run.started) .. " by " .. run.operator or "")
  end
  return table.concat(lines, "\n") .. "\n"
end

local function commands(run)
  if run.state == "done" or run.state == "undone" then
    return { "tranship report " .. run.run }
  end
  local list = {}
  for _, step in ipairs(run.steps) do
    if step.asks then
      list[#list + 1] = ("tranship approve %s %s"):format(run.run, step.id)
    end
  end
  if not run.driven then list[#list + 1] = "tranship resume " .. run.run end
  return list
end

--- One run in detail.
function M.text(run)
  local lines = {}
  local function add(format, ...) lines[#lines + 1] = format:format(...) end
  add("run %s  %s %s  %s", run.run, run.runbook, run.version or "", run.state)
  add("started %s by %s; last record %s ago", time.date(run.started),
      run.operator, units.show_duration(math.max(0, sys.time() - run.last)))
  if run.because then add("%s", run.because) end
  add("")
  for _, step in ipairs(run.steps) do
    add("  %-8s %-44s  %-12s %s", step.id, step.title or "",
        step.state, step.error or step.because or step.how or "")
    if step.asks then add("           asks: %s", step.asks) end
  end
  add("")
  for _, owed in ipairs(run.owed) do
    add("OWED   %s (%s of step %s, since %s)", owed.title, owed.debt, owed.step,
        time.date(owed.since))
  end
  for _, doubt in ipairs(run.in_doubt) do
    add("DOUBT  %s (step %s, record %d)", doubt.summary, doubt.step, doubt.seq)
  end
  if run.crossed then add("crossed: %s", run.crossed) end
  for at, text in ipairs(commands(run)) do
    add("%s%s", at == 1 and "next:  " or "   or  ", text)
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
