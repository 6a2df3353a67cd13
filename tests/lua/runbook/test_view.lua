-- The live view and the report, fed with a journal made by hand.
local test = ...
local picture = require "runbook.show.picture"
local report = require "runbook.show.report"
local state = require "runbook.record.state"
local view = require "runbook.show.view"

local T0 = 1795413600000

local steps = {
  { kind = "step", id = "1", title = "1. Know both sides" },
  { kind = "step", id = "6a", title = "6a. Move the consumer" },
  { kind = "ponr", id = "line", title = "No way back" },
  { kind = "step", id = "9", title = "9. Retire the source" },
}
local book = { name = "event-bus", version = "1.4.0", steps = steps }

local function journal()
  local list = {}
  local function add(after_ms, kind, fields)
    fields.kind, fields.seq, fields.time = kind, #list + 1, T0 + after_ms
    list[#list + 1] = fields
  end
  add(0, "run.open", { run = "7f3a", runbook = "event-bus", version = "1.4.0",
    operator = "ana@ops-2", clusters = { old = "Zl0m" }, archive = "ab",
    params = { lag = { kind = "count", value = 100 },
               pw = { kind = "secret", secret = "4c1e" } } })
  add(10, "step.enter", { step = "1", title = steps[1].title })
  add(20, "check.answer", { step = "1", when = "before", answer = { ok = true } })
  add(900, "step.leave", { step = "1", state = "done", how = "found", took_ms = 890 })
  add(1000, "step.enter", { step = "6a", title = steps[2].title })
  add(1100, "check.answer", { step = "6a", when = "before",
    answer = { ok = false, text = "runs on <old>" } })
  add(1200, "owed.open", { step = "6a", debt = "gap", title = "greeter is down" })
  add(1300, "effect.intent", { step = "6a", primitive = "kafka.alter_group_offsets",
    target = "cluster/new/group/greeter/offset/t/0", resume = "set",
    summary = "commit 9007199254740993 for greeter", before = { offset = 1 },
    after = { offset = 9007199254740993 }, undo = "commit 1" })
  return list, add
end

local function pic(records, height)
  local run = state.fold(records)
  return table.concat(picture.lines {
    book = book, run_id = "7f3a", state = run, now = T0 + 5200,
    progress = { ["6a"] = "carrying offsets greeter 9/12" },
    footer = { owed = { "restart greeter" }, way_back = { "6a", "1" },
               lag = 14, max_lag = 100 },
    color = false, width = 100, height = height or 40,
  }, "\n")
end

test("the picture shows done, open with its gap, and pending steps", function(t)
  local text = pic((journal()))
  t.match(text, "event%-bus 1%.4%.0   run 7f3a")
  t.match(text, " ok 1 +Know both sides +890ms  was so already")
  t.match(text, " >> 6a +Move the consumer +00:04  gap: greeter is down for 00:04")
  t.match(text, "\n +carrying offsets greeter 9/12\n")
  t.match(text, "══ No way back ══")
  t.match(text, " %.%. 9 ")
  t.match(text, "owed: restart greeter +way back: 6a, 1 +lag 14 %(max 100%)")
end)

test("a low screen folds what is over and what has not begun", function(t)
  local text = pic((journal()), 6)
  local count = select(2, text:gsub("\n", "")) + 1
  t.ok(count <= 6, "drew " .. count .. " lines")
  t.match(text, ">> 6a")
  t.match(text, "lag 14")
end)

test("no line is wider than the screen, also with long umlauts", function(t)
  local records, add = journal()
  add(1400, "step.leave", { step = "6a", state = "failed", took_ms = 400,
    error = { message = ("größer "):rep(40) } })
  for line in (pic(records) .. "\n"):gmatch "(.-)\n" do
    t.ok(utf8.len(line) <= 100, line)
  end
end)

test("plain output has one line per event, with step and time", function(t)
  local out = {}
  local shown = view.new { book = book, run_id = "7f3a", mode = "plain",
    write = function(text) out[#out + 1] = text end }
  for _, record in ipairs((journal())) do shown:record(record) end
  shown:close()
  local text = table.concat(out)
  t.match(text, "%d%d:%d%d:%d%d  6a   6a%. Move the consumer: begins\n")
  t.match(text, "gap opens: greeter is down")
  t.match(text, "commit 9007199254740993 for greeter")
end)

test("a question that keeps its answer is said once", function(t)
  local out = {}
  local shown = view.new { book = book, run_id = "7f3a", mode = "plain",
    write = function(text) out[#out + 1] = text end }
  for i = 1, 3 do
    shown:record { kind = "verify.answer", step = "1", question = "lag",
                   seq = i, time = T0, answer = { ok = i == 3 } }
  end
  t.equal(#out, 2)
end)

test("jsonl output is the journal's own lines", function(t)
  local out = {}
  local shown = view.new { book = book, run_id = "7f3a", mode = "jsonl",
    write = function(text) out[#out + 1] = text end }
  shown:record { kind = "log", seq = 1, time = T0, text = "a" }
  t.equal(out, { ('{"kind":"log","seq":1,"text":"a","time":%d}\n'):format(T0) })
end)

test("the report holds verdict, downtime, positions, and escapes text", function(t)
  local records, add = journal()
  add(3200, "owed.paid", { owed = 7, step = "6a", debt = "gap",
    title = "greeter is down", took_ms = 2000 })
  add(3300, "step.leave", { step = "6a", state = "done", how = "applied", took_ms = 2300 })
  add(3400, "ponr.crossed", { step = "line", title = "No way back" })
  add(3500, "run.close", { exit = 0, outcome = "done" })
  local page = report.html(records)
  t.match(page, '<p class="verdict good"><b>Done</b>')
  t.match(page, "greeter is down</td><td>6a</td><td>[^<]+</td><td>2s")
  t.match(page, "9007199254740993")
  t.match(page, "runs on &lt;old&gt;")
  t.match(page, "secret 4c1e")
  t.ok(not page:find("http", 1, true), "names something outside")
  t.ok(not page:find("<script", 1, true))
end)

test("the report of an unfinished run says so and shows what is owed", function(t)
  local page = report.html((journal()))
  t.match(page, "verdict warn")
  t.match(page, "still open")
  t.match(page, "<h2>Owed</h2><table>")
end)
