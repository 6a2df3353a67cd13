--- A session of the REPL: what names mean, what may be written, and how a line
-- is evaluated. It knows no terminal; whoever drives it prints what it returns.

local context = require "base.context"
local err = require "base.err"
local sandbox = require "vm.sandbox"
local task = require "vm.task"

local M = {}

---@class tranship.ReplSession
---@field book? tranship.Book
---@field names table<string, any>  what expressions may name
---@field clusters table<string, table>  by name
---@field writing? string  the cluster that is unlocked
---@field last_error? any
---@field confirm fun(question: string): boolean  asks a person; false from a pipe
local Session = {}
Session.__index = Session

--- Safe library of expressions; names of the session shadow it.
local LIBRARY = { "string", "table", "math", "utf8", "pairs", "ipairs", "next",
  "type", "tostring", "tonumber", "select", "error", "assert", "pcall" }

--- Of one expression; only the time without waiting is meant to be reached.
local LIMITS = {
  memory = 512 * 1024 * 1024, instructions = 1000 * 1000 * 1000 * 1000,
  slice_ms = 3000, output = 64 * 1024 * 1024,
}

local function library()
  local safe = {}
  for _, name in ipairs(LIBRARY) do safe[name] = _G[name] end
  return safe
end

---@param options { confirm?: fun(question: string): boolean, read_only?: boolean }
---@return tranship.ReplSession
function M.new(options)
  local self = setmetatable({
    names = {}, clusters = {}, confirm = options.confirm or function()
      return false
    end, locked = options.read_only or false, effects = 0,
  }, Session)
  self.environment = setmetatable({}, {
    __index = function(_, name)
      local value = self.names[name]
      if value == nil then value = self.safe[name] end
      return value
    end,
    __newindex = function(_, name, value) self.names[name] = value end,
  })
  self.safe = library()
  return self
end

--- Makes a cluster known by name.
function Session:add_cluster(name, object)
  self.clusters[name], self.names[name] = object, object
end

local function is_name(text) return text:find "^[%a_][%w_]*$" ~= nil end

--- Makes everything a book declares known: by its name, and by the local it was
-- declared as.
function Session:add_book(book)
  self.book = book
  local by_title = {}
  for word, list in next, { cluster = book.clusters, workload = book.workloads,
    bridge = book.bridges, kubernetes = book.kubernetes } do
    for _, object in ipairs(list) do
      by_title[word .. "/" .. object.name] = object
      if is_name(object.name) then self.names[object.name] = object end
      if word == "cluster" or word == "kubernetes" then
        self.clusters[object.name] = object
      end
    end
  end
  for _, call in ipairs(require "runbook.declare.outline".of(book.text).calls) do
    local object = call.title and by_title[call.name .. "/" .. call.title]
    if call.binding and object then self.names[call.binding] = object end
  end
end

--- "ro source,target" or "RW target".
function Session:label()
  if self.writing then return "RW " .. self.writing end
  local names = {}
  for name in next, self.clusters do names[#names + 1] = name end
  table.sort(names)
  return "ro " .. (#names > 0 and table.concat(names, ",") or "no cluster")
end

--- Notes an effect before it is sent, beside the journals of runs.
function Session:note(effect)
  local json, sys = require "vm.json", require "vm.sys"
  local path, why = require "base.state".path "repl.jsonl"
  if not path then return nil, why end
  local file
  file, why = sys.append(path)
  if not file then return nil, why end
  local line = json.encode {
    time = sys.time(), operator = sys.user(), host = sys.hostname(),
    kind = "repl.effect", primitive = effect.primitive, target = effect.target,
    summary = effect.summary, before = effect.before, after = effect.after,
  }
  local ok
  ok, why = file:write(line .. "\n")
  if ok then ok, why = file:sync() end
  file:close()
  return ok, why
end

--- Whether an effect is on the unlocked cluster.
function Session:allows(effect)
  return self.writing
    and effect.target:match "^[^/]+/([^/]+)/" == self.writing
end

--- Does an effect after showing it, or refuses it.
function Session:perform(effect)
  if not self:allows(effect) then
    err.raise {
      kind = "read only", origin = "repl", code = "E0507",
      message = ("this session only reads; %s would change %s"):format(
        effect.primitive, effect.target),
    }
  elseif not self.confirm(effect.summary .. "?") then
    return nil, err.new { kind = "canceled", origin = "repl",
      message = "not done: " .. effect.summary }
  end
  local noted, why = self:note(effect)
  if not noted then return nil, why end
  self.effects = self.effects + 1
  return effect.send()
end

function Session:context()
  return {
    phase = "repl", read_only = not self.writing,
    perform = function(effect) return self:perform(effect) end,
  }
end

--- Compiles a line: an expression, or statements.
---@return function? chunk, string? why, boolean? unfinished
function Session:compile(line)
  local chunk = load("return " .. line, "=line", "t", self.environment)
  if chunk then return chunk end
  local why
  chunk, why = load(line, "=line", "t", self.environment)
  if chunk then return chunk end
  return nil, (why:gsub("^line:%d+: ", "")), why:find "<eof>$" ~= nil
end

--- Calls `fn` as a task that can be cancelled alone; see `cancel`. It runs in a
-- box, so that a loop that never waits ends by itself.
---@async
---@return boolean ok, any ... results, or the err
function Session:call(fn, ...)
  local box = sandbox.new(LIMITS)
  local child <close> = task.spawn(context.with, self:context(), box.call, box,
    fn, ...)
  self.running = child
  local results = table.pack(child:join())
  self.running = nil
  if results[1] then return true, table.unpack(results, 2, results.n) end
  self.last_error = results[2]
  return false, results[2]
end

--- Ends the expression under way; the session goes on.
---@return boolean whether there was one
function Session:cancel()
  if not self.running then return false end
  self.running:cancel()
  return true
end

--- Names that objects of the session have: for a misspelt one.
function Session:likely(name)
  local names = {}
  for _, object in next, self.names do
    if type(object) == "table" and getmetatable(object) then
      for _, known in ipairs(require "runbook.declare.face".names(object)) do
        names[#names + 1] = known
      end
    end
  end
  return require "base.schema".nearest(name, names)
end

--- A string error of an expression, with a suggestion where one is likely.
function Session:explain(why)
  if not err.is(why) or why.kind ~= "bug" and why.kind ~= "script" then
    return why
  end
  local message = why.message:gsub("^line:%d+: ", "")
  local kind, name = message:match "%((%a+) '([%w_]+)'%)$"
  local near = name and kind ~= "local" and self:likely(name)
  return err.new {
    kind = "script", origin = "repl", cause = why.cause,
    traceback = why.traceback,
    message = near and near ~= name
      and ("%s; did you mean '%s'?"):format(message, near) or message,
  }
end

--- Evaluates a line of Lua; `it` becomes its value.
---@async
---@return boolean ok, any value_or_err, integer? count
function Session:evaluate(line)
  local chunk, why = self:compile(line)
  if not chunk then
    self.last_error = err.new { kind = "script", origin = "repl", message = why }
    return false, self.last_error
  end
  local results = table.pack(self:call(chunk))
  if not results[1] then
    self.last_error = self:explain(results[2])
    return false, self.last_error
  end
  local value, trouble = results[2], results[3]
  if value == nil and err.is(trouble) then
    self.last_error = self:explain(trouble)
    return false, self.last_error
  end
  if results.n > 1 and value ~= nil then self.names.it = value end
  return true, value, results.n - 1
end

--- Closes what the session opened.
function Session:close()
  for _, object in next, self.clusters do
    if object.close then object:close() end
  end
end

Session.__close = Session.close

return M
