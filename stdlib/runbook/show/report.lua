--- The report of a run: its journal as one self-contained HTML page, readable
-- in a browser without a network, and on paper. Everything shown comes from
-- the journal; nothing is asked of a cluster.

local json = require "vm.json"
local time = require "base.time"
local units = require "base.units"
local certificate = require "mirror.offsets.certificate"
local describe = require "runbook.show.describe"
local html = require "runbook.show.html"
local journal = require "runbook.record.journal"
local plain = require "runbook.record.plain"
local state = require "runbook.record.state"

local M = { FORMAT = 1 }

local e = html.escape

local when = time.date

local VERDICT = {
  done = { "good", "Done" }, undone = { "warn", "Taken back cleanly" },
  ["given up"] = { "bad", "Given up" },
}

local function verdict(run)
  local word = run:word()
  local class, text = table.unpack(VERDICT[word] or { "bad", word })
  if word == "running" or word == "going back" then class = "warn" end
  local last = run.closed or run.stopped
  local why = last and (last.because or (last.error and last.error.message))
  return ('<p class="verdict %s"><b>%s</b>%s</p>'):format(class, e(text),
    why and " " .. e(why) or "")
end

local function fingerprint(param)
  if param.secret then return "secret " .. tostring(param.secret) end
  return tostring(param.value)
end

