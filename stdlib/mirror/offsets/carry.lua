--- Carries groups' positions across the bridge, each one proven by content
-- before it is committed: the records around the position it had and around the
-- one it shall get are the same, or both logs end there. One that cannot be
-- proven, or a group with members, and nothing is committed at all.

local effect = require "base.effect"
local err = require "base.err"
local log = require "vm.log"
local sys = require "vm.sys"
local task = require "vm.task"
local answer = require "mirror.answer"
local groups = require "mirror.offsets.groups"
local moving = require "mirror.offsets.moves"
local names = require "mirror.names"
local record = require "mirror.topic.record"

local M = {}

local SETTLE_MS = 3000 -- for progress that is made but not yet written down
local HOLD_MS = 1000   -- an engine commits within 400 ms of asking if it may
local SHOWN = 20       -- problems in one message

local function refuse(format, ...)
  return nil, err.new {
    kind = "conflict", origin = "bridge", message = format:format(...),
  }
end

--- Places, once the engine has written down how far it is.
local function place(bridge, book, moves, to, refused)
  local function ignore() end
  local placed = moving.place(bridge, book, moves, to, ignore)
  if #placed == #moves then return placed end
  bridge:hurry()
  bridge:topic():await(SETTLE_MS, function(now)
    return #moving.place(bridge, now, moves, to, ignore) == #moves
  end)
  return moving.place(bridge, bridge:topic().ledger, moves, to, refused)
end

--- Proven moves of all groups, what is wrong with the others, as lines, and all
-- moves there are.
local function prove_all(bridge, book, chosen, to)
  local moves, why = moving.gather(bridge, chosen, to)
  if not moves then return nil, why end
  local problems = {}
  local function refused(move, reason)
    problems[#problems + 1] = ("%s: %s"):format(moving.id(move, #chosen > 1),
      reason)
  end
  local proven
  proven, why = moving.prove(bridge, place(bridge, book, moves, to, refused),
    to, refused)
  if not proven then return nil, why end
  return proven, problems, moves
end

local function commit(to, move, planned)
  local after = move.there.offset
  if planned then
    after = effect.unknown("where the group stops")
  elseif move.standing == after then
    return true
  end
  local stood = move.here.stood
  return effect.perform {
    primitive = "kafka.alter_group_offsets", resume = "set",
    target = ("cluster/%s/group/%s/offset/%s/%d"):format(to.name, move.group,
      move.there.topic, move.partition),
    summary = planned
      and ("carry %s %s/%d (now at %d)"):format(move.group, move.there.topic,
        move.partition, move.here.offset)
      or ("carry %s %s/%d: %d is %d%s"):format(move.group, move.there.topic,
        move.partition, move.here.offset, after, stood
        and (" (it stood at %d, below the log start)"):format(stood) or ""),
    args = { group = move.group, topic = move.there.topic,
      partition = move.partition, source_position = stood or move.here.offset,
      position = not planned and after or nil,
      certificate = move.certificate },
    before = move.standing or "none",
    after = after,
    undo = move.standing and ("commit %d again"):format(move.standing)
      or "delete the position",
    send = function() return moving.commit(to, move) end,
  }
end

--- Tells the engine about groups: where they are at home, and whether they are
-- being carried just now (`held`).
local function note(bridge, list, at, held, summary)
  if #list == 0 then return true end
  return effect.perform {
    primitive = "bridge.groups", resume = "set",
    target = ("bridge/%s/groups"):format(bridge.name),
    summary = summary:format(answer.some(list)),
    args = { groups = list, at = at, held = held }, undo = "carry them back",
    send = function()
      local said = {}
      for index, group in ipairs(list) do
        said[index] = { record.key.group(group), {
          group = group, at = at, held = held, time = sys.time(),
        } }
      end
      local ok, why = bridge:say(said)
      return ok and true, why
    end,
  }
end

