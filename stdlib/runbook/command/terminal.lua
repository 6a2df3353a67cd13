--- The person at the terminal, if there is one: questions and typed answers.
-- Only a real terminal counts; a pipe or a file can never answer.

local sys = require "vm.sys"
local task = require "vm.task"

local M = {}

---@class tranship.Terminal
local Terminal = {}
Terminal.__index = Terminal

--- The terminal, or nil when standard input is none.
function M.open()
  if not sys.isatty(0) then return nil end
  return setmetatable({ _waiting = {} }, Terminal)
end

-- One task reads; a line goes to everybody who waits for one. Two steps side
-- by side may ask at the same time, and what is typed says which is meant.
local function start(self)
  if self._reader then return end
  self._lines = sys.stdin_lines()
  self._reader = task.spawn(function()
    for line in self._lines.next, self._lines do
      for _, waiting in ipairs(self._waiting) do waiting:push(line) end
    end
    self.closed = true
  end)
end

--- Waits for one line; prints `prompt` first. Cancel-safe.
---@async
function Terminal:line(prompt)
  start(self)
  if prompt then sys.errout(prompt) end
  local queue = task.queue()
  table.insert(self._waiting, queue)
  local _ <close> = setmetatable({}, { __close = function()
    for at, waiting in ipairs(self._waiting) do
      if waiting == queue then table.remove(self._waiting, at) break end
    end
  end })
  return (queue:pop():gsub("^%s+", ""):gsub("%s+$", ""))
end

--- Asks until one of `choices` is typed in full or by its first letter.
---@async
---@param choices string[]
function Terminal:choose(question, choices)
  while true do
    local typed = self:line(("%s [%s] "):format(question,
                                                table.concat(choices, " / ")))
    for _, choice in ipairs(choices) do
      if typed:lower() == choice or typed:lower() == choice:sub(1, 1) then
        return choice
      end
    end
  end
end

function Terminal:close()
  if not self._reader then return end
  self._reader:cancel()
  self._lines:close()
  self._reader = nil
end

return M
