--- E04xx parameters, E05xx phases and limits, E06xx secrets, E07xx recipes,
-- E09xx what is not built yet.

return {
  E0401 = {
    title = "a parameter has no value",
    why = "It has no default, and nothing was given.",
    shell = { "tranship run bus.lua", "tranship run bus.lua -p change=CHG1234" },
  },
  W0401 = {
    title = "a parameter has no value yet",
    why = "A check goes on with a stand-in; plan and run will want the value.",
    wrong = [[params { change = a.text {} }]],
    right = [[params { change = a.text { default = "none" } }]],
  },
  E0402 = {
    title = "no such parameter",
    why = "Parameters are declared in params { ... }; a misspelt -p would "
      .. "otherwise be ignored.",
    wrong = "local p = params { max_lag = a.count { default = 1 } }\n"
      .. "log(p.maxlag)",
    right = "local p = params { max_lag = a.count { default = 1 } }\n"
      .. "log(p.max_lag)",
  },
  E0403 = {
    title = "the value given for a parameter does not fit its type",
    why = "What -p or --params gives is read as the type says.",
    shell = { "tranship run bus.lua -p soak=48", "tranship run bus.lua -p soak=48h" },
  },
  E0404 = {
    title = "a secret in plain text",
    why = "What is typed stays in the shell's history, in process lists, in "
      .. "version control. Secrets are given by reference: env:NAME or file:PATH.",
    wrong = [[cluster "third" { bootstrap = "third:9092", login = scram { "me", "hunter2" } }]],
    right = "local p = params { password = a.secret { from = \"env:PASSWORD\" } }\n"
      .. "cluster \"third\" { bootstrap = \"third:9092\",\n"
      .. "  login = scram { \"me\", p.password } }",
    warns = "W0405",
  },
  E0405 = {
    title = "a secret cannot be read",
    why = "The variable is not set, or the file is not there or not readable.",
    shell = { "tranship run bus.lua", "ADMIN=$(pass kafka/admin) tranship run bus.lua" },
  },
  W0405 = {
    title = "a secret cannot be read yet",
    why = "A check goes on without it; plan and run will need it.",
    wrong = [[params { admin = a.secret { from = "env:TRANSHIP_NO_SUCH_VARIABLE" } }]],
    right = [[params { quiet = a.flag {} }]],
  },
  E0406 = {
    title = "parameters cannot be read",
    why = "-p takes name=value, --params a file with one JSON object.",
    shell = { "tranship run bus.lua -p max_lag:100", "tranship run bus.lua -p max_lag=100" },
  },
  E0501 = {
    title = "a live reading in a declaration",
    why = "Declaring a runbook contacts nothing, so that it can be checked, "
      .. "reviewed and archived anywhere. Readings belong in check, verify or "
      .. "apply, or are declared as questions such as road:lag { ... }.",
    wrong = [[local names = source:topics()]],
    right = [[step "See the topics" { verify = function()
  return #source:topics() > 0
end }]],
  },
  E0502 = {
    title = "an effect in a declaration",
    why = "Only apply and undo change the world, after plan, check and "
      .. "approval.",
    wrong = [[source:delete_topic "apps.greetings"]],
    right = [[step "Start" {
  check = function() return app:runs_on(target) end,
  apply = function() app:start { on = target } end,
  undo  = function() app:stop { on = target } end,
}]],
  },
  E0503 = {
    title = "an effect where only reading is allowed",
    why = "check, plan and verify only read; that is what makes a plan safe.",
    text = { [[verify = function() app:start { on = target } end]],
      [[apply = function() app:start { on = target } end]] },
  },
  E0504 = {
    title = "the limits of a runbook are used up",
    why = "Memory, instructions and time without waiting are bounded, so that a "
      .. "mistake in a runbook cannot stop the engine that has to clean up.",
    wrong = [[while true do end]],
    right = [[for _ = 1, 3 do log "hello" end]],
  },
  E0505 = {
    title = "declared twice, the runbook differs",
    why = "A runbook is declared twice in fresh states and must come out the "
      .. "same, or the plan that was reviewed is not the one that runs.",
    text = { "something that differs from one state to the next, such as the "
      .. "address of a table in a title", "plain data, parameters, and names" },
  },
  E0506 = {
    title = "not there for runbooks",
    why = "Runbooks and recipes run in a sandbox without files, processes, "
      .. "clocks or ways out of it.",
    wrong = [[local home = os.getenv("HOME")]],
    right = [[local p = params { home = a.text { default = "/var/lib/app" } }]],
  },
  E0507 = {
    title = "the session only reads",
    why = "The REPL changes nothing until a cluster is unlocked by name, and "
      .. "then shows and asks before each effect.",
    text = { "ro source> source:delete_topic \"x\"", ":write source" },
  },
  E0508 = {
    title = "declared while running",
    why = "A runbook is complete, checked and reviewed before anything runs. "
      .. "Nothing is added to it from inside a goal.",
    text = { [[apply = function() step "One more" { ... } end]],
      [[step "One more" { ... }]] .. "   -- on a line of its own" },
  },
  E0509 = {
    title = "run side by side in a declaration",
    why = "together runs functions that wait, and a declaration waits for "
      .. "nothing.",
    wrong = [[together { function() end }]],
    right = [[step "Look twice" { verify = function()
  return together { function() return true end, function() return true end }[2]
end }]],
  },
  E0601 = {
    title = "a text would show a secret",
    why = "Titles, questions and notes are shown, journalled and reported. A "
      .. "secret belongs in a login and nowhere else.",
    wrong = "local p = params { admin = a.secret { from = \"env:HOME\" } }\n"
      .. "step(\"Log in with \" .. p.admin) { verify = road:lag { at_most = 1 } }",
    right = "local p = params { admin = a.secret { from = \"env:HOME\" } }\n"
      .. "step \"Log in\" { verify = road:lag { at_most = 1 } }",
  },
  E0701 = {
    title = "a recipe was not found",
    why = "Recipes are looked for beside the runbook, in its folder recipes/, "
      .. "and in the folders given with --recipes.",
    wrong = [[local moves = require "acme/movs"]],
    right = [[local moves = require "acme/moves"]],
  },
  E0702 = {
    title = "a recipe that declares",
    why = "Recipes make goals. What is moved, and in which steps, stands in the "
      .. "runbook, where it is reviewed.",
    wrong = "require \"mine\"\n-- also: recipes/mine.lua\n"
      .. "cluster \"hidden\" { bootstrap = \"h:1\" }\nreturn {}",
    right = "require \"mine\"\n-- also: recipes/mine.lua\nreturn {}",
  },
  E0703 = {
    title = "a recipe that returns nothing",
    why = "A recipe ends with return and a table of goals.",
    wrong = "require \"mine\"\n-- also: recipes/mine.lua\nlocal mine = {}",
    right = "require \"mine\"\n-- also: recipes/mine.lua\nlocal mine = {}\nreturn mine",
  },
  E0704 = {
    title = "a recipe that requires itself",
    why = "Two recipes that require each other can never both be loaded first.",
    wrong = "require \"mine\"\n-- also: recipes/mine.lua\nrequire \"mine\"\nreturn {}",
    right = "require \"mine\"\n-- also: recipes/mine.lua\nreturn {}",
  },
  E0705 = {
    title = "a recipe required while running",
    why = "A run executes what was archived and checked before it began. What "
      .. "is required inside a goal would be read from disk at that moment.",
    text = { [[apply = function(g) require "acme/moves".move { ... } end]],
      [[local move = require "acme/moves".move]] .. "   -- at the top" },
  },
  E0901 = {
    title = "not built yet",
    why = "The word or field belongs to the language, and this version does not "
      .. "do it yet. It is refused rather than ignored.",
    wrong = [[workload "greeter" { unit = "greeter.service" }]],
    right = [[workload "greeter" { process = { "greeter" } }]],
  },
}
