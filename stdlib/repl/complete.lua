--- Completion: names and fields as they are at the moment, topics and groups as
-- the clusters have them. Nothing is called but the two lists.

local context = require "base.context"
local face = require "runbook.declare.face"
local kinds = require "runbook.declare.kinds"
local task = require "vm.task"

local M = {}

local LIVE_MS, KEPT_MS = 2000, 10000

local COMMANDS = { ":check", ":explain", ":help", ":last-error", ":load",
  ":plan", ":quit", ":write" }

local function starting_with(names, typed)
  local found = {}
  for _, name in ipairs(names) do
    if name:sub(1, #typed) == typed then found[#found + 1] = name end
  end
  table.sort(found)
  return found
end

--- The value of "a.b.c", looked up and not called.
local function value_of(session, path)
  local value = session.environment
  for name in path:gmatch "[%w_]+" do
    if type(value) ~= "table" and type(value) ~= "string" then return nil end
    value = type(value) == "table" and value[name] or nil
  end
  return value
end

local function fields_of(value, only_methods)
  if type(value) ~= "table" then return {} end
  local names = {}
  for _, name in ipairs(face.names(value)) do
    if name:find "^[%a_][%w_]*$"
      and (not only_methods or type(value[name]) == "function") then
      names[#names + 1] = name
    end
  end
  return names
end

local function names_of(session)
  local names = {}
  for name in next, session.names do names[#names + 1] = name end
  for name in next, session.safe do names[#names + 1] = name end
  return names
end

local function listed(read, field)
  local list = read()
  local names = {}
  for _, item in ipairs(list or {}) do
    names[#names + 1] = type(item) == "table" and tostring(item[field] or item.name)
      or tostring(item)
  end
  return names
end

--- Live names of a cluster, kept for a while.
local function live(session, cluster, what)
  if kinds.of(cluster) ~= "cluster" then return {} end
  session.kept = session.kept or {}
  local key = cluster.name .. "/" .. what
  local kept = session.kept[key]
  if kept and task.now() - kept.at < KEPT_MS then return kept.names end
  local method = cluster[what]
  local names = task.deadline(LIVE_MS, function()
    return context.with({ phase = "repl", read_only = true }, function()
      return listed(function() return method(cluster) end,
        what == "groups" and "group" or "name")
    end)
  end) or {}
  session.kept[key] = { at = task.now(), names = names }
  return names
end

local function names_in_text(session, object_path, method)
  local object = value_of(session, object_path)
  local cluster = kinds.of(object) == "cluster" and object
  local list = {}
  for _, one in next, cluster and { cluster } or session.clusters do
    for _, what in ipairs(method:find "group" and { "groups" }
      or method:find "topic" and { "topics" } or { "topics", "groups" }) do
      for _, name in ipairs(live(session, one, what)) do list[#list + 1] = name end
    end
  end
  return list
end

local function step_names(session)
  local names = {}
  for _, step in ipairs(session.book and session.book.steps or {}) do
    names[#names + 1] = step.id
  end
  return names
end

--- Words that may follow what stands before the cursor, and how many bytes of
-- it they replace.
---@async
---@param session tranship.ReplSession
---@param before string
---@return string[] words, integer typed
function M.words(session, before)
  local command, argument = before:match "^(:[%a%-]*)%s*(.*)$"
  if command and not before:find "%s" then
    return starting_with(COMMANDS, before), #before
  elseif command == ":write" then
    local names = {}
    for name in next, session.clusters do names[#names + 1] = name end
    return starting_with(names, argument), #argument
  elseif command then
    local typed = argument:gsub("^[\"']", "")
    return starting_with(step_names(session), typed), #typed
  end
  local path, method, quoted =
    before:match "([%w_%.]*)[:%.]([%w_]+)%s*[%(%{]?%s*[\"']([^\"']*)$"
  if quoted then
    return starting_with(names_in_text(session, path, method), quoted), #quoted
  end
  local object, mark, part = before:match "([%w_][%w_%.]*)([:%.])([%w_]*)$"
  if object then
    local value = value_of(session, object)
    return starting_with(fields_of(value, mark == ":"), part), #part
  end
  local word = before:match "[%w_]*$"
  return starting_with(names_of(session), word), #word
end

return M
