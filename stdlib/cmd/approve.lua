--- tranship approve: says yes to a step that asks, from another shell.

return require "runbook.command.answering".command {
  name = "approve", answer = "given",
  summary = "Say yes to a step that asks for approval.",
  examples = {
    "tranship approve 7f3a 8",
    "tranship approve 7f3a 8 --wait    wait until the step asks",
    "tranship approve 7f3a 8 --comment \"CHG1234, agreed in the call\"",
  },
}