local function facts(run, records)
  local open, last = run.open, records[#records]
  local rows = {
    { "Runbook", ("%s %s (%s)"):format(open.runbook, open.version or "",
                                       open.file or "") },
    { "Owner", open.owner or "" },
    { "Run", open.run },
    { "Driven by", (run.driver or open).operator or "" },
    { "Began", when(open.time) },
    { "Last record", when(last.time) },
    { "Took", units.show_duration(last.time - open.time) },
    { "tranship", open.build or "" },
    { "Scripts (hash)", open.archive or "" },
    { "Journal", ("%d records, last %s"):format(#records,
        journal.hash(json.encode(last))) },
  }
  for name, id in pairs(open.clusters or {}) do
    rows[#rows + 1] = { name:find "^kubernetes " and name
      or "Cluster " .. name, tostring(id) }
  end
  local params = {}
  for name, param in pairs(open.params or {}) do
    params[#params + 1] = { name, fingerprint(param) }
  end
  table.sort(params, function(a, b) return a[1] < b[1] end)
  return html.facts(rows), #params > 0
    and "<h2>Parameters</h2>" .. html.facts(params) or ""
end

-- Downtime: every gap that was opened, and how long it lasted.
local function gaps(records)
  local list, open = {}, {}
  for _, rec in ipairs(records) do
    if rec.kind == "owed.open" and rec.debt == "gap" then
      open[rec.seq] = { title = rec.title, step = rec.step, from = rec.time }
      list[#list + 1] = open[rec.seq]
    elseif rec.kind == "owed.paid" and open[rec.owed] then
      open[rec.owed].to = rec.time
    end
  end
  return list
end

local function downtime(list)
  if #list == 0 then return "" end
  local rows = { { "Application", "Step", "From", "Down for" } }
  for _, gap in ipairs(list) do
    rows[#rows + 1] = { gap.title, gap.step, when(gap.from),
      gap.to and units.show_duration(gap.to - gap.from) or "still open" }
  end
  return "<h2>Downtime</h2>" .. html.table(rows)
end

local function shown(value) return value == nil and "" or plain.line(value) end

-- Offsets that were committed for groups: what carry_offsets did, and why each
-- was right. `tranship verify certificates RUN` proves it again.
local function carried(records)
  local rows = { { "Step", "What", "Before", "After", "Evidence" } }
  for _, rec in ipairs(records) do
    if rec.kind == "effect.intent" and rec.primitive:find("offset") then
      local proved = rec.args and rec.args.certificate
      rows[#rows + 1] = { rec.step or "", rec.summary or rec.target,
        shown(rec.before), shown(rec.after),
        proved and certificate.text(proved) or "" }
    end
  end
  if #rows == 1 then return "" end
  return "<h2>Positions carried</h2>" .. html.table(rows)
end

local function debts(run)
  if #run.owed == 0 then return "<p>Nothing is owed.</p>" end
  local rows = { { "Owed", "Step", "Since" } }
  for _, owed in ipairs(run.owed) do
    rows[#rows + 1] = { owed.title, owed.step or "", when(owed.time) }
  end
  return html.table(rows)
end

local function answer_line(rec)
  local line = describe.line(rec)
  local a = rec.answer or {}
  local proof = {}
  if a.seen ~= nil then proof[#proof + 1] = "seen " .. json.encode(a.seen) end
  if a.want ~= nil then proof[#proof + 1] = "want " .. json.encode(a.want) end
  return e(line.text) .. (#proof > 0
    and html.details("evidence", table.concat(proof, "\n")) or "")
end

local function effect_line(rec)
  local data = { target = rec.target, primitive = rec.primitive,
                 args = rec.args, before = rec.before, after = rec.after,
                 resume = rec.resume }
  return e(rec.summary or rec.primitive)
    .. (rec.undo and ' <span class="way">way back: ' .. e(rec.undo) .. "</span>"
        or "")
    .. html.details("effect", json.encode(data, { indent = 2 }))
end

local function step_rows(records)
  local rows = {}
  for _, rec in ipairs(records) do
    local line = describe.line(rec)
    if line then
      local cell = rec.kind == "effect.intent" and effect_line(rec)
        or rec.answer and answer_line(rec) or e(line.text)
      rows[#rows + 1] = ('<tr class="%s"><td>%s</td><td>%s</td></tr>'):format(
        line.weight, time.clock(rec.time), cell)
    end
  end
  return '<table class="log">' .. table.concat(rows) .. "</table>"
end

local MARK = { done = "good", undone = "warn", kept = "good", paid = "good",
               skipped = "dim", failed = "bad", stopped = "bad",
               ["undo failed"] = "bad" }

local function steps(run, by_step)
  local out = { "<h2>Steps</h2>" }
  for _, step in ipairs(run.order) do
    out[#out + 1] = ('<section id="step-%s"><h3><span class="mark %s">%s</span> '
      .. "%s</h3>%s</section>"):format(e(step.id), MARK[step.state] or "warn",
        e(step.state), e(step.title or step.id),
        step_rows(by_step[step.id] or {}))
  end
  return table.concat(out)
end

local function spans(run, by_step)
  local list = {}
  for _, step in ipairs(run.order) do
    local mine = by_step[step.id]
    local entered
    for _, rec in ipairs(mine or {}) do
      if rec.kind == "step.enter" or rec.kind == "undo.enter" then
        entered = rec
      elseif (rec.kind == "step.leave" or rec.kind == "undo.leave")
          and entered then
        list[#list + 1] = { row = step.id, from = entered.time, to = rec.time,
          class = rec.kind == "undo.leave" and "undo"
            or rec.state == "done" and "good" or "bad" }
        entered = nil
      end
    end
    if entered then
      list[#list + 1] = { row = step.id, from = entered.time, class = "warn" }
    end
  end
  return list
end

local function marks(records)
  local list = {}
  for _, rec in ipairs(records) do
    if rec.kind == "approval.given" or rec.kind == "ponr.crossed"
        or rec.kind == "signal" then
      list[#list + 1] = { at = rec.time, row = rec.step,
                          class = rec.kind:gsub("%..*", ""),
                          text = describe.line(rec).text }
    end
  end
  return list
end

local function group_by_step(records)
  local by_step = {}
  for _, rec in ipairs(records) do
    if rec.step then
      by_step[rec.step] = by_step[rec.step] or {}
      table.insert(by_step[rec.step], rec)
    end
  end
  return by_step
end

local function whole_run(records)
  local rows = {}
  for _, rec in ipairs(records) do
    if not rec.step then rows[#rows + 1] = rec end
  end
  return "<h2>The run itself</h2>" .. step_rows(rows)
end

--- The page for a journal.
---@param records tranship.Record[]
---@return string
function M.html(records)
  local run = state.fold(records)
  local by_step, down = group_by_step(records), gaps(records)
  local about, params = facts(run, records)
  local title = ("%s %s, run %s"):format(run.open.runbook,
    run.open.version or "", run.open.run)
  return html.page(title, table.concat {
    "<h1>", e(title), "</h1>", verdict(run), about,
    "<h2>Timeline</h2>", html.timeline {
      from = run.open.time, to = records[#records].time, order = run.order,
      spans = spans(run, by_step), gaps = down, marks = marks(records),
    },
    downtime(down), carried(records),
    "<h2>Owed</h2>", debts(run), params, steps(run, by_step),
    whole_run(records),
    ('<p class="dim">Report format %d, made from the journal alone.</p>')
      :format(M.FORMAT),
  })
end

return M
