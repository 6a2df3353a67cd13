--- What a run shows while it runs: the same records as the journal, either as
-- a picture that is drawn again (a terminal), as lines (a pipe), or as they
-- are (jsonl). The picture is a pure function of folded state and the clock.

local json = require "vm.json"
local sys = require "vm.sys"
local time = require "base.time"
local describe = require "runbook.show.describe"
local picture = require "runbook.show.picture"
local state = require "runbook.record.state"

local M = {}

---@class tranship.View
local View = {}
View.__index = View

local function plain_line(record, text)
  local at = time.clock(record.time)
  if record.step then
    return ("%s  %-4s %s\n"):format(at, record.step, text)
  end
  return ("%s  %s\n"):format(at, text)
end

-- A question repeated every round would drown the rest: plain output shows an
-- answer only when its words change.
local function is_repeated(self, record)
  if record.kind ~= "verify.answer" then return false end
  local key = record.step .. "\0" .. tostring(record.question)
  local word = record.answer and (record.answer.ok and "yes" or "no")
  local same = self._answers[key] == word
  self._answers[key] = word
  return same
end

local MODES = {}

MODES.jsonl = {
  record = function(self, record) self._write(json.encode(record) .. "\n") end,
}

MODES.plain = {
  record = function(self, record)
    local line = describe.line(record)
    if not line or is_repeated(self, record) then return end
    if record.kind == "step.enter" and record.title then
      line.text = record.title .. ": " .. line.text
    end
    self._write(plain_line(record, line.text))
  end,
  progress = function(self, step, text)
    local now = sys.time()
    if now - (self._said_at or 0) < 2000 then return end
    self._said_at = now
    self._write(plain_line({ time = now, step = step }, text))
  end,
  ask = function(self, question, step)
    self._write("\n" .. question .. "\n")
    if not step then return end
    self._write(("Type %s to approve, or from another shell: "
      .. "tranship approve %s %s\n"):format(step, self.run_id, step))
  end,
}

local function draw(self)
  local columns, rows = sys.tty_size()
  local lines = picture.lines {
    book = self.book, run_id = self.run_id, state = self.state,
    progress = self._progress, footer = self._footer, now = sys.time(),
    color = self.color, width = self.width or columns or 100,
    height = (rows or 50) - 1, question = self._question,
  }
  local up = self._height and ("\27[%dF"):format(self._height) or ""
  self._height = #lines
  self._write(up .. "\27[J" .. table.concat(lines, "\n") .. "\n")
end

local function erase(self)
  if self._height then self._write(("\27[%dF\27[J"):format(self._height)) end
  self._height = nil
end

MODES.tty = {
  record = function(self, record)
    if record.kind:find("^approval%.") then self._question = nil end
    draw(self)
  end,
  progress = function() end,          -- shown by the next tick
  tick = draw,
  ask = function(self, question, step)
    self._question = { text = question, step = step }
    draw(self)
  end,
  answered = function(self)
    self._question = nil
    if self._height then self._height = self._height + 1 end -- the typed line
    draw(self)
  end,
  say = function(self, text)
    erase(self)
    self._write(text .. "\n")
    draw(self)
  end,
  close = draw,
}

local function dispatch(self, verb, ...)
  local handler = MODES[self.mode][verb]
  if handler then return handler(self, ...) end
end

--- A view of one run.
---@param o table  book, run_id, mode ("tty", "plain" or "jsonl"), write (fun(text)),
-- width?, color?
---@return tranship.View
function M.new(o)
  local self = setmetatable({
    book = o.book, run_id = o.run_id, mode = o.mode, width = o.width,
    color = o.color, state = state.new(),
    _write = o.write, _answers = {}, _progress = {}, _footer = {},
  }, View)
  return self
end

--- Told of every journal record right after it is written.
function View:record(record)
  self.state:apply(record)
  if record.kind == "step.leave" or record.kind == "undo.leave" then
    self._progress[record.step] = nil
  end
  dispatch(self, "record", record)
end

--- What a step is doing now, in one line.
function View:progress(step, text)
  if self._progress[step] == text then return end
  self._progress[step] = text
  dispatch(self, "progress", step, text)
end

--- What matters at 3 a.m.: { owed = {..}, way_back = {..}, lag =, max_lag = }.
function View:footer(footer) self._footer = footer or {} end

--- The clock moved on.
function View:tick() dispatch(self, "tick") end

--- Says a line that stays: above the picture, or on standard error.
function View:say(text)
  if self.mode ~= "tty" then return sys.errout(text .. "\n") end
  dispatch(self, "say", text)
end

--- A line was typed as an answer.
function View:answered() dispatch(self, "answered") end

--- Shows a question; reading the answer is the caller's. `step` is the name to
-- type when it is an approval.
function View:ask(question, step) dispatch(self, "ask", question, step) end

function View:close()
  if self._closed then return end
  self._closed = true
  dispatch(self, "close")
end

View.__close = View.close

return M
