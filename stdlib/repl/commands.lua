--- Commands of the REPL: lines that begin with a colon. Each gets the session,
-- its argument and `say`, and returns nothing; :quit returns "quit".

local answer = require "runbook.drive.answer"

local M = {}

local commands = {}

local function find_step(session, name)
  local book = session.book
  if not book then return nil, "no runbook is loaded; :load FILE" end
  name = name:gsub("^[\"']", ""):gsub("[\"']$", "")
  for _, step in ipairs(book.steps) do
    if step.id == name or step.title == name then return step end
  end
  local ids = {}
  for _, step in ipairs(book.steps) do ids[#ids + 1] = step.id end
  return nil, ("no step '%s'; %s"):format(name,
    require "base.schema".suggest(name, ids))
end

local function engine_session()
  return require "runbook.drive.session".reader(require "base.state".dir())
end

--- What a check of one step says, goal by goal, then its proofs.
local function check_lines(step)
  local reader, lines = engine_session(), {}
  local run_context = require "runbook.drive.run_context"
  local goals = require "runbook.drive.shape".goals(step)
  local function add(title, said, why)
    lines[#lines + 1] = ("%s  %s"):format(
      said and (said.ok and "yes" or said.unsure and "unsure" or "no") or "error",
      said and title .. ": " .. answer.text(said)
      or title .. ": " .. tostring(why))
  end
  local function run_of(goal)
    return run_context.new(reader, nil, step, goal)
  end
  for _, goal in ipairs(goals) do
    if goal:has "check" then
      add(goal.title, answer.ask(reader, step, function()
        return goal:check(run_of(goal))
      end))
    end
  end
  if #goals == 0 then
    for _, proof in ipairs(answer.proofs(step, goals, run_of)) do
      add(proof.title, answer.ask(reader, step, proof.fn))
    end
  end
  return lines
end

commands.check = {
  says = ":check STEP      is it already so? reads only",
  run = function(session, argument, say)
    local step, why = find_step(session, argument)
    if not step then return say.error(why) end
    local ok, lines = session:call(check_lines, step)
    if not ok then return say.error(lines) end
    say.out(table.concat(lines, "\n"))
  end,
}

commands.plan = {
  says = ":plan STEP       what would change; reads only",
  run = function(session, argument, say)
    local step, why = find_step(session, argument)
    if not step then return say.error(why) end
    local ok, planned = session:call(function()
      return require "runbook.plan".step(engine_session(), step, {})
    end)
    if not ok then return say.error(planned) end
    say.out(require "runbook.show.plan_text".text {
      runbook = session.book.name, version = session.book.version,
      steps = { planned }, changes = planned.status == "changes" and 1 or 0,
    })
  end,
}

commands.explain = {
  says = ":explain WORD    a word, a field (step.retry) or a code (E0310)",
  run = function(_, argument, say)
    local page, hint = require "cmd.explain".page(argument)
    if page then return say.out((page:gsub("\n$", ""))) end
    say.error(("nothing is known of '%s'; %s"):format(argument, hint))
  end,
}

commands.load = {
  says = ":load FILE       reads a runbook again, or another",
  run = function(session, argument, say)
    local path = argument ~= "" and argument or session.book and session.book.file
    if not path then return say.error ":load needs a file" end
    local book, problems = require "runbook.load".book(path, session.load_options)
    if #problems > 0 then
      say.error((require "runbook.declare.problems".text(problems):gsub("\n$", "")))
    end
    if not book then return end
    session:add_book(book)
    say.talk(("%s: %d steps loaded, none run"):format(book.name, #book.steps))
  end,
}

commands.write = {
  says = ":write CLUSTER   lets effects on one cluster through; :write ends it",
  run = function(session, argument, say)
    if argument == "" then
      session.writing = nil
      return
    elseif session.locked then
      return say.error "this session was started with --read-only"
    elseif not session.clusters[argument] then
      local names = {}
      for name in next, session.clusters do names[#names + 1] = name end
      table.sort(names)
      return say.error(("no cluster '%s'; %s"):format(argument,
        require "base.schema".suggest(argument, names)))
    elseif not session.confirm(("Each effect on %s will be shown, asked for and "
      .. "journalled. Unlock it?"):format(argument)) then
      return say.error("not unlocked; a person at a terminal must say yes")
    end
    session.writing = argument
  end,
}

commands["last-error"] = {
  says = ":last-error      the last error in full",
  run = function(session, _, say)
    local why = session.last_error
    if why == nil then return say.out "(none)" end
    if type(why) ~= "table" then return say.out(tostring(why)) end
    local lines = {}
    for _, name in ipairs { "message", "kind", "origin", "code", "retriable",
      "fatal", "cause", "traceback" } do
      if why[name] ~= nil then
        lines[#lines + 1] = ("%-10s %s"):format(name, tostring(why[name]))
      end
    end
    say.out(table.concat(lines, "\n"))
  end,
}

commands.quit = {
  says = ":quit            ends the session (so does Ctrl-D)",
  run = function() return "quit" end,
}

commands.help = {
  says = ":help            this list",
  run = function(session, _, say)
    local lines = {
      "Lua expressions are evaluated; the last value is `it`; ?x documents x.",
      "TAB completes fields, topics and groups; Ctrl-C ends an expression.", "",
    }
    for _, name in ipairs { "check", "plan", "write", "load", "explain",
      "last-error", "help", "quit" } do
      lines[#lines + 1] = commands[name].says
    end
    local names = {}
    for name in next, session.names do names[#names + 1] = name end
    table.sort(names)
    lines[#lines + 1] = ""
    lines[#lines + 1] = "Known: " .. table.concat(names, " ")
    say.out(table.concat(lines, "\n"))
  end,
}

--- Runs ":name argument".
---@async
---@return string? "quit"
function M.run(session, line, say)
  local name, argument = line:match "^:([%a%-]*)%s*(.-)%s*$"
  local command = commands[name]
  if not command then
    local names = {}
    for known in next, commands do names[#names + 1] = known end
    table.sort(names)
    return say.error(("no command ':%s'; %s"):format(name,
      require "base.schema".suggest(name, names)))
  end
  return command.run(session, argument, say)
end

return M
