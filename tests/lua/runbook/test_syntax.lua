-- The tokenizer and the outline: positions, and that nothing upsets them.
local test = ...
local outline = require "runbook.declare.outline"
local syntax = require "runbook.declare.syntax"
local sys = require "vm.sys"

local function texts(source)
  local out = {}
  for i, token in ipairs(syntax.tokens(source)) do out[i] = token.text end
  return out
end

test("tokens of every kind", function(t)
  t.equal(texts 'a.b:c{x=1,"y\\"z",[[long\n]],0x1p4 .. 2}', { "a", ".", "b", ":",
    "c", "{", "x", "=", "1", ",", '"y\\"z"', ",", "[[long\n]]", ",", "0x1p4",
    "..", "2", "}" })
  t.equal(texts "a--[==[ no ]]\n]==]b --c\nd", { "a", "b", "d" })
  t.equal(texts "a//b>>1 ~= ... ::x::", { "a", "//", "b", ">>", "1", "~=", "...",
    "::", "x", "::" })
end)

test("positions", function(t)
  local tokens = syntax.tokens 'step "a\\\nb" {\n  needs = 1 }'
  local where = {}
  for i, token in ipairs(tokens) do
    where[i] = ("%s@%d:%d"):format(token.text:sub(1, 1), token.line, token.col)
  end
  t.equal(where, { 's@1:1', '"@1:6', "{@2:4", "n@3:3", "=@3:9", "1@3:11", "}@3:13" })
end)

test("what is not Lua becomes unknown, and ends", function(t)
  for _, source in ipairs { '"open', "'open\nx", "[[open", "--[[open", "\0\1\255",
    "@$?", "[=", "1e", "0x", "...." } do
    t.ok(#syntax.tokens(source, true) > 0, source)
  end
end)

--- All runbooks and tables of codes there are: real text to damage.
local function corpus()
  local list = {}
  for _, path in ipairs { "scripts/recipes/acme/moves.lua",
    "tests/runbook/check/words.lua", "tests/runbook/check/values.lua",
    "tests/runbook/check/steps.lua", "stdlib/runbook/declare/syntax.lua" } do
    list[#list + 1] = assert(sys.read_file(path))
  end
  return list
end

--- Chance with a seed, so that a failure can be had again.
local function chance(seed)
  return function(n)
    seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
    return (seed >> 24) % n + 1
  end
end

local function damage(text, random)
  local kind, at = random(4), random(#text)
  if kind == 1 then return text:sub(1, at) end
  if kind == 2 then return text:sub(1, at) .. string.char(random(256) - 1)
    .. text:sub(at + 1) end
  if kind == 3 then return text:sub(1, at) .. text:sub(at + random(40)) end
  return text:sub(at) .. text:sub(1, at)
end

--- Tokens and the gaps between them are the text again; gaps are white space.
local function covers(t, text)
  local at = text:sub(1, 1) == "#" and (text:find "\n" or #text + 1) or 1
  for _, token in ipairs(syntax.tokens(text, true)) do
    t.ok(token.at >= at and not text:sub(at, token.at - 1):find "%S")
    t.equal(text:sub(token.at, token.at + #token.text - 1), token.text)
    at = token.at + #token.text
  end
  t.ok(not text:sub(at):find "%S")
end

test("damaged sources are covered by tokens and have an outline", function(t)
  local random = chance(20261123)
  for _, text in ipairs(corpus()) do
    covers(t, text)
    for _ = 1, 60 do
      local damaged = damage(text, random)
      covers(t, damaged)
      local calls = outline.of(damaged).calls
      for _, call in ipairs(calls) do t.ok(call.line >= 1 and call.col >= 1) end
    end
  end
end)

test("what Lua reads, the tokenizer reads without unknowns", function(t)
  for _, text in ipairs(corpus()) do
    if load(text) then
      for _, token in ipairs(syntax.tokens(text)) do
        t.ok(token.kind ~= "unknown", token.text)
      end
    end
  end
end)

local SOURCE = [==[
local arrived = step "5. See" {
  verify = { road:same_topics(), road:lag { at_most = 1, steady = "2m" } },
  check = function(g) local a, b = 1, 2; if a then return { x = 1, y } end end,
  retry = { times = 2,
    wait = "4" },
}
for app in apps do step("Move " .. app.name) { ensure = move { app, to = x } } end
]==]

test("fields are found through functions, tables and several calls", function(t)
  local found = outline.of(SOURCE)
  local place = { line = 1, word = "step", title = "5. See" }
  t.equal({ found:locate(place, { field = "check" }) }, { 3, 3 })
  t.equal({ found:locate(place, { field = "retry", inner = { field = "wait" } }) },
    { 5, 5 })
  t.equal({ found:locate(place, { field = "verify", inner = { item = 2 } }) },
    { 2, 34 })
  t.equal({ found:locate({ line = 7, word = "step" }, { field = "ensure" }) },
    { 7, 48 })
  t.equal({ found:locate({ line = 7, word = "move" }, { field = "to" }) },
    { 7, 69 })
  t.equal(found:call(place).binding, "arrived")
end)

test("a field written twice is found", function(t)
  local call = outline.of 'step "x" { a = 1, b = 2, a = 3 }'.calls[1]
  t.equal(#call.body.twice, 1)
  t.equal(call.body.twice[1].col, 26)
end)
