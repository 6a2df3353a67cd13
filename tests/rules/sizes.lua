-- Sizes that keep it calm: 600 lines are a stop sign, 80 columns a page.
local test = ...
local files = dofile "tests/rules/lib/files.lua"

local STOP = 600
local COLUMNS_C, COLUMNS_LUA = 80, 100
local LONGEST_FUNCTION = 70 -- a screen, and the lines around it

local function each_line(pattern, folders, look)
  for _, path in ipairs(files.find(pattern, table.unpack(folders))) do
    look(path, files.lines(files.read(path)))
  end
end

test("no file is longer than the stop sign", function(t)
  local findings = files.findings(t)
  each_line("%.[ch]$", { "vm", "include", "tests/core" }, function(path, lines)
    if #lines > STOP then findings.add("%s: %d lines", path, #lines) end
  end)
  each_line("%.lua$", { "stdlib", "vm", "tests" }, function(path, lines)
    if #lines > STOP then findings.add("%s: %d lines", path, #lines) end
  end)
  findings.done()
end)

test("lines fit the page", function(t)
  local findings = files.findings(t)
  local function check(limit)
    return function(path, lines)
      for n, line in ipairs(lines) do
        if (utf8.len(line) or #line) > limit and not line:find "^%s*%-%-%-@" then
          findings.add("%s:%d: %d columns", path, n, utf8.len(line) or #line)
        end
      end
    end
  end
  each_line("%.[ch]$", { "vm", "include" }, check(COLUMNS_C))
  each_line("%.lua$", { "stdlib", "vm" }, check(COLUMNS_LUA))
  findings.done()
end)

test("a C function fits a screen", function(t)
  local findings = files.findings(t)
  each_line("%.c$", { "vm" }, function(path, lines)
    local begin
    for n, line in ipairs(lines) do
      if line:find "^[%a_].*%)%s*{$" or line:find "^%s.*%)%s*{$" and not begin
        and lines[n - 1] and lines[n - 1]:find "^[%a_]" then
        begin = n
      elseif line == "}" and begin then
        if n - begin > LONGEST_FUNCTION then
          findings.add("%s:%d: a function of %d lines", path, begin, n - begin)
        end
        begin = nil
      end
    end
  end)
  findings.done()
end)

test("a file opens by saying what it is for", function(t)
  local findings = files.findings(t)
  each_line("%.[ch]$", { "vm", "include" }, function(path, lines)
    if not lines[1]:find "^/%*" then findings.add("%s", path) end
  end)
  each_line("%.lua$", { "stdlib", "vm" }, function(path, lines)
    if not lines[1]:find "^%-%-" then findings.add("%s", path) end
  end)
  findings.done()
end)
