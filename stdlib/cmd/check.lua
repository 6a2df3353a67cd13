--- tranship check: reads, declares twice and checks a runbook. Contacts nothing.

local flags = require "base.options"
local sys = require "vm.sys"

local EXIT_OK, EXIT_WRONG = 0, 3
local SHORT_LIFE = 1000 -- per cent: this process ends before it pays to collect

local M = {
  name = "check",
  summary = "Check a runbook without contacting anything.",
  usage = "tranship check FILE [-p NAME=VALUE]... [--params FILE]",
  examples = {
    "tranship check scripts/event-bus.lua",
    "tranship check bus.lua -p max_lag=10 -o json",
  },
  options = flags.join(flags.loading, {
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "table", "json" }, help = "how to print" },
  }),
}

local function print_json(book, problems)
  local json = require "vm.json"
  local shown = {}
  for i, problem in ipairs(problems) do
    shown[i] = {
      code = problem.code, severity = problem.severity, file = problem.file,
      line = problem.line, col = problem.col, message = problem.message,
      hint = problem.hint,
    }
  end
  sys.out(json.encode {
    ok = book ~= nil, runbook = book and book.name,
    fingerprint = book and book.fingerprint, steps = book and #book.steps,
    problems = json.array(shown),
  } .. "\n")
end

local function print_table(book, problems)
  sys.out(require "runbook.declare.problems".text(problems))
  if book then
    sys.out(("%s%s: %s, %s.\n"):format(book.name,
      book.version and " " .. book.version or "",
      require "base.text".count(#book.steps, "step"),
      #problems == 0 and "no problems, nothing was contacted"
      or "it can run"))
  end
end

--- The problems of the parameters alone, or a book and its problems.
local function load(opts, path)
  local given, problems = require "runbook.declare.params".gather(opts.param, opts.params)
  if not given then return nil, problems end
  return require "runbook.load".book(path, {
    params = given, recipes = opts.recipes, lenient = true,
  })
end

--- `FILE --help` lists the runbook's own parameters.
function M.more_help(...) return require "runbook.declare.params".more_help(...) end

function M.run(opts, args)
  collectgarbage("setpause", SHORT_LIFE)
  if #args ~= 1 then
    sys.errout("usage: " .. M.usage .. "\n")
    return EXIT_WRONG
  end
  local book, problems = load(opts, args[1])
  local print = opts.output == "json" and print_json or print_table
  print(book, problems)
  return book and EXIT_OK or EXIT_WRONG
end

return M