--- Of these groups, those the bridge knows to be on the other side than `side`.
local function away_from(book, chosen, side)
  local list = {}
  for _, group in ipairs(chosen) do
    local known = book.groups[group]
    if known and (known.at ~= side or known.held) then list[#list + 1] = group end
  end
  return list
end

--- The engine commits nothing more for groups that go home: once it has read
-- this, and what it was about to commit when it did has long been committed.
---@return string[]? held, tranship.Err?
local function hold(bridge, book, chosen, to)
  local list = away_from(book, chosen, bridge:side_of(to))
  local ok, why = note(bridge, list, bridge:side_of(bridge:other(to)), true,
    "hold the shadow of %s")
  if not ok then return nil, why end
  if #list > 0 then task.sleep(HOLD_MS) end
  return list
end

--- They stay where they are: the engine shadows them as before.
local function let_go(bridge, held, to)
  local ok, why = note(bridge, held, bridge:side_of(bridge:other(to)), nil,
    "go on with the shadow of %s")
  if not ok then
    log.warn(("%s: no shadow until they are carried (%s)"):format(
      answer.some(held), tostring(why)))
  end
end

--- From here on the engine shadows the groups on the other side, so that going
-- back costs no replay.
local function note_home(bridge, book, chosen, to)
  local side, list = bridge:side_of(to), away_from(book, chosen,
    bridge:side_of(to))
  for _, group in ipairs(chosen) do
    if not book.groups[group] then list[#list + 1] = group end
  end
  return note(bridge, list, side, nil, "note that %s stand on " .. to.name
    .. " now")
end

local function choose(bridge, wanted, to, options)
  return groups.choose(bridge, wanted, bridge:other(to),
    options and names.list(options.except))
end

local function plan(bridge, chosen, to)
  local moves, why = moving.gather(bridge, chosen, to)
  if not moves then return nil, why end
  for _, move in ipairs(moves) do commit(to, move, true) end
  local book = bridge:ledger()
  note_home(bridge, book or { groups = {} }, chosen, to)
  return {}
end

--- Carries groups (a name or pattern, a list, or nil: nothing) to cluster `to`.
---@async
---@param options? { except?: string|string[] }
---@return table[]|nil carried { group, exactly } each, tranship.Err?
function M.carry(bridge, wanted, to, options)
  local chosen, why = choose(bridge, wanted, to, options)
  if not chosen then return nil, why end
  if #chosen == 0 then return {} end
  if answer.is_planning() then return plan(bridge, chosen, to) end
  local book
  book, why = bridge:open_ledger()
  if not book then return nil, why end
  local live
  live, why = groups.live({ to, bridge:other(to) }, chosen)
  if not live then return nil, why end
  if #live > 0 then return refuse("%s", answer.some(live, SHOWN)) end
  local held
  held, why = hold(bridge, book, chosen, to)
  if not held then return nil, why end
  local proven, problems = prove_all(bridge, book, chosen, to)
  if not proven or #problems > 0 then let_go(bridge, held, to) end
  if not proven then return nil, problems end
  if #problems > 0 then
    return refuse("%s not carried to %s: %s", #chosen == 1
      and ("group %s is"):format(chosen[1]) or "groups are", to.name,
      answer.some(problems, SHOWN))
  end
  local exactly, ok = {}
  for _, move in ipairs(proven) do
    ok, why = commit(to, move)
    if not ok then return nil, why end
    exactly[move.group] = (exactly[move.group] or 0) + 1
  end
  ok, why = note_home(bridge, book, chosen, to)
  if not ok then return nil, why end
  local carried = {}
  for index, group in ipairs(chosen) do
    carried[index] = { group = group, exactly = exactly[group] or 0 }
  end
  return carried
end

--- What of the proven moves does not stand where it must.
local function compare(proven, problems)
  local certificates = {}
  for index, move in ipairs(proven) do
    certificates[index] = move.certificate
    if move.standing ~= move.there.offset then
      problems[#problems + 1] = ("%s %s/%d: %s, not %d"):format(move.group,
        move.there.topic, move.partition, tostring(move.standing
        or "not committed"), move.there.offset)
    end
  end
  return certificates
end

--- Groups that have nothing to carry are left out; of one that was named, and not
-- only matched by a pattern, that is a problem.
local function without_moves(moves, chosen, wanted, problems, left_out)
  local has, named = {}, {}
  for _, move in ipairs(moves) do has[move.group] = true end
  for _, name in ipairs(names.list(wanted)) do named[name] = true end
  for _, group in ipairs(chosen) do
    if not has[group] then
      left_out[#left_out + 1] = { group = group,
        why = "it has no position in the bridge's topics" }
    end
  end
  for _, one in ipairs(left_out) do
    if named[one.group] then
      problems[#problems + 1] = ("group %s: %s"):format(one.group, one.why)
    end
  end
end

local function text_of(to, certificates, problems, left_out)
  if #problems > 0 then return answer.some(problems) end
  local text = ("%d positions stand on %s"):format(#certificates, to.name)
  local lines = {}
  for index, one in ipairs(left_out) do
    lines[index] = ("%s (%s)"):format(one.group, one.why)
  end
  return #lines == 0 and text
    or ("%s; not carried: %s"):format(text, table.concat(lines, ", "))
end

--- Does every group stand on `to` where its positions are proven to be?
---@async
---@return tranship.Answer?, tranship.Err?
function M.is_carried(bridge, wanted, to, options)
  local chosen, left_out = choose(bridge, wanted, to, options)
  if not chosen then return nil, left_out end
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  local proven, problems = {}, {}
  if book and book.bridge then
    local moves
    proven, problems, moves = prove_all(bridge, book, chosen, to)
    if not proven then return nil, problems end
    without_moves(moves, chosen, wanted, problems, left_out)
  elseif #chosen > 0 then
    problems[1] = "the bridge is not open"
  end
  local certificates = compare(proven, problems)
  return {
    ok = #problems == 0, want = "every position carried",
    seen = { positions = #certificates, problems = problems,
      certificates = certificates,
      not_carried = #left_out > 0 and left_out or nil },
    text = text_of(to, certificates, problems, left_out),
  }
end

return M
