--- Loads a runbook: read as text, declared in a sandbox, checked, declared once
-- more in a fresh state, compared. Nothing is contacted. Everything wrong is
-- collected; a book exists only when there is no error.

local book = require "runbook.declare.book"
local context = require "base.context"
local declaration = require "runbook.declare.declaration"
local err = require "base.err"
local face = require "runbook.declare.face"
local fingerprint = require "runbook.declare.fingerprint"
local problems = require "runbook.declare.problems"
local recipes = require "runbook.declare.recipes"
local sandbox = require "vm.sandbox"
local strangers = require "runbook.declare.strangers"
local task = require "vm.task"
local words = require "runbook.declare.words"

local M = {}

--- Of one declaration.
local DECLARING = {
  memory = 64 * 1024 * 1024, instructions = 200 * 1000 * 1000,
  slice_ms = 250, output = 1024 * 1024,
}

--- Of one call of a goal's function. What the library does on its behalf counts
-- too, so these only stop what would never end.
local RUNNING = {
  memory = 512 * 1024 * 1024, instructions = 100 * 1000 * 1000 * 1000,
  slice_ms = 1000, output = 16 * 1024 * 1024,
}

---@class tranship.LoadOptions
---@field params? table<string, any>  parameters given from outside
---@field recipes? string[]  further folders of recipes
---@field sources? table<string, string>  read from this archive, never from disk
---@field lenient? boolean   parameters may be missing (for `check`)
---@field once? boolean      do not declare a second time
---@field blind? boolean     leave secrets unread

--- "bus.lua:12: message" in its parts.
local function take_apart(text)
  local file, line, message = text:match("^(.-):(%d+): ([^\n]*)")
  if file then return file, tonumber(line), message end
  return nil, nil, text:match("^[^\n]*")
end

--- A string error of a script is the script's, not a mistake of ours.
local function of_script(d, why)
  if type(why) == "string" then why = { kind = "bug", message = why } end
  local file = why.kind == "bug" and take_apart(why.message)
  if not file or not d.sources[file] then return why end
  return err.new { kind = "script", origin = "runbook", message = why.message,
    cause = why.cause }
end

--- Calls a script's function within limits of its own; raises what it raised,
-- so that goals and inline functions fail alike.
local function caller(d)
  return function(f, ...)
    local results = table.pack(sandbox.new(RUNNING):call(f, ...))
    if results[1] == nil and results[2] ~= nil then
      err.raise(of_script(d, results[2]))
    end
    return table.unpack(results, 1, results.n)
  end
end

--- What a syntax error of Lua probably means, and the token it names.
local function syntax_hint(message)
  local near = message:match "near '(.-)'$"
  local hint
  if message:find "^'}' expected" and near and near:find "^[%a_]" then
    hint = ("is a comma missing before '%s'?"):format(near)
  elseif message:find "near <eof>$" then
    hint = "something that was opened is never closed"
  end
  return hint, near and { token = near }
end

--- Notes what stopped a source: a syntax error, a raised error, a limit. An
-- error that is not the script's is a mistake of ours and goes on upwards.
local function note_stop(d, path, why, code)
  local text = err.is(why) and why.message or tostring(why)
  if err.is(why) and why.kind == "limit" then code = "E0504" end
  if err.is(why) and why.code and tostring(why.code):find("^[EW]%d") then
    code = why.code
  end
  local file, line, message = take_apart(text)
  if code == "E0114" and file and not d.sources[file] then error(why, 0) end
  local hint, at
  if code == "E0101" then hint, at = syntax_hint(message) end
  d:problem(code, { file = file or path, line = line }, message, hint, at)
end

--- Runs sources of one declaration: the runbook, and recipes it requires.
local function runner(d, box, call)
  local run
  local require_recipe = recipes.requirer(d, function(...) return run(...) end)
  run = function(path, text, is_recipe)
    local known = is_recipe and words.of_recipes(call)
      or words.of_runbooks(d, call)
    known.require = require_recipe
    local environment = box:environment()
    strangers.watch(d, { path = path, text = text, is_recipe = is_recipe,
      known = known, environment = environment })
    face.note_script("@" .. path)
    local main, why = box:load(text, "@" .. path, environment)
    if not main then
      note_stop(d, path, why, "E0101")
      return false
    end
    if is_recipe then return pcall(main) end
    local results = table.pack(box:call(main))
    if results[1] == nil and results[2] ~= nil then
      note_stop(d, path, results[2], "E0114")
      return false
    end
    return true, results[1]
  end
  return run
