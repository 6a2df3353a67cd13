-- What `tranship explain` and the explorer say of goals and questions: all of
-- them, and nothing hollow.
local test = ...
local explain = require "cmd.explain"
local offers = require "runbook.declare.offers"

test("every goal and every method has a sentence, and every field one", function(t)
  local names = offers.names()
  t.ok(#names > 60, #names)
  for _, name in ipairs(names) do
    local page = offers.page(name, function(field)
      t.ok(field.desc and field.desc ~= "", name .. "." .. field.name)
      return field.name
    end)
    t.ok(page, name .. " has no comment")
    t.match(page or "", "^[%w_]+  [^\n]+\n  %S[^\n]+")
  end
end)

test("a goal: what it makes so, what it takes, on Strimzi too", function(t)
  local page = t.ok(explain.page "shaped_like")
  t.match(page, "^shaped_like  a goal of a cluster\n  \"This cluster")
  t.match(page, "\n  source +cluster +whose shape it gets %(needed%)\n")
  t.match(page, "\n  except +list +names or patterns to leave out\n")
  t.match(page, "\nshaped_like  a goal of a Strimzi cluster\n")
  page = t.ok(explain.page "acl")
  t.match(page, "permission +choice +whether it allows or forbids %(default allow%) "
    .. "%[allow, deny%]")
  t.match(t.ok(explain.page "backup"), "^backup  a goal\n")
end)

test("a question, by itself or of a thing", function(t)
  t.match(explain.page "params",
    '\n  a%.duration +a duration such as "5m"\n.*\n  each one +default %(')
  for _, what in ipairs { "lag", "road:lag", "bridge.lag" } do
    local page = t.ok(explain.page(what), what)
    t.match(page, "lag  of a bridge\n  Records the copy is behind its writers")
    t.match(page, "`road:lag { at_most = 100, steady = \"2m\" }`")
    t.match(page, "lag  of a workload\n")
  end
  local page, hint = explain.page "same_recrods"
  t.equal(page, nil)
  t.match(hint, "did you mean 'same_records'")
end)

test("a field, by its name alone", function(t)
  local page = t.ok(explain.page "steady")
  t.match(page, "^step  one thing.*\n  steady +duration +how long verify must hold")
  page = t.ok(explain.page "bootstrap")
  t.match(page, "^cluster  a Kafka cluster\n  bootstrap ")
  t.equal(select(2, page:gsub("\n", "")), 2)
end)

test("what a choice may be, and what that means", function(t)
  t.match(t.ok(explain.page "bridge"),
    "\n  offsets +choice .*%(default auto%) %[same, mapped, auto%]")
  t.match(t.ok(explain.page "bridge.offsets"),
    '\n    "mapped" +each at the target\'s next offset, .*\n    "auto" +same where')
  t.match(t.ok(explain.page "on_first_failure"), '\n    "cancel running"\n$')
end)

test("a word's page ends with what its things offer", function(t)
  local page = t.ok(explain.page "cluster")
  t.match(page, "\n  :reachable +Whether every broker")
  local _, there = page:gsub(":reachable ", "")
  t.equal(there, 1, "a Strimzi cluster has it anyway")
  t.match(page, "that Strimzi runs\n  :listener +Goal: a listener")
  page = t.ok(explain.page "bridge")
  t.match(page, "\n  from +cluster .*\n  :same_records +Is every record")
  t.ok(not page:find(":say ", 1, true), "what no script may call")
  t.ok(not t.ok(explain.page "bridge.from"):find(":lag", 1, true))
  t.ok(not t.ok(explain.page "step"):find("goals and questions", 1, true))
end)
