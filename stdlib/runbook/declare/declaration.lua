--- The declaration under way: what has been declared so far, and every problem
-- found. Words, types and goals ask for the current one through the context of
-- their coroutine; outside a declaration a problem is raised instead.

local context = require "base.context"
local err = require "base.err"
local place = require "runbook.declare.place"

local M = {}

---@class tranship.Problem
---@field code string
---@field severity "error"|"warn"
---@field file? string
---@field line? integer
---@field col? integer
---@field message string
---@field hint? string

---@class tranship.Declaration
---@field file string
---@field sources table<string, string>  text by file: the runbook and its recipes
---@field given table<string, any>       parameters from outside
---@field lenient boolean                parameters may be missing (`check`)
---@field problems tranship.Problem[]
local Declaration = { __name = "declaration" }
Declaration.__index = Declaration

function M.new(options)
  return setmetatable({
    file = options.file, sources = options.sources,
    given = options.given or {}, lenient = options.lenient or false,
    problems = {}, tokens = {}, strangers = {}, items = {}, params = {}, fields = {},
    clusters = {}, kubernetes = {}, workloads = {}, bridges = {}, names = {}, goals = {},
  }, Declaration)
end

--- The declaration of the running coroutine, if there is one.
---@return tranship.Declaration?
function M.current()
  return context.get().declaration
end

--- Where the runbook is now.
function Declaration:here()
  return place.here(self.sources)
end

--- Two problems about one name in one line are about its first and its second
-- appearance.
function Declaration:next_token(where, at)
  local key = ("%s:%d:%s"):format(where.file, where.line or 0, at.token)
  self.tokens[key] = (self.tokens[key] or 0) + 1
  return { token = at.token, nth = self.tokens[key] }
end

--- Notes a problem; `at` narrows the place to a field (see place.narrow).
---@param code string  E0xxx an error, W0xxx a warning
---@param where tranship.Place?
---@param message string
---@param hint? string
---@param at? table
function Declaration:problem(code, where, message, hint, at)
  where = where or self:here()
  local line, col
  if where then
    if at and at.token then at = self:next_token(where, at) end
    line, col = place.narrow(where, at, self.sources)
  end
  self.problems[#self.problems + 1] = {
    code = code, severity = code:sub(1, 1) == "W" and "warn" or "error",
    file = where and where.file or self.file, line = line, col = col,
    message = message, hint = hint,
  }
end

--- Notes a problem in the current declaration, or raises it.
function M.problem(code, where, message, hint, at)
  local current = M.current()
  if current then return current:problem(code, where, message, hint, at) end
  if code:sub(1, 1) == "W" then return end
  err.raise {
    kind = "invalid", origin = "runbook", code = code,
    message = hint and message .. "; " .. hint or message,
  }
end

--- The reporter that schema.read wants, for things declared at `where`.
function M.reporter(where)
  return function(code, message, hint, at)
    M.problem(code, where, message, hint, at)
  end
end

function M.here()
  local current = M.current()
  return current and current:here()
end

return M
