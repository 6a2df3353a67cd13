--- The program: which command, with which options, and its exit code.
-- Commands are found by name in stdlib/cmd and loaded only when they are
-- called, so that starting stays quick.

local sys = require "vm.sys"

local EXIT_WRONG = 3 -- script, parameters or command line wrong

-- What `tranship --help` lists, in the order a newcomer needs it.
local commands = {
  { "check", "read a runbook and say what is wrong with it" },
  { "plan", "show what a run would change" },
  { "run", "plan, show, confirm, go" },
  { "resume", "go on with a run that stopped" },
  { "status", "where the runs stand" },
  { "undo", "take a run back, to its start or to a step" },
  { "approve", "say yes to a step that asks" },
  { "deny", "say no to a step that asks" },
  { "settle", "say how an effect in doubt ended" },
  { "report", "write the report of a run" },
  { "journal", "show or verify the journal of a run" },
  { "explain", "explain an error code or a word" },
  { "repl", "explore clusters and runbooks, reading only" },
  { "app", "start, stop and look at workloads" },
  { "mirror", "run the engine of a bridge" },
  { "verify", "compare both clusters; prove again what a run carried" },
  { "translate", "say where positions lie on the other cluster" },
  { "mm2", "read a MirrorMaker 2 flow, and what its offsets are worth" },
}

local function say(text) sys.errout("tranship: " .. text .. "\n") end

local function help()
  local lines = {
    "tranship moves applications between Kafka clusters, by runbooks.", "",
    "Usage: tranship COMMAND [OPTION..] [ARGUMENT..]", "",
  }
  for _, command in ipairs(commands) do
    lines[#lines + 1] = ("  %-9s %s"):format(command[1], command[2])
  end
  lines[#lines + 1] = [[

Exit codes: 0 done, or nothing to do; 1 stopped at something that failed or
differs; 2 there are changes (plan --exit-code); 3 command line, script or
parameters wrong; 4 refused before acting; 5 undone; 6 waits for somebody;
7 needs a human: in doubt, or something is owed; 130 killed.

tranship COMMAND --help says more; tranship --version.]]
  sys.out(table.concat(lines, "\n") .. "\n")
  return 0
end

local function nearest(name)
  local names = {}
  for i, command in ipairs(commands) do names[i] = command[1] end
  local near = require "base.text".nearest(name, names)
  return near and ("; did you mean %s?"):format(near)
    or "; tranship --help lists them"
end

local function is_command(name)
  for _, command in ipairs(commands) do
    if command[1] == name then return true end
  end
  return false
end

local function run_command(name, words)
  if not is_command(name) then
    say("no command '" .. name .. "'" .. nearest(name))
    return EXIT_WRONG
  end
  local options = require "base.options"
  local command = require("cmd." .. name)
  local opts, args = options.parse(command.options or {}, words)
  if not opts then
    say(name .. ": " .. tostring(args))
    return EXIT_WRONG
  end
  if opts.help then
    sys.out(options.help(command))
    if command.more_help then sys.out(command.more_help(opts, args) or "") end
    return 0
  end
  if opts.state then require("base.state").set(opts.state) end
  return command.run(opts, args)
end

-- A trusted file of ours: tests and tools.
local function run_file(words)
  local path = table.remove(words, 1)
  if not path then
    say "--lua FILE [ARGUMENT..]"
    return EXIT_WRONG
  end
  local text, why = sys.read_file(path)
  if not text then error(why, 0) end
  local chunk = assert(load(text:gsub("^#[^\n]*", ""), "@" .. path, "t"))
  return chunk(table.unpack(words)) or 0
end

local special = {
  ["--help"] = help, ["-h"] = help,
  help = function(words)
    if words[1] then return run_command(words[1], { "--help" }) end
    return help()
  end,
  ["--version"] = function()
    sys.out("tranship " .. require("vm.host").version .. "\n")
    return 0
  end,
  ["--lua"] = run_file,
  ["--test"] = function(words) return require("base.tap").run(words) end,
}

local function main(words)
  local name = table.remove(words, 1)
  if not name then
    help()
    return EXIT_WRONG
  end
  if special[name] then return special[name](words) end
  return run_command(name, words)
end

-- An err is news and takes one line; anything else is a mistake of ours.
local function explain(value)
  if require("vm.err").is(value) and not value.traceback then return value end
  return debug.traceback(tostring(value), 2)
end

local ok, code = xpcall(main, explain, { ... })
if ok then return math.tointeger(code) or 0 end
say(tostring(code))
return 1
