-- The files of the project, for the rules: paths by pattern, text without
-- comments, and findings that fail a case all at once.
local sys = require "vm.sys"

local M = {}

local function walk(folder, pattern, found)
  for _, name in ipairs(sys.list(folder) or {}) do
    local path = folder .. "/" .. name
    local kind = (sys.stat(path) or {}).kind
    if kind == "folder" then
      walk(path, pattern, found)
    elseif kind == "file" and path:find(pattern) then
      found[#found + 1] = path
    end
  end
  return found
end

--- Sorted paths under the folders that match the pattern.
function M.find(pattern, ...)
  local found = {}
  for _, folder in ipairs { ... } do walk(folder, pattern, found) end
  assert(#found > 0, "the rule looks at no files: " .. pattern)
  return found
end

function M.read(path) return assert(sys.read_file(path)) end

local function blank(text) return (text:gsub("[^\n]", " ")) end

--- C without comments and string contents; lines stay where they are.
function M.bare_c(text)
  local out, at = {}, 1
  while at <= #text do
    local two = text:sub(at, at + 1)
    local stop
    if two == "/*" then
      stop = select(2, text:find("*/", at + 2, true)) or #text
    elseif two == "//" then
      stop = (text:find("\n", at, true) or #text + 1) - 1
    elseif two:sub(1, 1) == '"' or two:sub(1, 1) == "'" then
      local quote, i = two:sub(1, 1), at + 1
      while i <= #text and text:sub(i, i) ~= quote do
        i = i + (text:sub(i, i) == "\\" and 2 or 1)
      end
      stop = i
    end
    if stop then
      out[#out + 1] = blank(text:sub(at, stop))
      at = stop + 1
    else
      local plain = text:match("^[^/\"']+", at) or text:sub(at, at)
      out[#out + 1] = plain
      at = at + #plain
    end
  end
  return table.concat(out)
end

--- Lua without comments; strings stay (requires are strings).
function M.bare_lua(text)
  text = text:gsub("%-%-%[(=*)%[.-%]%1%]", blank)
  return (text:gsub("%-%-[^\n]*", blank))
end

--- Every line with its number.
function M.lines(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

--- Collects findings; `done` fails the case with all of them.
function M.findings(t)
  local list = {}
  return {
    add = function(format, ...) list[#list + 1] = format:format(...) end,
    done = function()
      if #list > 0 then
        t.fail(#list .. " findings:\n" .. table.concat(list, "\n"))
      end
    end,
  }
end

return M
