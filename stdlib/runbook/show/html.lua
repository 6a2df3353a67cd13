--- The few pieces of HTML a report is made of. Text is escaped here and
-- nowhere else; no script, no font and no picture comes from outside.

local units = require "base.units"

local M = {}

local ENTITY = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
                 ['"'] = "&quot;", ["'"] = "&#39;" }

function M.escape(text) return (tostring(text):gsub("[&<>\"']", ENTITY)) end

local e = M.escape

local STYLE = [[
:root { --good: #1a7f37; --warn: #9a6700; --bad: #cf222e; --dim: #59636e;
  --line: #d1d9e0; --ground: #fff; --ink: #1f2328; --soft: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --warn: #d29922;
  --bad: #f85149; --dim: #9198a1; --line: #3d444d; --ground: #0d1117;
  --ink: #f0f6fc; --soft: #151b23; } }
@media print { :root { --good: #1a7f37; --warn: #9a6700; --bad: #cf222e;
  --dim: #59636e; --line: #d1d9e0; --ground: #fff; --ink: #000; --soft: #fff; }
  section { break-inside: avoid-page; } summary { display: none; }
  details > pre { display: block; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto;
  padding: 0 1rem; color: var(--ink); background: var(--ground); }
h1 { font-size: 1.5rem; margin-bottom: .5rem; } h2 { font-size: 1.15rem;
  margin-top: 2rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left;
  vertical-align: top; padding: .15rem .8rem .15rem 0; overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: 500; } table.facts th { width: 11rem; }
table.log td:first-child { width: 5rem; color: var(--dim);
  font-variant-numeric: tabular-nums; }
tr.detail { color: var(--dim); } tr.trouble { color: var(--bad); }
.verdict { padding: .6rem 1rem; border-left: .4rem solid; background: var(--soft); }
.verdict.good { border-color: var(--good); } .verdict.bad { border-color: var(--bad); }
.verdict.warn { border-color: var(--warn); } .dim { color: var(--dim); }
.mark { font-size: .8rem; padding: .05rem .5rem; border-radius: 1rem;
  border: 1px solid; } .mark.good { color: var(--good); }
.mark.warn { color: var(--warn); } .mark.bad { color: var(--bad); }
.mark.dim { color: var(--dim); } .way { color: var(--dim); font-size: .9em; }
details { display: inline; } summary { display: inline; cursor: pointer;
  color: var(--dim); font-size: .85em; margin-left: .5rem; }
pre { background: var(--soft); padding: .6rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .85em; margin: .3rem 0; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
svg .axis { fill: var(--dim); } svg .good { fill: var(--good); }
svg .bad { fill: var(--bad); } svg .warn, svg .undo { fill: var(--warn); }
svg .gap { fill: var(--bad); opacity: .55; } svg .rule { stroke: var(--line); }
svg .ponr { stroke: var(--bad); stroke-width: 2; }
svg .approval, svg .signal { fill: var(--warn); }
]]

--- A whole page.
function M.page(title, body)
  return table.concat {
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    "<title>", e(title), "</title><style>", STYLE, "</style></head>\n<body>",
    body, "</body></html>\n",
  }
end

--- Two columns: name and value.
function M.facts(rows)
  local out = {}
  for i, row in ipairs(rows) do
    out[i] = ("<tr><th>%s</th><td>%s</td></tr>"):format(e(row[1]), e(row[2]))
  end
  return '<table class="facts">' .. table.concat(out) .. "</table>"
end

--- Rows of text; the first is the heading.
function M.table(rows)
  local out = {}
  for i, row in ipairs(rows) do
    local tag, cells = i == 1 and "th" or "td", {}
    for j, cell in ipairs(row) do
      cells[j] = ("<%s>%s</%s>"):format(tag, e(cell), tag)
    end
    out[i] = "<tr>" .. table.concat(cells) .. "</tr>"
  end
  return "<table>" .. table.concat(out) .. "</table>"
end

--- Something long, folded away on the screen and open on paper.
function M.details(title, text)
  return ("<details><summary>%s</summary><pre>%s</pre></details>")
    :format(e(title), e(text))
end

local LEFT, WIDTH, ROW = 210, 1000, 22

local function axis(t, x, height)
  local out = {}
  for i = 0, 5 do
    local at = t.from + (t.to - t.from) * i // 5
    out[#out + 1] = ('<line class="rule" x1="%.1f" x2="%.1f" y1="0" y2="%d"/>'
      .. '<text class="axis" x="%.1f" y="%d" text-anchor="%s">+%s</text>')
      :format(x(at), x(at), height - 18, x(at), height - 4,
        i == 0 and "start" or i == 5 and "end" or "middle",
        units.show_duration(at - t.from))
  end
  return table.concat(out)
end

local function bar(class, x1, x2, y, title)
  return ('<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2">'
    .. "<title>%s</title></rect>"):format(class, x1, y, math.max(2, x2 - x1),
      class == "gap" and 5 or 12, e(title))
end

--- Steps over time: bars, gaps below them, approvals, the point of no return.
---@param t table  from, to (wall ms), order (steps), spans, gaps, marks
function M.timeline(t)
  local y_of, height = {}, #t.order * ROW + 24
  local long = math.max(1, t.to - t.from)
  local function x(at) return LEFT + (WIDTH - LEFT) * (at - t.from) / long end
  local out = { ('<svg viewBox="0 0 %d %d" role="img" '
    .. 'aria-label="timeline of the steps">'):format(WIDTH, height),
    axis(t, x, height) }
  for i, step in ipairs(t.order) do
    y_of[step.id] = (i - 1) * ROW
    local name = step.title or step.id
    local stop = (utf8.len(name) or #name) > 32 and utf8.offset(name, 31)
    out[#out + 1] = ('<text x="0" y="%d">%s</text>'):format(i * ROW - 8,
      e(stop and name:sub(1, stop - 1) .. "…" or name))
  end
  for _, span in ipairs(t.spans) do
    local to = span.to or t.to
    out[#out + 1] = bar(span.class, x(span.from), x(to), y_of[span.row] + 4,
                        units.show_duration(to - span.from))
  end
  for _, gap in ipairs(t.gaps) do
    local to = gap.to or t.to
    if y_of[gap.step] then
      out[#out + 1] = bar("gap", x(gap.from), x(to), y_of[gap.step] + 16,
        gap.title .. " " .. units.show_duration(to - gap.from))
    end
  end
  for _, mark in ipairs(t.marks) do
    local y = y_of[mark.row]
    if mark.class == "ponr" then
      out[#out + 1] = ('<line class="ponr" x1="%.1f" x2="%.1f" y1="0" y2="%d">'
        .. "<title>%s</title></line>"):format(x(mark.at), x(mark.at),
          height - 18, e(mark.text))
    elseif y then
      out[#out + 1] = ('<circle class="%s" cx="%.1f" cy="%d" r="5"><title>%s'
        .. "</title></circle>"):format(mark.class, x(mark.at), y + 10,
          e(mark.text))
    end
  end
  out[#out + 1] = "</svg>"
  return table.concat(out)
end

return M