end

--- Declares `d.file` once.
local function declare(d)
  local box = sandbox.new(DECLARING)
  local call = caller(d)
  local now = { phase = "declare", declaration = d }
  return context.with(now, function()
    local run = runner(d, box, call)
    local finished = run(d.file, d.sources[d.file], false)
    if d.pending and finished then
      book.arrange(d, call)
      if not d.blind then require "runbook.declare.check".run(d) end
    end
    return finished
  end)
end

--- What is wrong with a text that no editor of UTF-8 wrote, if that is so.
local function not_utf8(path, text)
  local _, at = utf8.len(text)
  if not at then return nil end
  local above = text:sub(1, at - 1)
  local _, lines = above:gsub("\n", "")
  return { code = "E0115", severity = "error", file = path, line = lines + 1,
    col = #above:match "[^\n]*$" + 1,
    message = ("the runbook cannot be read: the byte 0x%02x is no UTF-8"):format(
      text:byte(at)), hint = "save the file as UTF-8" }
end

local function new_declaration(path, text, options)
  local d = declaration.new {
    file = path, sources = { [path] = text }, given = options.params,
    lenient = options.lenient,
  }
  local folders = options.recipes
  d.recipes = type(folders) == "string" and { folders } or folders
  d.archive, d.blind = options.sources, options.blind
  return d
end

local function has_error(found)
  for _, problem in ipairs(found) do
    if problem.severity == "error" then return true end
  end
  return false
end

--- Wipes the secrets that were read for a declaration.
local function forget(d)
  for _, param in next, d.params do
    if param.secret and param.value then param.value:close() end
  end
end

--- A state that lives for milliseconds need not collect before its memory is
-- ten times what it was.
local SHORT_LIFE = 1000

local SECOND_TIME = [[
local arguments = ...
return require "runbook.load".declared_text(arguments)
]]

--- What a runbook declares in this very state, for the second time.
---@param arguments string  JSON of path, text, params, recipes, sources
---@return string
function M.declared_text(arguments)
  collectgarbage("setpause", SHORT_LIFE)
  local options = require "vm.json".decode(arguments)
  options.lenient, options.blind = true, true
  local d = new_declaration(options.path, options.text, options)
  declare(d)
  local text = fingerprint.text(d)
  forget(d)
  return text
end

--- Begins to declare in a fresh state, beside the first time.
---@return tranship.Task
local function declare_again(path, text, options)
  return task.spawn(sandbox.fresh, SECOND_TIME, require "vm.json".encode {
    path = path, text = text, params = options.params or {},
    recipes = options.recipes, sources = options.sources,
  })
end

--- Waits for the second time, and compares.
---@async
local function compare(d, text, second)
  local is_done, again, why = second:join()
  if not is_done then again, why = nil, again end
  if again ~= text then
    d:problem("E0505", { file = d.file, line = 1 },
      "declared a second time, the runbook says something else",
      not again and tostring(why)
      or "something in it depends on more than its text and parameters")
  end
end

--- Loads a runbook.
---@async
---@param path string
---@param options? tranship.LoadOptions
---@return tranship.Book? book, tranship.Problem[] problems  warnings too, when there is a book
function M.book(path, options)
  options = options or {}
  local text, why
  if options.sources then
    text = options.sources[path]
    why = "not in the archive"
  else
    text, why = require "vm.sys".read_file(path)
  end
  if not text then
    return nil, { { code = "E0115", severity = "error", file = path,
      message = "the runbook cannot be read: "
        .. (err.is(why) and why.message or tostring(why)) } }
  end
  text = text:gsub("^\xEF\xBB\xBF", "") -- a mark that some editors begin with
  local broken = not_utf8(path, text)
  if broken then return nil, { broken } end
  local second <close> = not options.once
    and declare_again(path, text, options) or nil
  local d = new_declaration(path, text, options)
  local finished = declare(d)
  if finished and not has_error(d.problems) then
    local said = fingerprint.text(d)
    if second then compare(d, said, second) end
    if not has_error(d.problems) then
      local made = book.of(d, said)
      made.close = function() forget(d) end
      return made, problems.sort(d.problems)
    end
  end
  forget(d)
  return nil, problems.sort(d.problems)
end

return M
