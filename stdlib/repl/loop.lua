--- The loop of the REPL: lines in, results out. At a terminal with editing,
-- completion and history; from a pipe without a word on stdout that is no
-- result.

local commands = require "repl.commands"
local err = require "base.err"
local show = require "repl.show"
local sys = require "vm.sys"
local task = require "vm.task"

local M = {}

local CONTINUED = ".. "

--- How results and trouble are printed; `talk` is for a person only.
local function speaker(options)
  local redact = require "vm.secret".redact
  local as_json = options.output == "json"
  local function trouble(why)
    local text = err.is(why) and why.code and type(why.code) == "string"
      and ("%s %s"):format(why.code, why.message) or tostring(why)
    sys.errout(redact(text) .. "\n")
  end
  local say
  say = {
    failed = false,
    out = function(text) sys.out(redact(text) .. "\n") end,
    error = function(why)
      say.failed = true
      trouble(why)
    end,
    talk = function(text)
      if options.interactive then sys.errout(redact(text) .. "\n") end
    end,
    value = function(value)
      if as_json then
        sys.out(redact(require "vm.json".encode(show.plain(value))) .. "\n")
      else
        sys.out(redact(show.text(value)) .. "\n")
      end
    end,
  }
  return say
end

--- One complete line; "quit" when it is to be the last.
local function handle(session, line, say)
  if line:find "^%s*$" or line:find "^%s*%-%-[^%[]" then return end
  if line:find "^%s*:" then
    return commands.run(session, line:match "^%s*(.*)$", say)
  elseif line:find "^%s*%?" then
    local expression = line:match "^%s*%?%s*(.-)%s*$"
    if expression == "" then return commands.run(session, ":help", say) end
    local chunk = session:compile(expression)
    local ok, value
    if chunk then ok, value = session:call(chunk) end
    say.out(require "repl.document".page(expression, ok and value or nil))
    return
  end
  local ok, value, count = session:evaluate(line)
  if not ok then
    if err.is(value) and value.kind == "canceled" then
      say.talk(value.origin == "repl" and value.message or "cancelled")
    else
      say.error(value)
    end
  elseif count > 0 and value ~= nil then
    say.value(value)
  elseif count > 0 then
    say.talk "nil"
  end
end

--- Gathers lines until Lua has a whole chunk: `next_line(prompt)` gives one,
-- false when what was typed is dropped, nil at the end.
---@return string? line  nil at the end
local function whole_line(session, next_line, prompt)
  local line = next_line(prompt)
  if not line then return line == false and "" or nil end
  if line:find "^%s*[:?]" then return line end
  while true do
    local chunk, _, unfinished = session:compile(line)
    if chunk or not unfinished then return line end
    local more = next_line(CONTINUED)
    if more == false then return "" end
    if not more or more == "" then return line end
    line = line .. "\n" .. more
  end
end

local COLOURS = { red = "\27[1;31m", plain = "\27[0m" }

local function prompt_of(session)
  local label = session:label() .. "> "
  if session.writing and not sys.env "NO_COLOR" then
    return ("\1%s\1%s\1%s\1"):format(COLOURS.red, label, COLOURS.plain)
  end
  return label
end

--- Where the history is kept; nil when there is no place for it.
local function history_path()
  local home = sys.env "XDG_STATE_HOME"
  if not home and sys.env "HOME" then home = sys.env "HOME" .. "/.local/state" end
  if not home then return nil end
  local folder = home .. "/tranship"
  return sys.mkdir(folder, { parents = true }) and folder .. "/history" or nil
end

--- Lines that name or hold a secret are not remembered.
local function touches_secret(session, line)
  if require "vm.secret".redact(line) ~= line then return true end
  for name, param in next, session.book and session.book.params or {} do
    if param.secret and line:find("%f[%w_]" .. name .. "%f[^%w_]") then
      return true
    end
  end
  local low = line:lower()
  return low:find "password" ~= nil or low:find "secret" ~= nil
end

--- Completion, beside the loop that reads.
local function answer_questions(session, editor)
  while true do
    local before = editor:ask()
    if not before then return end
    local ok, words, typed = pcall(require "repl.complete".words, session, before)
    editor:answer(ok and words or {}, ok and typed or 0)
  end
end

--- A person says y, or types the whole word yes.
local function ask_person(editor, question)
  local said, how = editor:line(question .. " [y/N] ")
  return how == "line" and (said:lower() == "y" or said:lower() == "yes")
end

local function with_editor(session, say, editor, path)
  local completer <close> = task.spawn(answer_questions, session, editor) -- luacheck: ignore
  local signals <close> = sys.signals { "INT" }
  local watcher <close> = task.spawn(function() -- luacheck: ignore
    while signals:next() do session:cancel() end
  end)
  session.confirm = function(question) return ask_person(editor, question) end
  local ended
  local function next_line(prompt)
    local line, how = editor:line(prompt)
    if how == "line" then return line end
    sys.out "\n"
    ended = how == "end"
    if not ended then return false end
  end
  repeat
    local line = whole_line(session, next_line, prompt_of(session))
    if line and line:find "%S" and not touches_secret(session, line) then
      editor:remember(line)
      if path then editor:save(path) end
    end
  until ended or not line or handle(session, line, say) == "quit"
end

--- At a terminal.
---@async
---@return integer exit code
function M.at_terminal(session, options)
  local editor <close>, why = require "vm.edit".open()
  if not editor then error(why, 0) end
  options.interactive = true
  local say, path = speaker(options), history_path()
  if path then editor:load(path) end
  say.talk "Reading only. :help lists commands, TAB completes, Ctrl-D ends."
  with_editor(session, say, editor, path)
  return 0
end

--- From a pipe or a file. Wrong lines do not end it; they make the exit code 1.
---@async
---@return integer exit code
function M.from_pipe(session, options)
  local say, lines = speaker(options), sys.stdin_lines()
  local _ <close> = lines
  local function next_line() return (lines:next()) end
  while true do
    local line = whole_line(session, next_line, "")
    if not line then break end
    if handle(session, line, say) == "quit" then break end
  end
  return say.failed and 1 or 0
end

return M
