--- Commands of drivers: a list of words with {bootstrap}, {cluster}, {state}
-- and {name} filled in, and the environment every one of them gets.

local err = require "base.err"
local state = require "base.state"
local sys = require "vm.sys"

local M = {}

local HOLES = { "bootstrap", "cluster", "name", "state" }

local function refuse(code, format, ...)
  err.raise { kind = "invalid", origin = "workload", code = code,
    message = format:format(...) }
end

local function check_holes(word, what)
  for hole in word:gmatch "{([%w_]*)}" do
    local known = false
    for _, name in ipairs(HOLES) do known = known or name == hole end
    if not known then
      refuse("E0205", "%s has {%s}; there are {%s}", what, hole,
        table.concat(HOLES, "}, {"))
    end
  end
end

--- Raises unless `words` is a command; one text is a line for the shell.
---@param words any
---@param what string  how messages call it
---@return string[]
function M.check(words, what)
  if type(words) == "string" then words = { "sh", "-c", words } end
  if type(words) ~= "table" or getmetatable(words) or #words == 0 then
    refuse("E0201", "%s needs a command such as { \"program\", \"argument\" }",
      what)
  end
  local out = {}
  for i, word in ipairs(words) do
    if type(word) ~= "string" or word == "" and i == 1 then
      refuse("E0201", "%s: word %d of the command is no text", what, i)
    end
    check_holes(word, what)
    out[i] = word
  end
  return out
end

--- The state folder, wherever a command changes to.
---@return string
function M.state_dir()
  local path = state.dir()
  sys.mkdir(path, { parents = true })
  return sys.realpath(path) or path
end

--- The command for one cluster.
---@param words string[]
---@return string[]
function M.fill(words, workload, cluster)
  local values = {
    bootstrap = cluster.bootstrap, cluster = cluster.name,
    name = workload.name, state = M.state_dir(),
  }
  local out = {}
  for i, word in ipairs(words) do
    out[i] = word:gsub("{([%w_]+)}", values)
  end
  return out
end

--- What a command finds in its environment.
function M.env(workload, cluster)
  return {
    TRANSHIP_WORKLOAD = workload.name, TRANSHIP_CLUSTER = cluster.name,
    TRANSHIP_BOOTSTRAP = cluster.bootstrap,
  }
end

return M
