--- Ends a bridge's copying in order: the wish into the bridge's topic, the
-- engine's goodbye out of it. Used by "closed" and by the undo of "open".

local effect = require "base.effect"
local err = require "base.err"
local context = require "base.context"
local log = require "vm.log"
local sys = require "vm.sys"
local loan = require "mirror.topic.loan"
local record = require "mirror.topic.record"

local M = {}

local GOODBYE_MS = 30000

--- What an engine borrowed that ended without giving it back.
local function give_back(bridge, book)
  local list = {}
  local problems = loan.give_back(book.loans, function(at)
    return bridge:cluster(at):client "write"
  end, list)
  for _, problem in ipairs(problems) do log.error(problem) end
  if #list == 0 then return true end
  return bridge:say(list)
end

local function send_stop(bridge, because)
  local book, why = bridge:open_ledger()
  if not book then return nil, why end
  local ok
  ok, why = bridge:say { { record.key.wanted, {
    state = "closed", time = sys.time(), because = because,
  } } }
  if not ok then return nil, why end
  local home = bridge:home()
  local runs, failed = home:remains()
  if runs == nil then return nil, failed end
  if not runs then return give_back(bridge, book) end
  ok, why = bridge:topic():await(GOODBYE_MS, function(now)
    return now.claim and now.goodbyes[now.claim.instance]
  end)
  if ok then return home:await_end() end
  if why.kind ~= "timeout" then return nil, why end
  if home.ENDS_SILENTLY then return give_back(bridge, book) end
  return nil, err.new { kind = "timeout", origin = "bridge",
    message = ("the engine of bridge %s does not end (%s)"):format(
      bridge.name, bridge:engine_line()) }
end

--- Is the bridge not copying, and not wanted to? One that a step above opens, in a
-- plan, will be.
---@async
function M.is_stopped(bridge)
  if (context.get().overlay or {})["bridge/" .. bridge.name] then return false end
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  if not book or not book.bridge then return true end
  if not book.wanted or book.wanted.state ~= "closed" then return false end
  local left
  left, why = bridge:home():remains()
  if left == nil then return nil, why end
  return not left
end

--- Stops the copying, if there is any.
---@async
function M.stop(bridge, because)
  local stopped, why = M.is_stopped(bridge)
  if stopped == nil then return nil, why end
  if stopped then return true end
  stopped, why = effect.perform {
    primitive = "bridge.close", resume = "set",
    target = "bridge/" .. bridge.name .. "/closed",
    summary = ("stop the copying of bridge %s"):format(bridge.name),
    args = { because = because },
    before = "open", after = { ok = true, seen = "closed above" },
    undo = "open it again; it goes on where it stopped",
    send = function() return send_stop(bridge, because) end,
  }
  if not stopped then return nil, why end
  return bridge:home():retire()
end

return M
