--- Beside a drive: credentials of the book's bridges that are renewed where they
-- come from get to their engines, without anybody's asking. What is sent for that
-- is written down first.

local closing = require "base.closing"
local context = require "base.context"
local task = require "vm.task"

local M = {}

local EVERY_MS = 10000

local function performer(session, bridge)
  return function(effect)
    session:record("renewal", { bridge = bridge.name, primitive = effect.primitive,
      target = effect.target, summary = effect.summary }, true)
    return effect.send()
  end
end

local function look(session, bridge)
  local ctx = session:context("run", nil, { perform = performer(session, bridge) })
  return context.with(ctx, bridge._renew_credentials, bridge)
end

--- Says what goes wrong twice in a row: a Secret is away while it is made anew.
local function teller(session, bridge)
  local last, told
  return function(trouble)
    if trouble and trouble == last and trouble ~= told then
      session.talk(("bridge %s: credentials cannot be looked at: %s"):format(bridge.name,
        trouble))
      told = trouble
    end
    last = trouble
  end
end

local function keep(session, bridge)
  local tell = teller(session, bridge)
  return task.spawn(function()
    while not session:is_mute() do
      task.sleep(EVERY_MS)
      local ok, done, why = pcall(look, session, bridge)
      tell(not ok and tostring(done) or why and tostring(why) or nil)
    end
  end)
end

--- Looks until closed.
---@return table closer
function M.start(session)
  local tasks = {}
  for _, bridge in ipairs(not session.read_only and session.book.bridges or {}) do
    if type(bridge._renew_credentials) == "function" then
      tasks[#tasks + 1] = keep(session, bridge)
    end
  end
  return closing(tasks)
end

return M
