--- tranship deny: says no to a step that asks; the run stops there.

return require "runbook.command.answering".command {
  name = "deny", answer = "denied",
  summary = "Say no to a step that asks for approval; the run stops there.",
  examples = {
    "tranship deny 7f3a 8 --comment \"not on a Friday\"",
  },
}
