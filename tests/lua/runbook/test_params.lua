-- Parameters: types, values from outside, secrets by reference only.
local test = ...
local load = require "runbook.load"
local params = require "runbook.declare.params"

local TEXT = [[
runbook "example" {}
local p = params {
  change  = a.text     { like = "CHG%%d+", help = "the approved change" },
  max_lag = a.count    { default = 100, min = 1, max = 1000 },
  soak    = a.duration { default = "48h" },
  retire  = a.flag     { default = false },
  apps    = a.list     { default = { "a", "b" } },
  side    = a.choice   { "blue", "green", default = "blue" },
  admin   = a.secret   { from = "env:HOME", help = "of the cluster" },
}
log(p.change)
step "x" { verify = function() return true end, when = p.retire, timeout = p.soak, note = "%s" }
]]

local function try(given, lenient)
  return load.book("x.lua", { sources = { ["x.lua"] = TEXT:format "n" },
    params = given, lenient = lenient })
end

local function codes_of(problems)
  local codes = {}
  for i, problem in ipairs(problems) do codes[i] = problem.code end
  return codes
end

test("texts from a command line become what their types say", function(t)
  local book = assert(try { change = "CHG1", max_lag = "7", retire = "yes",
    soak = "2h", apps = "x, y", side = "green" })
  local function value(name) return book.params[name].value end
  t.equal({ value "change", value "max_lag", value "retire", value "soak",
    value "side" }, { "CHG1", 7, true, "2h", "green" })
  t.equal(value "apps", { "x", "y" })
  t.equal(book.steps[1].when, true)
  t.equal(book.steps[1].timeout_ms, 7200000)
  book:close()
end)

test("a missing one stops a run, and is a warning for a check", function(t)
  local book, problems = try {}
  t.equal(book, nil)
  t.equal(codes_of(problems), { "E0401" })
  book, problems = try({}, true)
  t.equal(codes_of(problems), { "W0401" })
  book:close()
end)

test("values that do not fit, and names that are not there", function(t)
  local _, problems = try { change = "soon", max_lag = "2000", soak = "48",
    retire = "perhaps", side = "red", mx_lag = "1" }
  local codes = codes_of(problems)
  t.equal(#codes, 6)
  for i, code in ipairs(codes) do
    t.ok(code == "E0403" or code == "E0402", i .. " " .. code)
  end
  local text = require "runbook.declare.problems".text(problems)
  t.match(text, "%-p mx_lag.-did you mean 'max_lag'")
end)

test("a value that does not fit is complained about once, and stood in for", function(t)
  local text = [[
runbook "example" {}
local p = params { old = a.text {}, most = a.count { default = 5 } }
local old = cluster "old" { bootstrap = p.old }
local app = workload "app" { group = "g", reads = "x", process = { "true" } }
step "x" { verify = app:lag { at_most = p.most } }
]]
  local _, problems = load.book("x.lua", { sources = { ["x.lua"] = text },
    params = { old = 7, most = "abc" } })
  t.equal(codes_of(problems), { "E0403", "E0403" })
end)

test("secrets: by reference, opaque, kept with their reference", function(t)
  local book = assert(try { change = "CHG1" })
  local admin = book.params.admin
  t.equal({ admin.secret, admin.from }, { true, "env:HOME" })
  t.match(tostring(admin.value), "^<secret")
  book:close()
  local _, problems = try { change = "CHG1", admin = "hunter2" }
  t.equal(codes_of(problems), { "E0404" })
  t.ok(not require "runbook.declare.problems".text(problems):find "hunter2")
  _, problems = try { change = "CHG1", admin = "file:/no/such/file" }
  t.equal(codes_of(problems), { "E0405" })
end)

test("-p and --params are gathered", function(t)
  local sys = require "vm.sys"
  local path = ("/tmp/tranship-params-%d.json"):format(sys.pid())
  assert(sys.write_file(path, '{"max_lag": 9, "change": "CHG1"}'))
  local given = assert(params.gather({ "change=CHG2", "soak=1h" }, path))
  t.equal(given, { max_lag = 9, change = "CHG2", soak = "1h" })
  assert(sys.write_file(path, "[1"))
  local _, problems = params.gather({ "nonsense" }, path)
  t.equal(codes_of(problems), { "E0406", "E0406" })
  assert(sys.write_file(path, "[1]"))
  _, problems = params.gather({}, path)
  t.match(problems[1].message, "this is no object")
  assert(sys.remove(path))
end)

test("help lists them", function(t)
  local book = assert(try { change = "CHG1" })
  t.equal(params.help(book), [[
  -p change=text              the approved change (needed)
  -p max_lag=count            (default 100)
  -p soak=duration            (default 48h)
  -p retire=flag              (default false)
  -p apps=list                (default a,b)
  -p side=one of blue, green  (default blue)
  -p admin=secret             of the cluster (env:HOME)]])
  book:close()
end)
