--- E03xx and W03xx: steps, their order, and the way back.

return {
  E0301 = {
    title = "two things of one name",
    why = "Names stand in journals and on command lines; two of one name could "
      .. "not be told apart.",
    wrong = "step \"Look\" { verify = road:lag { at_most = 1 } }\n"
      .. "step \"Look\" { verify = road:lag { at_most = 2 } }",
    right = "step \"Look\" { verify = road:lag { at_most = 1 } }\n"
      .. "step \"Look again\" { verify = road:lag { at_most = 2 } }",
  },
  E0302 = {
    title = "a reference in quotes",
    why = "Steps are referred to by the local they were declared as: an editor "
      .. "can follow it, and a misspelt one is found at its line.",
    wrong = [[step "Look" { needs = { "Prepare" }, verify = road:lag { at_most = 1 } }]],
    right = [[step "Look" { needs = { prepared }, verify = road:lag { at_most = 1 } }]],
  },
  E0303 = {
    title = "a step needs one that does not stand above it",
    why = "Steps run in the order they are written; needs is a gate and never "
      .. "reorders.",
    wrong = "local late = step \"Late\"\n"
      .. "step \"Early\" { needs = { late }, verify = road:lag { at_most = 1 } }\n"
      .. "late { verify = road:lag { at_most = 2 } }",
    right = "local early = step \"Early\" { verify = road:lag { at_most = 1 } }\n"
      .. "step \"Late\" { needs = { early }, verify = road:lag { at_most = 1 } }",
  },
  E0304 = {
    title = "steps that need each other",
    why = "None of them could ever begin.",
    wrong = "local one = step \"One\"\nlocal two = step \"Two\" { needs = { one },"
      .. " verify = road:lag { at_most = 1 } }\n"
      .. "one { needs = { two }, verify = road:lag { at_most = 1 } }",
    right = "local one = step \"One\" { verify = road:lag { at_most = 1 } }\n"
      .. "step \"Two\" { needs = { one }, verify = road:lag { at_most = 1 } }",
  },
  E0305 = {
    title = "a step that does nothing",
    why = "A step makes something true (ensure), or proves something (verify).",
    wrong = [[step "Wait" { timeout = "5m" }]],
    right = [[step "Wait" { verify = road:lag { at_most = 1 }, timeout = "5m" }]],
  },
  E0306 = {
    title = "a goal, and its own answers beside it",
    why = "A goal brings check, plan, apply and undo with it. A step may add "
      .. "verify and on_failure, not a second set of answers.",
    wrong = [[step "Close" { ensure = road:closed(), check = function() return true end }]],
    right = [[step "Close" { ensure = road:closed() }]],
  },
  E0307 = {
    title = "passing over the failure of a change",
    why = "\"go on\" is for steps that only look. A change that failed may be "
      .. "half done, and what follows relies on it.",
    wrong = [[step "Close" { ensure = road:closed(), on_failure = "go on" }]],
    right = [[step "Close" { ensure = road:closed(), on_failure = "ask" }]],
  },
  E0308 = {
    title = "something else than steps in parallel or rescue",
    why = "They hold steps, each of which stands in one place only.",
    wrong = [[parallel "Both" { road:closed() }]],
    right = [[parallel "Both" { step "Close" { ensure = road:closed() } }]],
  },
  E0309 = {
    title = "going back to a step that does not stand above",
    why = "undo_to takes back everything behind a step that is already done.",
    wrong = "local late = step \"Late\"\nstep \"Look\" { verify = road:lag "
      .. "{ at_most = 1 }, on_failure = undo_to(late) }\n"
      .. "late { verify = road:lag { at_most = 2 } }",
    right = [[step "Look" { verify = road:lag { at_most = 1 },
  on_failure = undo_to(prepared) }]],
  },
  E0310 = {
    title = "a writer moves before a reader of what it writes",
    why = "With order = \"readers before writers\" whoever reads a topic moves "
      .. "before whoever writes it, from the sinks to the sources. The other way "
      .. "round a topic has two writers for a while, the mirror and the "
      .. "application, and the records of one are lost on the way back. An "
      .. "application that reads and writes counts as both. Two that read from "
      .. "each other move inside one parallel.",
    bare = true,
    wrong = "-- runbook \"...\" { order = \"readers before writers\" }\n"
      .. "step \"1. Move the writer\" { ensure = move { writer, to = target, over = road } }\n"
      .. "step \"2. Move the reader\" { ensure = move { reader, to = target, over = road } }",
    right = "-- runbook \"...\" { order = \"readers before writers\" }\n"
      .. "step \"1. Move the reader\" { ensure = move { reader, to = target, over = road } }\n"
      .. "step \"2. Move the writer\" { ensure = move { writer, to = target, over = road } }",
  },
  E0311 = {
    title = "an undo across the point of no return",
    why = "The line says that what stands above it is no way back any more. No "
      .. "automatic undo crosses it.",
    wrong = "point_of_no_return \"The line\" { approve = \"Go?\" }\n"
      .. "step \"Close\" { ensure = road:closed(), on_failure = \"undo all\" }",
    right = "point_of_no_return \"The line\" { approve = \"Go?\" }\n"
      .. "step \"Close\" { ensure = road:closed(), on_failure = \"ask\" }",
  },
  E0312 = {
    title = "two steps at once about the same thing",
    why = "Steps of a parallel may overlap in any way; each thing has one "
      .. "owner at a time.",
    wrong = "parallel \"Both\" {\n"
      .. "  step \"Forth\" { ensure = move { app, to = target, over = road } },\n"
      .. "  step \"Back\" { ensure = move { app, to = source, over = road } },\n}",
    right = "step \"Forth\" { ensure = move { app, to = target, over = road } }\n"
      .. "step \"Back\" { ensure = move { app, to = source, over = road } }",
  },
  E0315 = {
    title = "a point of no return inside a group",
    why = "The line divides the whole runbook in two: it stands on its own.",
    wrong = "parallel \"Both\" {\n  step \"Close\" { ensure = road:closed() },\n"
      .. "  point_of_no_return \"The line\" { approve = \"Go?\" },\n}",
    right = "step \"Close\" { ensure = road:closed() }\n"
      .. "point_of_no_return \"The line\" { approve = \"Go?\" }",
  },
  E0316 = {
    title = "apply without check",
    why = "check tells whether apply is needed, whether it has worked, and, "
      .. "after a crash, how far it came.",
    wrong = [[step "Act" { apply = function() end, irreversible = "nothing stays" }]],
    right = [[step "Act" { check = function() return true end, apply = function() end,
  irreversible = "nothing stays" }]],
  },
  E0317 = {
    title = "steady or good_for without verify",
    why = "They say how long a proof must hold, or counts; there is no proof.",
    wrong = [[step "Close" { ensure = road:closed(), steady = "5m" }]],
    right = [[step "Close" { ensure = road:closed(), steady = "5m",
  verify = road:lag { at_most = 1 } }]],
  },
  W0301 = {
    title = "no way back, and no reason given",
    why = "A change without undo stays when a run goes back. That may be right; "
      .. "then say why, and every undo message repeats it.",
    wrong = [[step "Act" { check = function() return true end, apply = function() end }]],
    right = [[step "Act" { check = function() return true end, apply = function() end,
  irreversible = "only writes a note" }]],
  },
  W0302 = {
    title = "a goal that no step ensures",
    why = "Making a goal does nothing; a step must ensure it.",
    wrong = [[road:closed()]],
    right = [[step "Close" { ensure = road:closed() }]],
  },
}
