-- Damaged runbooks: whatever stands in a file, loading it ends with a book or
-- with problems that have a place, never with a mistake of ours.
local test = ...
local load = require "runbook.load"
local problems_of = require "runbook.declare.problems"
local sys = require "vm.sys"

local SEED = math.tointeger(sys.env "TRANSHIP_SEED") or 20261123
local ROUNDS = math.tointeger(sys.env "TRANSHIP_ROUNDS") or 60

local function chance(seed)
  return function(n)
    seed = (seed * 6364136223846793005 + 1442695040888963407)
      & 0x7fffffffffffffff
    return (seed >> 24) % n + 1
  end
end

local PIECES = { "nil", "{}", "7", "true", '"x"', "p", "source", "road", "step",
  "road:lag {}", "function() end", "{ {}, {} }", "a.text {}", "any {}",
  "undo_to(source)", "rescue {}", "'\\0'", "p.nope", "..", ",", "}", "end",
  "-1", "1e309", "params", "goal", "move", "require" }

--- Takes a token out, doubles one, or puts something else in its place.
local function damage(tokens, text, random)
  local out, at = {}, 1
  local hit = random(#tokens)
  for i, token in ipairs(tokens) do
    out[#out + 1] = text:sub(at, token.at - 1)
    local kind = i == hit and random(3) or 0
    if kind == 2 then out[#out + 1] = token.text .. " " .. token.text end
    if kind == 3 then out[#out + 1] = PIECES[random(#PIECES)] end
    if kind == 0 then out[#out + 1] = token.text end
    at = token.at + #token.text
  end
  return table.concat(out)
end

local FILES = { "scripts/event-bus.lua", "tests/runbook/check/steps.lua",
  "tests/runbook/check/values.lua", "tests/runbook/check/order.lua" }

local recipe = assert(sys.read_file "scripts/recipes/acme/moves.lua")

local function try(t, text)
  local ok, book, found = pcall(load.book, "x/y.lua", {
    lenient = true, once = true,
    sources = { ["x/y.lua"] = text, ["x/recipes/acme/moves.lua"] = recipe },
  })
  if not ok then
    t.fail(("seed %d: %s\n%s"):format(SEED, tostring(book), text))
  end
  if book then
    book:close()
  else
    t.ok(problems_of.count(found) > 0)
    t.ok(#problems_of.text(found) > 0)
  end
end

for _, path in ipairs(FILES) do
  test("any token of " .. path .. " may be wrong", function(t)
    local text = assert(sys.read_file(path))
    local tokens = require "runbook.declare.syntax".tokens(text)
    local random = chance(SEED)
    for _ = 1, ROUNDS do
      try(t, damage(tokens, text, random))
    end
  end)
end
