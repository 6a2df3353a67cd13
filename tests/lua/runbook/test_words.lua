-- Values that words build: any, rescue, logins, types.
local test = ...
local context = require "base.context"
local load = require "runbook.load"

local HEAD = [[
runbook "example" {}
local source = cluster "source" { bootstrap = "127.0.0.1:1" }
local target = cluster "target" { bootstrap = "127.0.0.1:2" }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }
]]

local function try(text)
  return load.book("x.lua", { once = true, sources = { ["x.lua"] = HEAD .. text } })
end

local function book_of(t, text)
  local book, problems = try(text)
  if not book then t.fail(require "runbook.declare.problems".text(problems)) end
  return book
end

test("any is one question, yes when one of them is", function(t)
  local book = book_of(t, [[
step "x" { verify = any {
  function() return { ok = false, seen = 1 } end,
  function() return true end,
} }
step "y" { verify = any { function() return { ok = false, seen = 7 } end } }
]])
  local function ask(step)
    return context.with({ phase = "check" }, book.steps[step].verify[1].ask)
  end
  t.equal(ask(1), { ok = true })
  local answer = ask(2)
  t.equal({ answer.ok, answer.seen }, { false, 7 })
  t.match(book.steps[1].verify[1].title, "^any of")
end)

test("a recipe's goal: arguments by place and by name, with defaults", function(t)
  local book = book_of(t, [[
local reach = goal "{to} holds {count} of {what}" {
  takes = { a.cluster "to", a.list "what" { of = "pattern" }, a.count "count" { default = 3 } },
  subject = "cluster/{to}/things",
  check = function(g) return g.count == 3 and #g.what == 2 and g.to.name == "source" end,
  apply = function() end,
  irreversible = "nothing is left behind",
}
step "x" { ensure = {
  reach { source, { "a", "b" } },
  reach { to = target, what = "c", count = 1 },
} }
]])
  local first, second = book.steps[1].ensure[1], book.steps[1].ensure[2]
  t.equal(first.title, "source holds 3 of a, b")
  t.equal(second.title, "target holds 1 of c")
  t.equal({ first.subject, second.subject },
    { "cluster/source/things", "cluster/target/things" })
  t.equal(context.with({ phase = "check" }, first.check, first, {}), true)
  t.equal(context.with({ phase = "check" }, second.check, second, {}), false)
end)

test("arguments of a goal are read-only, and misspelt ones named", function(t)
  local book = book_of(t, [[
local odd = goal "odd {to}" {
  takes = { a.cluster "to" },
  check = function(g) g.to = nil end,
  apply = function(g) return g.too end,
  irreversible = "never applied",
}
step "x" { ensure = odd { source } }
]])
  local made = book.steps[1].ensure[1]
  local _, why = pcall(made.check, made, {})
  t.equal(why.code, "E0112")
  _, why = pcall(made.apply, made, {})
  t.match(why, "did you mean 'to'")
end)

test("logins keep their secrets closed", function(t)
  local book = book_of(t, [[
local p = params { word = a.secret { from = "env:HOME" } }
local third = cluster "third" { bootstrap = "127.0.0.1:3", tls = true,
  login = scram { "ana", p.word, mechanism = "SCRAM-SHA-256" } }
step "x" { verify = function() return true end }
]])
  local login = book.clusters[3]._login
  t.equal({ login.user, login.mechanism, login.protocol },
    { "ana", "SCRAM-SHA-256", "sasl_ssl" })
  t.match(tostring(login.password), "^<secret")
  book:close()
end)

test("a step cannot be asked or changed, only named", function(t)
  local _, problems = try [[
local first = step "First" { verify = function() return true end }
first.title = "other"
log(first.index)
]]
  t.equal({ problems[1].code, problems[2].code }, { "E0112", "E0104" })
end)

test("goals cannot be changed after they were made", function(t)
  local _, problems = try [[
local closed = road:closed()
closed.title = "open"
step "x" { ensure = closed }
]]
  t.ok(#problems > 0 and problems[1].severity == "error")
end)

test("what went wrong once is not complained about again", function(t)
  local _, problems = try [[
local gone = clustr "gone" { bootstrap = "h:1" }
local lost = bridge "lost" { from = gone, to = target, topics = "apps.*" }
step "x" { verify = { lost:lag { at_most = gone.limit + 1 }, gone:reachable() }, needs = { gone } }
for _, topic in ipairs(gone:topics()) do log(topic.name .. "x") end
]]
  t.equal({ #problems, problems[1].code }, { 1, "E0102" })
end)

test("nothing is declared or required from inside a goal", function(t)
  local book = book_of(t, [[
step "x" {
  check = function() step "y" { verify = function() return true end } end,
  apply = function() require "acme/moves" end,
  undo  = function() cluster "z" { bootstrap = "h:1" } end,
}
]])
  local codes = { check = "E0508", apply = "E0705", undo = "E0508" }
  for name, code in next, codes do
    local f = book.steps[1][name]
    local ok, why = pcall(type(f) == "table" and f[1] or f)
    t.equal({ ok, why.code }, { false, code })
  end
  t.equal(#book.steps, 1)
end)

test("together runs side by side inside the limits", function(t)
  local book = book_of(t, [[
step "x" { verify = function()
  local both = together { function() return 1 end, function() return 2 end, at_once = 1 }
  return both[1] + both[2] == 3
end }
step "y" { verify = function()
  return together { function() while true do end end, function() return 2 end }
end }
]])
  t.equal(book.steps[1].verify[1](), true)
  local ok, why = pcall(book.steps[2].verify[1])
  t.equal({ ok, why.kind }, { false, "limit" })
end)
