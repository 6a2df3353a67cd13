--- Readings that can be asked now or declared for later.
-- `road:lag { at_most = 100 }` in a declaration builds a question, which the
-- engine asks in the step's verify; inside check, verify or apply the same
-- call reads at once.

local context = require "base.context"

local M = {}

---@class tranship.Answer
---@field ok boolean
---@field unsure? string  neither yes nor no, and why
---@field seen? any       the observation, as shown in reports
---@field want? any       what it is held against
---@field text? string    one line for people

---@class tranship.Question
---@field title string            "road:lag at most 100"
---@field ask fun(): tranship.Answer?, tranship.Err?
---@field steady_ms? integer      how long the answer must stay yes

local Question = { __name = "question" }
Question.__index = Question
Question.__metatable = "question"

--- Declares `read(...)` for later while declaring, and calls it otherwise.
---@param title string|fun(...): string
---@param read fun(...): tranship.Answer?, tranship.Err?
---@param steady_ms? integer
function M.defer(title, read, steady_ms, ...)
  if context.get().phase ~= "declare" then return read(...) end
  local args = table.pack(...)
  return setmetatable({
    title = title,
    steady_ms = steady_ms,
    ask = function() return read(table.unpack(args, 1, args.n)) end,
  }, Question)
end

function M.is(value) return getmetatable(value) == "question" end

return M
