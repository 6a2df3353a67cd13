--- E01xx: words, names, fields, and the text itself.
-- `wrong` and `right` are tried by the tests: the first must give its code, the
-- second none. A line "-- also: NAME" begins another file of the example.

return {
  E0101 = {
    title = "the text is not Lua",
    why = "A runbook is read as Lua 5.4 before anything else happens. The place "
      .. "is where reading stopped; what is wrong often stands just above it.",
    wrong = [[step "Look" { verify = road:lag { at_most = 1 } ]],
    right = [[step "Look" { verify = road:lag { at_most = 1 } }]],
  },
  E0102 = {
    title = "a name that was never declared",
    why = "Only words, the safe library and locals declared above are known. A "
      .. "misspelt word or local is found here, at its line, and not as a nil "
      .. "somewhere later.",
    wrong = [[stpe "Look" { verify = road:lag { at_most = 1 } }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 } }]],
  },
  E0103 = {
    title = "a new global",
    why = "Globals of a runbook cannot be told apart from misspelt locals, so "
      .. "there are none.",
    wrong = [[limit = 100]],
    right = [[local limit = 100]],
  },
  E0104 = {
    title = "a declared thing has no such reading or goal",
    why = "Clusters, workloads and bridges have a fixed set of readings, goals "
      .. "and effects. `tranship repl FILE` and `?source` list them.",
    wrong = [[step "Look" { verify = road:lagg { at_most = 1 } }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 } }]],
  },
  E0105 = {
    title = "a dot where a colon belongs",
    why = "Readings, goals and effects belong to the thing before them, and "
      .. "Lua hands it over only with a colon.",
    wrong = [[step "Look" { verify = road.lag { at_most = 1 } }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 } }]],
  },
  E0106 = {
    title = "a word without its table",
    why = "Most words take a name and then a table: step \"name\" { ... }. With "
      .. "the name alone nothing is declared.",
    wrong = [[step "Look"]],
    right = [[step "Look" { verify = road:lag { at_most = 1 } }]],
  },
  E0107 = {
    title = "no such field",
    why = "Every field of every word is known beforehand, so a misspelt one "
      .. "cannot be silently ignored.",
    wrong = [[step "Look" { verify = road:lag { at_most = 1 }, retyr = 2 }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 }, retry = 2 }]],
  },
  E0108 = {
    title = "an unnamed item where only fields are known",
    why = "This table has fields with names; an item without a name would be "
      .. "ignored.",
    wrong = [[step "Look" { road:lag { at_most = 1 } }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 } }]],
  },
  E0109 = {
    title = "a field that must be given is missing",
    why = "There is no sensible default for it.",
    wrong = [[cluster "third" { id = "Zl0mC1qkTDGn5vV6b3Yx7Q" }]],
    right = [[cluster "third" { bootstrap = "third:9092" }]],
  },
  E0110 = {
    title = "a word that may stand once stands twice",
    why = "A file is one runbook with one table of parameters.",
    wrong = "params { a = a.flag {} }\nparams { b = a.flag {} }",
    right = "params { a = a.flag {}, b = a.flag {} }",
  },
  E0111 = {
    title = "a field written twice in one table",
    why = "Lua keeps the last of them and says nothing; one of the two was "
      .. "surely meant to count.",
    wrong = [[step "Look" { verify = road:lag { at_most = 1 }, timeout = "1m",
  timeout = "2m" }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 }, timeout = "2m" }]],
  },
  E0112 = {
    title = "something declared would be changed",
    why = "What is declared stays as it was reviewed: clusters, workloads, "
      .. "bridges, steps, goals and parameters cannot be assigned to.",
    wrong = [[source.bootstrap = "elsewhere:9092"]],
    right = [[local other = cluster "other" { bootstrap = "elsewhere:9092" }]],
  },
  E0113 = {
    title = "the file names no runbook",
    why = "The name stands in journals, reports and in the refusal that a "
      .. "second operator sees.",
    bare = true,
    wrong = [[params { quiet = a.flag {} }]],
    right = "runbook \"move-the-bus\" { version = \"1.0.0\" }\n"
      .. "params { quiet = a.flag {} }",
  },
  E0114 = {
    title = "the declaration stopped with an error",
    why = "Lua itself, or something that was declared, raised an error while "
      .. "the runbook was declared. What stands below was not looked at.",
    wrong = [[local app = { name = 1 }
log(app.owner.name)]],
    right = [[local app = { name = 1, owner = { name = "ana" } }
log(app.owner.name)]],
  },
  E0115 = {
    title = "the runbook cannot be read",
    why = "The file is not there or not readable for this user.",
    shell = { "tranship check scripts/evnt-bus.lua", "tranship check scripts/event-bus.lua" },
  },
}
