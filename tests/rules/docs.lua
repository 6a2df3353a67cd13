-- Every name that C gives to Lua has a stub in stdlib/meta, where it is
-- described once, for editors and people.
local test = ...
local files = dofile "tests/rules/lib/files.lua"
local sys = require "vm.sys"

-- Binding files whose names belong to another module's stub, or to none.
local MODULE = { ticket = "task", box = "sandbox", bind = false, data = false }

local function registered(text)
  local names = {}
  for block in text:gmatch "luaL_Reg%s+[%w_]+%[%]%s*=%s*(%b{})" do
    for name in block:gmatch '{%s*"([%w_]+)"' do
      if not name:find "^__" then names[#names + 1] = name end
    end
  end
  return names
end

test("every registered function has a stub", function(t)
  local findings, count = files.findings(t), 0
  for _, path in ipairs(files.find("%.c$", "vm/bind")) do
    local room = path:match "([%a]+)[%w_]*%.c$"
    local module = MODULE[room]
    if module == nil then module = room end
    local stub = module and "stdlib/meta/vm_" .. module .. ".lua"
    local text = stub and sys.read_file(stub)
    for _, name in ipairs(module and registered(files.read(path)) or {}) do
      count = count + 1
      if not text or not text:find("[.:]" .. name .. "%s*%(") then
        findings.add("%s: '%s' has no stub in %s", path, name, stub)
      end
    end
  end
  t.ok(count > 50, "only " .. count .. " names were found")
  findings.done()
end)

test("stubs are stubs, and never run", function(t)
  local findings = files.findings(t)
  for _, path in ipairs(files.find("%.lua$", "stdlib/meta")) do
    if not files.read(path):find "^%-%-%-@meta" then
      findings.add("%s does not begin with ---@meta", path)
    end
  end
  findings.done()
end)
