-- Arrows go one way, downwards: who may include and require whom.
local test = ...
local files = dofile "tests/rules/lib/files.lua"

local function includes(path)
  local found = {}
  for n, line in ipairs(files.lines(files.read(path))) do
    local name = line:match '^%s*#%s*include%s*[<"]([^>"]+)'
    if name then found[#found + 1] = { name = name, line = n } end
  end
  return found
end

-- A library header and the files that may know it.
local KNOWN_TO = {
  { "^lua%.h$", "^vm/bind/", "^vm/host%.c$", "^vm/library%.[ch]$",
    "^vm/embed/" },
  { "^lauxlib%.h$", "^vm/bind/", "^vm/host%.c$", "^vm/library%.c$",
    "^vm/embed/" },
  { "^lualib%.h$", "^vm/host%.c$" },
  { "^librdkafka/", "^vm/core/kafka" },
  { "^jansson%.h$", "^vm/core/json%.[ch]$" },
  { "^yaml%.h$", "^vm/core/yaml%.c$" },
  { "^histedit%.h$", "^vm/core/edit", "^vm/bind/edit" },
  { "^curl/", "^vm/core/http" },
  { "^lz4", "^vm/core/wire/" }, { "^zstd", "^vm/core/wire/" },
  { "^snappy", "^vm/core/wire/" }, { "^zlib%.h$", "^vm/core/wire/" },
}

local function may_know(path, rule)
  for i = 2, #rule do
    if path:find(rule[i]) then return true end
  end
  return false
end

test("a library is known to its room only", function(t)
  local findings = files.findings(t)
  for _, path in ipairs(files.find("%.[ch]$", "vm", "include")) do
    for _, include in ipairs(includes(path)) do
      for _, rule in ipairs(KNOWN_TO) do
        if include.name:find(rule[1]) and not may_know(path, rule) then
          findings.add("%s:%d includes %s", path, include.line, include.name)
        end
      end
    end
  end
  findings.done()
end)

test("the core knows nothing of bindings, headers nothing of vm", function(t)
  local findings = files.findings(t)
  for _, path in ipairs(files.find("%.[ch]$", "vm/core", "include")) do
    for _, include in ipairs(includes(path)) do
      if include.name:find "bind" or include.name:find "%.c$"
        or path:find "^include/" and include.name:find "^%.%." then
        findings.add("%s:%d includes %s", path, include.line, include.name)
      end
    end
  end
  findings.done()
end)

-- What each part of the library may require. Goals are the one thing of the
-- runbook that objects offer, as declarations.
local MAY = {
  base = { "vm", "base" },
  kafka = { "vm", "base", "kafka", "runbook.goal" },
  kube = { "vm", "base", "kube", "runbook.goal" },
  strimzi = { "vm", "base", "kafka", "kube", "strimzi", "runbook.goal" },
  mirror = { "vm", "base", "kafka", "kube", "mirror", "runbook.goal" },
  app = { "vm", "base", "kafka", "kube", "app", "runbook.goal" },
  runbook = { "vm", "base", "kafka", "kube", "strimzi", "mirror", "app", "runbook" },
  repl = { "vm", "base", "kafka", "kube", "mirror", "app", "runbook", "repl",
    "cmd.explain" }, -- one explanation of codes and words, told in both
  cmd = { "vm", "base", "kafka", "kube", "mirror", "app", "runbook", "repl", "cmd" },
}

local function is_within(module, part)
  return module == part or module:sub(1, #part + 1) == part .. "."
end

local function may_require(room, module)
  for _, part in ipairs(MAY[room]) do
    if is_within(module, part) then return true end
  end
  return false
end

test("the library requires downwards", function(t)
  local findings = files.findings(t)
  for _, path in ipairs(files.find("%.lua$", "stdlib")) do
    local room = path:match "^stdlib/([^/]+)/"
    local text = files.bare_lua(files.read(path))
    for n, line in ipairs(room ~= "meta" and room and files.lines(text) or {}) do
      for module in line:gmatch "require%s*%(?%s*[\"']([%w_.]+)[\"']" do
        if not MAY[room] then
          findings.add("%s: no rule for stdlib/%s", path, room)
        elseif not may_require(room, module) then
          findings.add("%s:%d requires %s", path, n, module)
        end
      end
    end
  end
  findings.done()
end)

test("the Lua halves of vm require vm only", function(t)
  local findings = files.findings(t)
  for _, path in ipairs(files.find("%.lua$", "vm/bind")) do
    for module in files.bare_lua(files.read(path)):gmatch
      "require%s*%(?%s*[\"']([%w_.]+)[\"']" do
      if not is_within(module, "vm") then
        findings.add("%s requires %s", path, module)
      end
    end
  end
  findings.done()
end)
