-- What TAB offers, with toys in place of clusters.
local test = ...
local complete = require "repl.complete"
local session = require "repl.session"

local Toy = { __name = "kafka.cluster" }
Toy.__index = Toy
function Toy:topics() return self.list end
function Toy:topic() end
function Toy:groups() return { { group = "apps" }, { group = "billing" } } end
function Toy:_hidden() end
function Toy:client() end

local function new()
  local one = session.new {}
  one:add_cluster("old", setmetatable({ name = "old",
    list = { { name = "apps.a" }, { name = "apps.b" }, { name = "monitor" } } }, Toy))
  one:add_cluster("new", setmetatable({ name = "new", list = {} }, Toy))
  one.names.data = { inner = { leaf = 1, lead = 2 } }
  return one
end

local function offered(before)
  local words, typed = complete.words(new(), before)
  return table.concat(words, " "), typed
end

test("names of the session and of the library", function(t)
  t.equal({ offered "ol" }, { "old", 2 })
  t.equal({ offered "1 + mat" }, { "math", 3 })
  t.equal({ offered "print(tos" }, { "tostring", 3 })
end)

test("fields after a dot, methods after a colon; nothing private", function(t)
  t.equal({ offered "old:top" }, { "topic topics", 3 })
  t.equal({ offered "old:" }, { "groups topic topics", 0 })
  t.equal({ offered "data.inner.le" }, { "lead leaf", 2 })
  t.equal({ offered "old:_" }, { "", 1 })
end)

test("live names inside quotes, by what is called", function(t)
  t.equal({ offered 'old:topic "app' }, { "apps.a apps.b", 3 })
  t.equal({ offered "old:group('" }, { "apps billing", 0 })
  t.equal({ offered 'old:group { "bil' }, { "billing", 3 })
end)

test("commands and their arguments", function(t)
  t.equal({ offered ":he" }, { ":help", 3 })
  t.equal({ offered ":write n" }, { "new", 1 })
  t.equal({ offered ":plan x" }, { "", 1 })
end)

test("nothing sensible offers nothing", function(t)
  for _, before in ipairs { "no.such.", "1.", "old:topics().", '"', "a.b:c" } do
    t.ok(offered(before), before)
  end
end)
