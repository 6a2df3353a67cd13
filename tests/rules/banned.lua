-- Functions that are not called here, and what is called instead.
local test = ...
local files = dofile "tests/rules/lib/files.lua"

local BANNED_C = {
  strcpy = "tsh_buf or snprintf", strcat = "tsh_buf", sprintf = "snprintf",
  vsprintf = "vsnprintf", gets = "read", strncpy = "snprintf or memcpy",
  system = "tsh_process", popen = "tsh_process", strtok = "strcspn",
  atoi = "strtoll", atol = "strtoll", atof = "strtod", alloca = "tsh_buf",
  rand = "RAND_bytes", srand = "RAND_bytes", tmpnam = "mkdtemp",
  mktemp = "mkdtemp", setjmp = "return codes", longjmp = "return codes",
  sleep = "the loop", usleep = "the loop", nanosleep = "the loop",
  luaL_dofile = "luaL_loadbufferx, text only",
  luaL_loadfile = "luaL_loadbufferx, text only",
  luaL_loadstring = "luaL_loadbufferx, text only",
}

test("banned C functions", function(t)
  local findings = files.findings(t)
  for _, path in ipairs(files.find("%.[ch]$", "vm", "include")) do
    for n, line in ipairs(files.lines(files.bare_c(files.read(path)))) do
      for name in line:gmatch "([%a_][%w_]*)%s*%(" do
        if BANNED_C[name] then
          findings.add("%s:%d calls %s; use %s", path, n, name, BANNED_C[name])
        end
      end
    end
  end
  findings.done()
end)

local CALL = "%s*[%(\"'{%[]"
local BANNED_LUA = {
  { "%f[%w_]io%.%l", "io", "vm.sys" }, { "%f[%w_]os%.%l", "os", "vm.sys" },
  { "%f[%w_]dofile" .. CALL, "dofile", "require" },
  { "%f[%w_]loadfile" .. CALL, "loadfile", "require" },
  { "string%.dump", "string.dump", "vm.sandbox.bytecode" },
  { "%f[%w_]collectgarbage" .. CALL, "collectgarbage", "nothing" },
}

-- Each with its reason.
local ALLOWED = {
  -- The runner of tests collects to find leaks.
  ["stdlib/base/tap.lua"] = { collectgarbage = true },
  -- A long one with thousands of partitions is to stay small.
  ["stdlib/mirror/engine.lua"] = { collectgarbage = true },
  -- A short life needs less collecting: it starts sooner.
  ["stdlib/cmd/check.lua"] = { collectgarbage = true },
  ["stdlib/runbook/load.lua"] = { collectgarbage = true },
  -- The one place that knows the machine's time zone.
  ["stdlib/base/time.lua"] = { os = true },
  -- The third Ctrl-C ends the program there and then.
  ["stdlib/runbook/drive/interrupt.lua"] = { os = true },
}

local function without_strings(line)
  line = line:gsub("%[%[.-%]%]", '""')
  return (line:gsub('%b""', '""'):gsub("%b''", "''"))
end

test("banned Lua functions in the library", function(t)
  local findings = files.findings(t)
  for _, path in ipairs(files.find("%.lua$", "stdlib", "vm/bind")) do
    local allowed = ALLOWED[path] or {}
    for n, line in ipairs(files.lines(files.bare_lua(files.read(path)))) do
      for _, rule in ipairs(BANNED_LUA) do
        if not path:find "^stdlib/meta/" and not allowed[rule[2]]
          and without_strings(line):find(rule[1]) then
          findings.add("%s:%d uses %s; use %s", path, n, rule[2], rule[3])
        end
      end
    end
  end
  findings.done()
end)

test("no file speaks of one machine", function(t)
  local findings = files.findings(t)
  for _, path in ipairs(files.find("%.[chlua]+$", "vm", "include", "stdlib",
    "scripts")) do
    for n, line in ipairs(files.lines(files.read(path))) do
      if line:find "/home/%w" or line:find "/root/" then
        findings.add("%s:%d: %s", path, n, line)
      end
    end
  end
  findings.done()
end)
