-- Command lines: parsed, refused and explained from one list.
local test = ...
local options = require "base.options"

local LIST = {
  { name = "read-only", kind = "flag", help = "only read" },
  { name = "param", short = "p", kind = "list", value = "N=V", help = "give" },
  { name = "output", short = "o", kind = "value", help = "form",
    choices = { "table", "json" } },
}

local function parse(...) return options.parse(LIST, { ... }) end

test("flags, values and lists, in any order", function(t)
  local opts, args = parse("a", "--read-only", "-p", "x=1", "b", "-py=2",
    "--output=json", "--param=z=3")
  t.equal(opts, { read_only = true, param = { "x=1", "y=2", "z=3" },
    output = "json" })
  t.equal(args, { "a", "b" })
end)

test("-- ends options, - is an argument", function(t)
  local opts, args = parse("-", "--", "--read-only", "-p")
  t.equal(opts, {})
  t.equal(args, { "-", "--read-only", "-p" })
end)

test("what is wrong is named", function(t)
  t.match(select(2, parse "--nope"), "unknown option %-%-nope")
  t.match(select(2, parse "-x"), "unknown option %-x; %-%-help lists them$")
  t.match(select(2, parse "--ouptut=json"),
    "unknown option %-%-ouptut; did you mean %-%-output%?$")
  t.match(select(2, parse "--param"), "needs a value")
  t.match(select(2, parse("--read-only=yes")), "takes no value")
  t.match(select(2, parse("-o", "xml")), "one of: table, json")
  t.match(select(2, parse("-o", "json", "-o", "table")), "given twice")
  t.equal(select(2, parse "--nope").kind, "usage")
end)

test("help begins with examples and lists every option", function(t)
  local text = options.help { summary = "Checks.", usage = "tranship check FILE",
    examples = { "tranship check bus.lua" }, options = LIST }
  t.match(text, "^Checks%.\n\nExamples:\n  tranship check bus%.lua\n")
  for _, option in ipairs(LIST) do
    t.match(text, "%-%-" .. option.name:gsub("%-", "%%-"))
  end
  t.match(text, "%-%-help")
end)
