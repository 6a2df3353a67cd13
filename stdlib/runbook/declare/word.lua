--- What all words share: a title, its place, a body read by its description.

local declaration = require "runbook.declare.declaration"
local kinds = require "runbook.declare.kinds"
local schema = require "base.schema"
local words = require "runbook.declare.schema".words

local M = {}

--- 'step "4. Open the bridge"', for messages.
function M.called(word, title)
  return title and ('%s "%s"'):format(word, title) or word
end

--- Checks a title and notes where it stands.
function M.titled(word, title)
  local where = declaration.here() or {}
  where.word = word
  if type(title) == "string" then where.title = title end
  local read = schema.value({ name = "the name of a " .. word, kind = "text" },
    title, declaration.reporter(where))
  if title == "" then
    declaration.problem("E0201", where, "a " .. word .. " needs a name")
  end
  return read or "?", where
end

function M.body_of(word, title, where, body)
  if type(body) == "table" and not kinds.of(body) then return body end
  if body ~= kinds.nothing then
    declaration.problem("E0106", where, ("%s needs a table { ... }, and this is "
      .. "%s"):format(M.called(word, title), schema.describe(body)))
  end
  return {}
end

function M.read(word, title, where, body)
  return schema.read(words[word].fields, M.body_of(word, title, where, body),
    M.called(word, title), declaration.reporter(where))
end

--- Two things of one name: the second is the problem.
function M.claim_name(d, word, name, where)
  local key = word .. "/" .. name
  local before = d.names[key]
  if before then
    d:problem("E0301", where, ("two %ss are named \"%s\""):format(word,
      name), ("the first is in line %d"):format(before.line or 0))
  end
  d.names[key] = before or where
end

--- A value that only some field understands: undo_to(x), rescue { ... }.
function M.value_of(name, fields)
  return setmetatable(fields, { __name = name, __metatable = name,
    __newindex = function() error("a " .. name .. " cannot be changed", 2) end })
end

return M
