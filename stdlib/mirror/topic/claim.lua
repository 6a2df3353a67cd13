--- Claims: which engine works. A claim is a record with a number that no other
-- has; what an engine says carries its claim's number, and a later one outdoes
-- it. One engine alone claims the whole bridge, and the one before ends. Engines
-- of a group claim numbers only: whose a partition is, its own record says.

local log = require "vm.log"
local sys = require "vm.sys"
local err = require "base.err"
local record = require "mirror.topic.record"

local M = {}

local PREDECESSOR_MS = 3000 -- an older engine gets this long to say goodbye

local function is_gone(claim)
  if claim.host ~= sys.hostname() then return false end
  local found = sys.process(claim.pid)
  return not found or found.start_time ~= claim.start_time
end

local function is_of_group(engine, claim)
  return claim.group and engine.spec.group or false
end

--- Has an engine claimed the bridge that this one does not share it with?
function M.is_superseded(engine)
  local newest = engine.ledger.claim
  return newest.instance ~= engine.instance
    and not is_of_group(engine, newest)
end

--- Has another member of the group taken this flow's partition?
function M.is_lost(flow)
  local part = flow.engine.ledger:partition(flow.topic, flow.partition)
  local at = part and part.at
  return at ~= nil and (at.claim or 0) > flow.generation
end

local function write(engine)
  local number = engine.ledger.claim and engine.ledger.claim.number or 0
  local me = sys.process(sys.pid()) or {}
  engine.generation = number + 1
  return engine.topic:write({ { record.key.claim, {
    instance = engine.instance, number = engine.generation,
    host = sys.hostname(), pid = sys.pid(), start_time = me.start_time,
    since = sys.time(), group = engine.spec.group or nil,
  } } }, true)
end

local function await_predecessor(engine, before)
  local function said_goodbye(book) return book.goodbyes[before.instance] end
  if said_goodbye(engine.ledger) or is_gone(before) then return end
  log.warn(("the engine before (process %s on %s) has not said goodbye; "
    .. "waiting"):format(tostring(before.pid), tostring(before.host)))
  engine.topic:await(PREDECESSOR_MS, said_goodbye)
end

--- Makes a claim. One made at the same moment by another engine may have the
-- same number: it belongs to the first in the log, the other claims again.
---@async
---@return true?, tranship.Err?
function M.make(engine)
  local before = engine.ledger.claim
  repeat
    local ok, why = write(engine)
    if not ok then return nil, why end
    if M.is_superseded(engine) then
      return nil, err.new {
        kind = "conflict", origin = "bridge",
        message = ("another engine claimed bridge %s at the same time")
          :format(engine.name),
      }
    end
  until engine.ledger.claims[engine.generation] == engine.instance
  if before and before.instance ~= engine.instance
    and not is_of_group(engine, before) then
    await_predecessor(engine, before)
  end
  return true
end

return M
