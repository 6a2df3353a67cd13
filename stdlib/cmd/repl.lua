--- tranship repl: explore clusters and runbooks. Reads only until unlocked.

local flags = require "base.options"
local sys = require "vm.sys"

local EXIT_WRONG = 3

local M = {
  name = "repl",
  summary = "Explore clusters and runbooks; reads only until :write.",
  usage = "tranship repl [FILE] [--cluster NAME=HOST:PORT]...",
  examples = {
    "tranship repl scripts/event-bus.lua -p old=127.0.0.1:9092 -p new=127.0.0.1:9093",
    "tranship repl --cluster old=127.0.0.1:9092",
    "echo 'old:topics()' | tranship repl --cluster old=127.0.0.1:9092 -o json",
  },
  options = flags.join({
    { name = "cluster", kind = "list", value = "NAME=HOST:PORT",
      help = "a cluster without login" },
  }, flags.loading, {
    { name = "read-only", kind = "flag", help = "forbid :write" },
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "table", "json" }, help = "how to print results" },
  }),
}

local function say(text) sys.errout("tranship repl: " .. text .. "\n") end

local function load_book(session, path, opts)
  local given, problems = require "runbook.declare.params".gather(opts.param, opts.params)
  local book
  if given then
    session.load_options = { params = given, recipes = opts.recipes,
      lenient = true }
    book, problems = require "runbook.load".book(path, session.load_options)
  end
  if #problems > 0 then
    sys.errout(require "runbook.declare.problems".text(problems))
  end
  if book then session:add_book(book) end
  return book
end

local function add_clusters(session, list)
  for _, item in ipairs(list or {}) do
    local name, address = item:match "^([%a_][%w_]*)=(.+)$"
    if not name then
      say("--cluster takes NAME=HOST:PORT, not " .. item)
      return false
    end
    local made, cluster = pcall(require "kafka.cluster".new,
      { name = name, bootstrap = address })
    if not made then
      say(tostring(cluster))
      return false
    end
    session:add_cluster(name, cluster)
  end
  return true
end

function M.run(opts, args)
  if #args > 1 then
    say("one runbook at a time; " .. M.usage)
    return EXIT_WRONG
  end
  local session <close> = require "repl.session".new {
    read_only = opts.read_only,
  }
  if args[1] and not load_book(session, args[1], opts) then return EXIT_WRONG end
  if not add_clusters(session, opts.cluster) then return EXIT_WRONG end
  local loop = require "repl.loop"
  local options = { output = opts.output or "table" }
  if sys.isatty(0) and sys.isatty(1) then
    return loop.at_terminal(session, options)
  end
  return loop.from_pipe(session, options)
end

return M
