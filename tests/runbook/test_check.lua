-- Golden outputs of `tranship check`: tests/runbook/check/CASE.lua and .txt.
-- TRANSHIP_GOLDEN=write writes the texts anew, for a person to read over.
local test = ...
local load = require "runbook.load"
local problems = require "runbook.declare.problems"
local sys = require "vm.sys"

local FOLDER = "tests/runbook/check/"
local CASES = { "words", "values", "calls", "steps", "order", "phases", "secrets",
  "strimzi_goals", "open_as", "unbuilt", "syntax", "good" }

local function check(name)
  local book, found = load.book(FOLDER .. name .. ".lua", {
    lenient = true, recipes = { "scripts/recipes" },
  })
  return problems.text(found), book, found
end

for _, name in ipairs(CASES) do
  test("check says what is wrong: " .. name, function(t)
    local text = check(name)
    local path = FOLDER .. name .. ".txt"
    if sys.env "TRANSHIP_GOLDEN" == "write" then
      assert(sys.write_file(path, text))
    end
    t.equal(text, assert(sys.read_file(path)))
  end)
end

test("a runbook with an error is no book, one with a warning is", function(t)
  local _, book = check "words"
  t.equal(book, nil)
  _, book = check "good"
  t.equal(book.name, "good")
end)

test("every problem has a code that is explained, and a place", function(t)
  local codes = require "runbook.codes"
  for _, name in ipairs(CASES) do
    local _, _, found = check(name)
    for _, problem in ipairs(found) do
      t.ok(codes.of(problem.code), problem.code)
      t.ok(problem.line and problem.col, name .. ": " .. problem.message)
    end
  end
end)

test("the plain text of a secret is never repeated", function(t)
  t.ok(not check "secrets":find("hunter2", 1, true))
end)

test("check exits 3 when something is wrong, and 0 otherwise", function(t)
  local tranship = sys.executable()
  local function exit(name)
    return assert(sys.run { tranship, "check", FOLDER .. name .. ".lua",
      "--recipes", "scripts/recipes" })
  end
  local out = exit "words"
  t.equal(out.code, 3)
  t.match(out.stdout, "problems, nothing was contacted")
  out = exit "good"
  t.equal(out.code, 0)
  t.match(out.stdout, "good 1.0.0: 1 step, no problems")
end)

test("FILE --help lists the parameters of the file", function(t)
  local out = assert(sys.run { sys.executable(), "run", "--help",
    FOLDER .. "secrets.lua" })
  t.equal(out.code, 0)
  t.match(out.stdout, "nothing was contacted") -- it has errors: they are told
  out = assert(sys.run { sys.executable(), "check", "scripts/event-bus.lua",
    "--help" })
  t.match(out.stdout, "Parameters of event%-bus:\n  %-p old=text")
end)

test("check -o json is one object", function(t)
  local out = assert(sys.run { sys.executable(), "check", FOLDER .. "words.lua",
    "-o", "json" })
  local said = assert(require "vm.json".decode(out.stdout))
  t.equal(said.ok, false)
  t.equal(said.problems[1].code, "E0107")
  t.equal(said.problems[1].line, 2)
end)
