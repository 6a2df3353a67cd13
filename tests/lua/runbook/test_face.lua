-- What scripts see of declared things, while declaring and while running.
local test = ...
local context = require "base.context"
local load = require "runbook.load"

local TEXT = [[
runbook "example" {}
local source = cluster "source" { bootstrap = "127.0.0.1:1", never = { "delete topics" } }
local target = cluster "target" { bootstrap = "127.0.0.1:2" }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }
step "x" { check = function(g, run) %s end, apply = function() end, undo = function() end }
]]

local function function_of(t, body)
  local book, problems = load.book("x.lua", { once = true,
    sources = { ["x.lua"] = TEXT:format(body) } })
  if not book then t.fail(require "runbook.declare.problems".text(problems)) end
  return book.steps[1].check[1], book
end

local function run(t, body)
  return context.with({ phase = "check" }, (function_of(t, body)))
end

local function raised(t, body)
  local ok, why = pcall(run, t, body)
  t.ok(not ok, "nothing was raised")
  return why
end

test("fields are read; lists are copies", function(t)
  t.equal(run(t, "return source.name"), "source")
  t.equal(run(t, "source.never[1] = 'x'; return source.never[1]"), "delete topics")
end)

test("nothing declared can be changed while running", function(t)
  t.equal(raised(t, "source.name = 'x'").code, "E0112")
  t.equal(raised(t, "source.topics = nil").code, "E0112")
end)

test("a misspelt name says what it was meant to be", function(t)
  local why = raised(t, "return source:topicss()")
  t.equal(why.code, "E0104")
  t.match(why, "did you mean 'topics'")
end)

test("private fields and raw handles are not there", function(t)
  for _, name in ipairs { "_clients", "_client", "client", "close", "new" } do
    t.equal(raised(t, "return source." .. name).code, "E0104", name)
  end
  for _, name in ipairs { "say", "wire", "topic", "home" } do
    t.equal(raised(t, "return road:" .. name .. "()").code, "E0104", name)
  end
  t.equal(run(t, "return road.name"), "road")
end)

test("a failure of the world is raised as the err it is", function(t)
  local _, book = function_of(t, "return true")
  local class = getmetatable(book.clusters[1])
  local topics = class.topics
  local _ <close> = setmetatable({}, { __close = function()
    class.topics = topics
  end })
  local trouble = require "base.err".new { kind = "timeout", message = "late" }
  function class.topics() return nil, trouble end
  t.ok(raised(t, "source:topics() return true") == trouble)
end)

test("a dot where a colon belongs", function(t)
  t.equal(raised(t, "return source.topics()").code, "E0105")
end)

test("an answer that is not ok is false, and evidence", function(t)
  local f, book = function_of(t, "return road:writer_is({}, source)")
  local class = getmetatable(book.bridges[1])
  local writer_is = class.writer_is
  local _ <close> = setmetatable({}, { __close = function()
    class.writer_is = writer_is
  end })
  local answers, told = { { ok = false, text = "no" }, { ok = true },
    { ok = true, unsure = "half" } }, {}
  function class.writer_is() return table.remove(answers, 1) end
  local function ask()
    return context.with({ phase = "check", evidence = function(answer)
      told[#told + 1] = answer
    end }, f)
  end
  t.equal(ask(), false)
  t.equal(ask(), { ok = true })
  t.equal(ask(), false)
  t.equal({ #told, told[1].text, told[3].unsure }, { 3, "no", "half" })
end)

test("names inside functions are checked before anything runs", function(t)
  local book, problems = load.book("x.lua", { once = true, sources = {
    ["x.lua"] = TEXT:format "local ok = sorce:topics(); return os.time() > 0" } })
  t.equal(book, nil)
  t.equal({ #problems, problems[1].code, problems[1].col, problems[2].code },
    { 2, "E0102", 48, "E0506" })
  t.equal(problems[1].hint, "did you mean 'source'?")
end)

test("no way out of the sandbox through a face", function(t)
  for _, body in ipairs { "source.x = 1", "source._name = 1", "road.from.name = 2" } do
    t.ok(require "base.err".is(raised(t, body)), body)
  end
end)
