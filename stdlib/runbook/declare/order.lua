--- "Readers before writers" as a rule on the graph of topics: whoever reads a
-- topic moves before whoever writes it, from the sinks to the sources. Moved
-- the other way round, a topic has two writers for a while and the records of
-- one are lost on the way back.

local kinds = require "runbook.declare.kinds"

local M = {}

local function list_of(value)
  if value == nil then return {} end
  return type(value) == "table" and value or { value }
end

local function matches(pattern, name)
  local lua_pattern = pattern:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0")
    :gsub("%*", ".*")
  return name:find("^" .. lua_pattern .. "$") ~= nil
end

--- A topic that both lists name, patterns included.
local function shared(reads, writes)
  for _, read in ipairs(list_of(reads)) do
    for _, written in ipairs(list_of(writes)) do
      if matches(read, written) then return written end
      if matches(written, read) then return read end
    end
  end
end

--- Workloads by the first step whose goal is about moving them.
local function moves_of(steps)
  local moves, seen = {}, {}
  for _, step in ipairs(steps) do
    for _, made in ipairs(step.ensure or {}) do
      local app = made ~= kinds.nothing and made.args
        and M.moved(made)
      if app and not seen[app] then
        seen[app] = true
        moves[#moves + 1] = { app = app, step = step }
      end
    end
  end
  return moves
end

--- The workload a goal moves: the one it is about.
function M.moved(made)
  for _, value in next, made.args do
    if kinds.of(value) == "workload"
      and made.subject == kinds.path(value) then
      return value
    end
  end
end

local function together(a, b) return a.group ~= nil and a.group == b.group end

--- Reports each pair that moves the wrong way round.
---@param d tranship.Declaration
function M.check(d)
  if not d.runbook or d.runbook.order ~= "readers before writers" then return end
  local moves = moves_of(d.steps)
  for _, writer in ipairs(moves) do
    for _, reader in ipairs(moves) do
      local topic = reader.app ~= writer.app
        and shared(reader.app.reads, writer.app.writes)
      if topic and reader.step.index > writer.step.index
        and not together(reader.step, writer.step) then
        local both = shared(writer.app.reads, reader.app.writes)
        d:problem("E0310", writer.step.pos,
          ("%s writes %s, but its reader %s moves later (line %d)"):format(
            writer.app.name, topic, reader.app.name, reader.step.pos.line or 0),
          both and "they read from each other: move both in one parallel"
          or ("move %s first"):format(reader.app.name))
      end
    end
  end
end

return M
