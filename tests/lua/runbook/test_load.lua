-- From a text to a book: order, names, needs, ways out, archive, purity.
local test = ...
local load = require "runbook.load"
local sys = require "vm.sys"

local HEAD = [[
runbook "example" { version = "1.2.3", owner = "ana" }
local source = cluster "source" { bootstrap = "127.0.0.1:1" }
local target = cluster "target" { bootstrap = "127.0.0.1:2" }
local app = workload "app" { group = "g", reads = "apps.x", process = { "true" } }
local road = bridge "road" { from = source, to = target, topics = { "apps.*" } }
local look = function() return true end
]]

local function try(text, options)
  options = options or {}
  options.sources = options.sources or {}
  options.sources["x/bus.lua"] = (options.head or HEAD) .. text
  options.sources["x/recipes/acme/moves.lua"] =
    assert(sys.read_file "scripts/recipes/acme/moves.lua")
  return load.book("x/bus.lua", options)
end

local function book_of(t, text, options)
  local book, problems = try(text, options)
  if not book then t.fail(require "runbook.declare.problems".text(problems)) end
  return book
end

test("steps keep the order of the text; short names; default needs", function(t)
  local book = book_of(t, [[
step "Back up what we are about to touch" { verify = look }
parallel "1-3. Both sides" { at_once = 1,
  step "Expose" { verify = look },
  step "2b. Shape" { verify = look },
}
local four = step "4. Open the bridge" { ensure = road:open {}, retry = 2 }
step "6a. Move" { needs = { four }, verify = look }
point_of_no_return "The line" { approve = { "Go?", within = "2h" } }
step "Close" { ensure = road:closed() }
]])
  local seen = {}
  for i, step in ipairs(book.steps) do
    local needs = {}
    for j, needed in ipairs(step.needs) do needs[j] = needed.id end
    seen[i] = ("%s:%s:%s"):format(step.id, step.kind, table.concat(needs, ","))
  end
  t.equal(seen, { "back-up-what-we-are-about-to:step:",
    "expose:step:back-up-what-we-are-about-to",
    "2b:step:back-up-what-we-are-about-to", "4:step:expose,2b", "6a:step:4",
    "the-line:ponr:6a", "close:step:the-line" })
  t.equal(#book.items, 6)
  t.equal(book.items[2].kind, "parallel")
  t.equal(book.items[2].at_once, 1)
  t.equal(book.by_id["6a"].needs_given, true)
  t.equal(book.by_id["4"].needs_given, false)
  t.equal(book.by_id["4"].retry, { times = 2, wait_ms = 5000, up_to_ms = 60000 })
  t.equal(book.by_id["the-line"].approve, { question = "Go?", within_ms = 7200000 })
  t.equal({ book.name, book.version, book.owner, book.order },
    { "example", "1.2.3", "ana", "as written" })
end)

test("ways out of a failure", function(t)
  local book = book_of(t, [[
local arrived = step "Arrived" { verify = look }
step "a" { verify = look, on_failure = undo_to(arrived) }
step "b" { verify = look, on_failure = rescue { step "Mend" { verify = look }, next = "retry" } }
step "c" { verify = look, on_failure = "undo all" }
step "d" { verify = look }
]])
  local by = book.by_id
  t.equal(by.a.on_failure.kind, "undo to")
  t.ok(by.a.on_failure.step == by.arrived)
  t.equal({ by.b.on_failure.kind, by.b.on_failure.next }, { "rescue", "retry" })
  t.ok(by.mend == by.b.on_failure.steps[1] and by.mend.rescue_of == by.b)
  t.equal(#book.steps, 5)
  t.equal(by.c.on_failure.kind, "undo all")
  t.equal(by.d.on_failure.kind, "stop")
end)

test("times are numbers with their unit in the name", function(t)
  local step = book_of(t, [[
step "x" { verify = look, timeout = "6h", steady = "2m", good_for = "15m", takes = "1m" }
]]).steps[1]
  t.equal({ step.timeout_ms, step.steady_ms, step.good_for_ms, step.takes_ms },
    { 21600000, 120000, 900000, 60000 })
end)

test("loops are plain Lua", function(t)
  local book = book_of(t, [[
for _, name in ipairs { "a", "b", "c" } do step("Move " .. name) { verify = look } end
]])
  t.equal(book.steps[3].title, "Move c")
  t.equal(book.steps[3].pos.line, 7)
end)

test("recipes are found and archived, and their goals are made", function(t)
  local book = book_of(t, [[
local move = require "acme/moves".move
step "Move" { ensure = move { app, to = target, over = road } }
]])
  t.ok(book.sources["x/recipes/acme/moves.lua"])
  local made = book.steps[1].ensure[1]
  t.equal({ made.title, made.subject }, { "app works on target", "workload/app" })
  t.equal(made.args.drain, "5m")
  t.ok(made:has "undo" and not made:has "plan")
end)

test("an archive is all that is read", function(t)
  local first = book_of(t, 'step "x" { verify = look }\n')
  local again = assert(load.book("x/bus.lua", { sources = first.sources }))
  t.equal(again.fingerprint, first.fingerprint)
  local none, problems = load.book("y/bus.lua", { sources = first.sources })
  t.equal(none, nil)
  t.equal(problems[1].code, "E0115")
end)

test("comments and moved lines do not change the fingerprint, words do", function(t)
  local function print_of(text) return book_of(t, text).fingerprint end
  local first = print_of 'step "x" { verify = function() return true end }\n'
  t.equal(print_of '-- a comment\n\nstep "x" {\n verify = function() return true end }\n',
    first)
  t.ok(print_of 'step "x" { verify = function() return false end }\n' ~= first)
  t.ok(print_of 'step "y" { verify = function() return true end }\n' ~= first)
  t.ok(print_of 'step "x" { verify = look, timeout = "1m" }\n'
    ~= print_of 'step "x" { verify = look, timeout = "2m" }\n')
  local with = 'local n = %d\nstep "x" { verify = function() return n > 1 end }\n'
  t.ok(print_of(with:format(1)) ~= print_of(with:format(2)))
end)

test("functions may close over anything declared", function(t)
  local text = [[
local p = params { yes = a.flag { default = %s } }
local moves = require "acme/moves"
local move = moves.move
local first = step "First" { verify = look }
local list = { 1, { 2 } }
list.self = list
step "x" { verify = function()
  return p.yes and moves and move and first and list and road and source and look
end }
]]
  t.ok(book_of(t, text:format "true").fingerprint
    ~= book_of(t, text:format "false").fingerprint)
end)

test("arguments of goals count for the fingerprint", function(t)
  local text = [[
local move = require "acme/moves".move
step "Move" { ensure = move { app, to = target, over = road, drain = "%s" } }
]]
  t.ok(book_of(t, text:format "5m").fingerprint
    ~= book_of(t, text:format "6m").fingerprint)
end)

test("declared twice in fresh states: order of tables cannot leak in", function(t)
  local book = book_of(t, [[
local words = { one = 1, two = 2, three = 3, four = 4, five = 5, six = 6 }
local all = ""
for word in pairs(words) do all = all .. word .. " " end
step(all) { verify = look }
]])
  t.equal(book.steps[1].title, "five four one six three two ")
end)

test("what differs between two states is refused", function(t)
  local sandbox = require "vm.sandbox"
  local fresh = sandbox.fresh
  local _ <close> = setmetatable({}, { __close = function()
    sandbox.fresh = fresh
  end })
  function sandbox.fresh() return "something else" end
  local book, problems = try 'step "x" { verify = look }\n'
  t.equal(book, nil)
  t.equal(problems[1].code, "E0505")
end)

test("functions of steps run inside the limits, and may be called later", function(t)
  local book = book_of(t, [[
step "x" { verify = function() while true do end end, when = function() return 7 end }
]])
  t.equal(book.steps[1].when(), 7)
  local raised, why = pcall(book.steps[1].verify[1])
  t.equal(raised, false)
  t.equal(why.kind, "limit")
end)

test("faces are the same objects for the library", function(t)
  local book = book_of(t, 'step "x" { verify = look }\n')
  t.equal(book.clusters[1].name, "source")
  t.equal(getmetatable(book.clusters[1]).__name, "kafka.cluster")
  t.equal(tostring(book.clusters[1]), "cluster source (127.0.0.1:1)")
end)

test("the file must be there", function(t)
  local book, problems = load.book("tests/no/such.lua")
  t.equal(book, nil)
  t.equal(problems[1].code, "E0115")
end)

test("a script's own mistakes while running are its own", function(t)
  local book = book_of(t, 'step "x" { verify = function() return look.a.b end }\n')
  local ok, why = pcall(book.steps[1].verify[1])
  t.equal({ ok, why.kind }, { false, "script" })
  t.match(why.message, "^x/bus.lua:7: ")
end)

test("a text is UTF-8, with or without an editor's mark", function(t)
  local text = HEAD .. 'step "1" { verify = look }\n'
  t.ok(load.book("x.lua", { sources = { ["x.lua"] = "\xEF\xBB\xBF" .. text } }))
  local book, problems = load.book("x.lua",
    { sources = { ["x.lua"] = text .. "-- gr\xFC\xDFe\n" } })
  t.equal(book, nil)
  t.match(require "runbook.declare.problems".text(problems),
    "^x%.lua:8:6 error E0115 .*the byte 0xfc is no UTF%-8; save the file as UTF%-8")
end)
