--- Books that tests drive from processes of their own, by name.

local toy = ...

local M = {}

--- Loan, move, proof, approval, move, line, last step: everything that writes
-- a record. `fail` makes the last move fail, so that the run goes back.
function M.whole(world, options)
  options = options or {}
  local proof = { id = "5", verify = { world:asks("road", "open") } }
  local last = world:moves("producer", "new", "old")
  if options.fail then
    last = toy.goal { title = "broken", subject = "workload/producer",
      args = { app = { name = "producer" } },
      check = function() return world:is("producer.new", "up") end,
      apply = function(_, run)
        return run:gap("{app} is down", function()
          local ok, why = world:set("producer.old", nil)
          if ok == nil then return nil, why end
          return nil, require "base.err".new { kind = "denied",
                                               message = "no right" }
        end)
      end,
      undo = function() return world:moves("producer", "old", "new") end }
  end
  return toy.book {
    { id = "pause", lasts = "run",
      ensure = { world:becomes("gitops", "paused", nil, { effect_undo = true }) } },
    { kind = "parallel", title = "ready", at_once = 1, steps = {
      { id = "1", ensure = { world:becomes("listener", "on", nil,
                                           { effect_undo = true }) } },
      { id = "2", ensure = { world:becomes("user", "there", nil, {
          resume = "create", effect_undo = true }) } } } },
    { id = "4", ensure = { world:becomes("road", "open", nil,
                                         { effect_undo = true }) } },
    proof,
    { id = "6", ensure = { world:moves("consumer", "new", "old") },
      verify = { world:asks("consumer.new", "up") } },
    { id = "8", needs = { proof }, ensure = { last },
      approve = options.approve and { question = "Go?", within_ms = 60000 },
      on_failure = options.fail and { kind = "undo all" } or nil },
    { kind = "ponr", id = "line", title = "The line",
      approve = options.approve and { question = "Cross?" } },
    { id = "close", ensure = { world:becomes("road", "closed", "open", {
      subject = "world/road" }) } },
  }
end

--- The same, and the last move fails.
function M.back(world) return M.whole(world, { fail = true }) end

--- The same, with approvals.
function M.asking(world) return M.whole(world, { approve = true }) end

--- Two steps and a move, and no line: all of it can be taken back.
function M.short(world)
  return toy.book {
    { id = "pause", lasts = "run",
      ensure = { world:becomes("gitops", "paused", nil, { effect_undo = true }) } },
    { id = "1", ensure = { world:becomes("x", "1", nil, { effect_undo = true }) } },
    { id = "6", ensure = { world:moves("consumer", "new", "old") } },
  }
end

--- One step that asks.
function M.ask(world, within_ms)
  return toy.book { { id = "8", approve = { question = "Go?",
                                            within_ms = within_ms },
                      ensure = { world:becomes("x", "1") } } }
end

--- One step that takes long, inside a gap.
function M.slow(world)
  return toy.book { { id = "6", ensure = { toy.goal {
    title = "slow", args = { app = { name = "app" } },
    check = function() return world:is("b", "1") end,
    apply = function(_, run)
      return run:gap("{app} is down", function()
        local ok, why = world:set("a", "1", { slow_ms = 1500 })
        if ok == nil then return nil, why end
        return world:set("b", "1")
      end)
    end,
    undo = function()
      world:set("a", nil)
      return world:set("b", nil)
    end } } },
    { id = "7", ensure = { world:becomes("c", "1") } } }
end

--- One long effect without a gap, then another step.
function M.long(world)
  return toy.book { { id = "6", ensure = {
      world:becomes("a", "1", nil, { slow_ms = 1500, effect_undo = true }) } },
    { id = "7", ensure = { world:becomes("c", "1") } } }
end

--- A fire effect that may not be repeated.
function M.fire(world)
  return toy.book { { id = "1", ensure = {
    world:becomes("sent", "1", nil, { resume = "fire" }) } } }
end

return M
