--- E02xx: values, units, references.

return {
  E0201 = {
    title = "a value of another kind",
    why = "The field wants one kind of value and got another.",
    wrong = [[step "Build" { ensure = target }]],
    right = [[step "Build" { ensure = move { app, to = target, over = road } }]],
  },
  E0202 = {
    title = "not one of the allowed words",
    why = "The field has a fixed set of values.",
    wrong = [[step "Look" { verify = road:lag { at_most = 1 }, on_failure = "undo al" }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 }, on_failure = "undo all" }]],
  },
  E0203 = {
    title = "a number without a unit",
    why = "Nobody can tell seconds from milliseconds, or bytes from kilobytes, "
      .. "by looking at a bare number. Durations are written \"250ms\", \"30s\", "
      .. "\"5m\", \"1h30m\", \"2d\"; sizes \"512B\", \"20MiB\"; rates \"1/s\", "
      .. "\"20MiB/s\"; shares \"1%\".",
    wrong = [[step "Look" { verify = road:lag { at_most = 1 }, steady = 2 }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 }, steady = "2m" }]],
  },
  E0204 = {
    title = "a unit or amount that cannot be read",
    why = "The text is neither a duration, a size, a rate nor a share, as the "
      .. "field wants it.",
    wrong = [[step "Look" { verify = road:lag { at_most = 1 }, timeout = "2 minutes" }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 }, timeout = "2m" }]],
  },
  E0205 = {
    title = "a text that does not look as it should",
    why = "The type of the value gives a pattern, and the whole text must "
      .. "match it.",
    wrong = [[params { change = a.text { like = "CHG%d+", default = "soon" } }]],
    right = [[params { change = a.text { like = "CHG%d+", default = "CHG1" } }]],
  },
  E0206 = {
    title = "a number out of range",
    why = "The field states the smallest and the largest value.",
    wrong = [[step "Look" { verify = road:lag { at_most = 1 }, retry = 0 }]],
    right = [[step "Look" { verify = road:lag { at_most = 1 }, retry = 1 }]],
  },
  E0207 = {
    title = "a missing reference",
    why = "An item of a list is nil, so something was meant that does not "
      .. "exist; or the list is empty.",
    wrong = "local arrived = nil\n"
      .. [[step "Look" { needs = { arrived, prepared },
  verify = road:lag { at_most = 1 } }]],
    right = [[step "Look" { needs = { prepared }, verify = road:lag { at_most = 1 } }]],
  },
  E0210 = {
    title = "something that cannot be declared like this",
    why = "The fields are known and of the right kind, but the thing they "
      .. "describe cannot be: a bootstrap address without a port, an effect "
      .. "that never knows, options that contradict each other.",
    wrong = [[cluster "third" { bootstrap = "third" }]],
    right = [[cluster "third" { bootstrap = "third:9092" }]],
  },
  E0211 = {
    title = "a workload that nothing can start or stop",
    why = "A run must be able to ask whether the application runs, and to stop "
      .. "and start it: by a process on this machine, by commands of yours, or "
      .. "as a Deployment of the Kubernetes that its clusters are on.",
    wrong = [[workload "greeter" { group = "greeter", reads = "greetings" }]],
    right = [[workload "greeter" { group = "greeter", reads = "greetings",
  process = { "greeter", "--bootstrap", "{bootstrap}" } }]],
  },
}
