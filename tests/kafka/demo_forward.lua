--- The demo's runbook, forward: real applications move while they work, a
-- second process approves, and the audit finds every record.

local test = ...

local stages = dofile "tests/world/stage.lua"
local moving = dofile "tests/world/moving.lua"

test("readers and writers move, and nothing is lost or doubled", function(t)
  local stage <close> = stages.open(t)
  local move = moving.begin(stage, { watch = "1s", soak = "2s",
    patience = "3m" }) -- a busy machine compares a million records slowly
  local code, said = move:run(move.approve)
  t.equal(code, 0, said)
  move:finish "new"
  local text = move:must_be_whole "new"
  t.match(text, "very next record: 6 of 6 partitions")

  local _, id = move:journal()
  stage:tranship_must(0, "journal", "verify", id)
  local page = stage:tranship_must(0, "report", id, "--out", "-").stdout
  t.match(page, "<html")
  t.match(page, "hello%-world%-producer is down")
end)
