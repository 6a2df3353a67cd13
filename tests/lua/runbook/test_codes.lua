-- Every code is explained by a runbook that gives it, and the same one mended.
local test = ...
local codes = require "runbook.codes"
local load = require "runbook.load"
local sys = require "vm.sys"

local COMMON = [[
local source = cluster "source" { bootstrap = "127.0.0.1:1" }
local target = cluster "target" { bootstrap = "127.0.0.1:2" }
local app = workload "app" { group = "g", reads = "apps.x", process = { "true" } }
local reader = workload "reader" { group = "r", reads = "apps.x", process = { "true" } }
local writer = workload "writer" { writes = "apps.x", process = { "true" } }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }
local move = require "acme/moves".move
]]
local PREPARED = 'local prepared = step "Prepare" { verify = road:lag { at_most = 1 } }\n'

local function sources_of(entry, text)
  local head = 'runbook "example" {}\n' .. COMMON .. PREPARED
  if text:find "readers before writers" then
    head = 'runbook "example" { order = "readers before writers" }\n' .. COMMON
  elseif entry.bare then
    head = ""
  end
  local main, name, recipe = text:match "^(.-)\n%-%- also: (%S+)\n(.*)$"
  local sources = {
    ["x/example.lua"] = head .. (main or text),
    ["x/recipes/acme/moves.lua"] =
      assert(sys.read_file "scripts/recipes/acme/moves.lua"),
  }
  if name then sources["x/" .. name] = recipe end
  return sources
end

local function problems_of(entry, text)
  local book, problems = load.book("x/example.lua", {
    sources = sources_of(entry, text), lenient = true,
  })
  if book then book:close() end
  return problems
end

local sorted = {}
for code in next, codes.all() do sorted[#sorted + 1] = code end
table.sort(sorted)

for _, code in ipairs(sorted) do
  local entry = codes.of(code)
  if entry.wrong then
    test(code .. ": the wrong example gives it, and nothing else", function(t)
      local problems = problems_of(entry, entry.wrong)
      t.ok(#problems == 1, #problems .. " problems")
      t.equal(problems[1].code, code)
      t.equal(problems[1].severity, code:find "^W" and "warn" or "error")
    end)
    test(code .. ": the mended example is fine", function(t)
      local problems = problems_of(entry, entry.right)
      for _, problem in ipairs(problems) do
        t.equal(problem.code, entry.warns, problem.message)
      end
    end)
  end
end

test("every code has a title, a reason and an example", function(t)
  for _, code in ipairs(sorted) do
    local entry = codes.of(code)
    t.ok(#entry.title > 0 and #entry.why > 20, code)
    t.ok(entry.wrong and entry.right or #(entry.shell or entry.text) == 2, code)
    t.match(codes.page(code), "instead of")
  end
end)

--- All codes that any source of ours names are explained.
local function each_source(folder, f)
  for _, entry in ipairs(assert(sys.list(folder))) do
    local path = folder .. "/" .. (type(entry) == "table" and entry.name or entry)
    if path:find "%.lua$" then
      f(path, assert(sys.read_file(path)))
    elseif not path:find "%." then
      each_source(path, f)
    end
  end
end

test("no code is given that is not explained", function(t)
  each_source("stdlib", function(path, text)
    for code in text:gmatch '"([EW]0%d%d%d)"' do
      t.ok(codes.of(code), path .. " gives " .. code)
    end
  end)
end)
