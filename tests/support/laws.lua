--- The five laws every goal keeps, tested mechanically. Loaded by path:
--     local laws = dofile "tests/support/laws.lua"
--     laws.hold(t, { goal = function() ... end, world = function() ... end,
--                    reset = function() ... end })
-- `goal` makes the goal, `world` gives what of the world it is about as plain
-- data, `reset` brings the world back to where the goal is not yet true.
--   L1 check only reads, and answers yes, no or unsure with evidence
--   L2 apply may start from any half-done state
--   L3 after apply, check is yes
--   L4 a second apply makes no effects
--   L5 undo, from any half-done state, leaves the world as it was
-- Half-done means: stopped before effect k, and stopped after it was sent but
-- before anybody noted so, for every k.

local context = require "base.context"
local err = require "base.err"
local show = require "base.text".show

local M = {}

--- A run that remembers like a journal does: across stops, in order.
local function new_run()
  local remembered = {}
  return {
    id = "laws", said = {},
    remember = function(_, name, fn)
      if remembered[name] == nil then
        local value, why = fn()
        if value == nil then return nil, why end
        remembered[name] = value
      end
      return remembered[name]
    end,
    gap = function(_, _, fn) return fn() end,
    log = function(self, text) self.said[#self.said + 1] = text end,
    now = function() return 0 end,
    random = function(_, n) return n end,
    baseline = function() return {} end,
  }
end

local STOPPED = { kind = "stopped", message = "stopped here by the test" }

--- Calls `fn` where effects are counted; `stop` = { at = k, sent = boolean }.
local function within(phase, stop, fn, ...)
  local effects = {}
  local made = table.pack(pcall(context.with, {
    phase = phase, state = context.get().state,
    perform = function(effect)
      effects[#effects + 1] = effect.summary
      if stop and #effects == stop.at then
        if stop.sent then effect.send() end
        error(err.new(STOPPED), 0)
      end
      return effect.send()
    end,
  }, fn, ...))
  if not made[1] then return effects, nil, made[2] end
  return effects, made[2], made[3]
end

local function must(t, what, value, why)
  if value == nil and why ~= nil then t.fail(what .. ": " .. tostring(why)) end
  return value
end

local function is_yes(answer)
  return answer == true
    or type(answer) == "table" and answer.ok == true and not answer.unsure
end

local function check(t, goal, run, what)
  local effects, answer, why = within("check", nil, goal.check, goal, run)
  must(t, what .. ": check", answer, why)
  t.equal(#effects, 0, what .. ": L1, effects of check")
  if type(answer) == "table" then
    t.ok(type(answer.ok) == "boolean", what .. ": L1, check answers yes or no")
    t.ok(answer.text or answer.seen ~= nil, what .. ": L1, with evidence")
  else
    t.equal(type(answer), "boolean", what .. ": L1, check answers yes or no")
  end
  return answer
end

local function apply_whole(t, goal, run, what)
  local effects, value, why = within("run", nil, goal.apply, goal, run)
  must(t, what .. ": apply", value, why)
  return effects
end

local function undo_whole(t, goal, run, what)
  local _, value, why = within("undo", nil, goal.undo, goal, run)
  must(t, what .. ": undo", value, why)
  return value
end

local function yes_and_quiet(t, goal, run, what)
  local answer = check(t, goal, run, what)
  t.ok(is_yes(answer), what .. ": L3, check says " .. show(answer))
  local again = apply_whole(t, goal, run, what .. ", again")
  t.equal(again, {}, what .. ": L4, effects of a second apply")
end

local function one_way(t, it, stop, what)
  it.reset()
  local before = it.world()
  local goal, run = it.goal(), new_run()
  if stop then
    local _, value, why = within("run", stop, goal.apply, goal, run)
    t.ok(value == nil and err.is(why) and why.kind == "stopped",
      what .. ": was to be stopped, got " .. tostring(why))
  end
  return before, goal, run
end

--- Tests all five laws; fails the case at the first that is broken.
---@async
function M.hold(t, it)
  local before, goal, run = one_way(t, it)
  local answer = check(t, goal, run, "at first")
  t.ok(not is_yes(answer), "check must say no at first, says " .. show(answer))
  t.equal(it.world(), before, "L1, the world after check")
  local effects = apply_whole(t, goal, run, "at first")
  t.ok(#effects > 0, "apply made no effect")
  yes_and_quiet(t, goal, run, "after apply")
  if goal:has "undo" and not it.stays then
    undo_whole(t, goal, run, "after apply")
    t.equal(it.world(), before, "L5, the world after undo")
  end
  for k = 1, #effects do
    for _, sent in ipairs { false, true } do
      local what = ("stopped %s effect %d of %d (%s)"):format(
        sent and "after" or "before", k, #effects, effects[k])
      local stop = { at = k, sent = sent }
      local _
      _, goal, run = one_way(t, it, stop, what)
      apply_whole(t, goal, run, what)
      yes_and_quiet(t, goal, run, what)
      if goal:has "undo" and not it.stays then
        before, goal, run = one_way(t, it, stop, what)
        undo_whole(t, goal, run, what)
        t.equal(it.world(), before, what .. ": L5, the world after undo")
      end
    end
  end
  return effects
end

M.new_run = new_run

return M
