--- `require` of runbooks: recipes are found beside the runbook, in its folder
-- `recipes/`, and in --recipes folders. They run with the words that make
-- goals and cannot declare; what they return is frozen.

local declaration = require "runbook.declare.declaration"
local kinds = require "runbook.declare.kinds"

local M = {}

local NAME = "^[%w_%-]+$"

local function is_name(name)
  if type(name) ~= "string" or name == "" then return false end
  for part in (name .. "/"):gmatch("(.-)/") do
    if not part:find(NAME) then return false end
  end
  return true
end

local function folder_of(path) return path:match("^(.*)/[^/]*$") end

--- Where a recipe may be, in order.
local function candidates(d, name)
  local folder = folder_of(d.file)
  local prefix = folder and folder .. "/" or ""
  local list = { prefix .. name .. ".lua", prefix .. "recipes/" .. name .. ".lua" }
  for _, dir in ipairs(d.recipes or {}) do
    list[#list + 1] = dir .. "/" .. name .. ".lua"
  end
  return list
end

--- The text of a recipe: from the archive of the run, or from disk.
local function find(d, name)
  local tried = candidates(d, name)
  for _, path in ipairs(tried) do
    local text
    if d.archive then
      text = d.archive[path]
    else
      text = require "vm.sys".read_file(path)
    end
    if text then return path, text end
  end
  return nil, tried
end

--- The `require` of one declaration.
---@param d tranship.Declaration
---@param run fun(path: string, text: string, is_recipe: boolean): boolean, any  runs a source
---@return fun(name: string): any
function M.requirer(d, run)
  local loaded, loading = {}, {}
  local function problem(code, message, hint)
    d:problem(code, nil, message, hint)
    return kinds.nothing
  end
  return function(name)
    if not is_name(name) then
      return problem("E0701", ("'%s' is no name of a recipe")
        :format(tostring(name)), "letters, digits, - and _, with / between")
    elseif loaded[name] ~= nil then
      return loaded[name]
    elseif declaration.current() ~= d then
      declaration.problem("E0705", nil, ("recipe '%s' is required while running")
        :format(name), "require it at the top of the file")
    elseif loading[name] then
      return problem("E0704", ("recipe '%s' requires itself"):format(name))
    end
    local path, text = find(d, name)
    if not path then
      return problem("E0701", ("recipe '%s' was not found"):format(name),
        "looked for " .. table.concat(text, ", "))
    end
    d.sources[path] = text
    loading[name] = true
    local ran, value = run(path, text, true)
    loading[name] = nil
    if not ran then
      value = kinds.nothing
    elseif type(value) ~= "table" and type(value) ~= "function" then
      value = problem("E0703", ("recipe '%s' returns nothing"):format(name),
        "end it with `return` and a table of goals")
    end
    loaded[name] = require "vm.sandbox".freeze(value)
    return loaded[name]
  end
end

return M
