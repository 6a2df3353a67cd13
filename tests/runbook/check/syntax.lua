-- The text itself: what Lua cannot read is all that can be said of it.
runbook "syntax" {
  version = "1.0.0"
  owner   = "ana@example.com",
}
