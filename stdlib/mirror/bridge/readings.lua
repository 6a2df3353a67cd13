--- What a bridge can be asked: lag, topics, progress, status.

local effect = require "base.effect"
local answer = require "mirror.answer"
local ledger = require "mirror.topic.ledger"
local names = require "mirror.names"
local rates = require "mirror.engine.rates"
local settings = require "mirror.engine.settings"

local M = {}

--- Copied topics of the ledger's partitions by side: lists for `offsets`. What
-- the bridge is declared to leave out by now is nobody's concern.
local function wants_of(bridge, book)
  local wants = { from = {}, to = {} }
  local rows = {}
  for _, name in ipairs(names.carried(bridge, book:names())) do
    for _, number in ipairs(book:numbers(name)) do
      local leg = book:leg(name, number)
      if leg then
        local reads, writes = ledger.sides(leg)
        local row = {
          topic = name, partition = number, leg = leg,
          at = book:partition(name, number).at,
          reads = reads, writes = writes,
        }
        for _, side in ipairs { "from", "to" } do
          table.insert(wants[side], {
            topic = bridge:name_on(name, side), partition = number,
            at = side == reads and not ledger.keeps(leg) and "stable" or "end",
            row = row,
          })
        end
        rows[#rows + 1] = row
      end
    end
  end
  return rows, wants
end

--- Notes the log ends of one side in the rows; partitions that cannot be read
-- are noted as such.
local function ends_of(bridge, side, wants)
  if #wants == 0 then return true end
  local list = {}
  for index, want in ipairs(wants) do
    list[index] = {
      topic = want.topic, partition = want.partition, at = want.at,
    }
  end
  local found, why = bridge:cluster(side):client("read"):offsets(list)
  if not found then return nil, why end
  for index, item in ipairs(found) do
    local row = wants[index].row
    if item.err then row.problem = tostring(item.err) end
    row[side] = item.offset
  end
  return true
end

--- Offsets the copy is behind: what the source gained since the last word of
-- the engine, less what the target gained since then.
local function lag_of(row)
  local at = row.at
  local base = at and at.leg == row.leg.leg and at.source and at
  local source = base and base.source or row.leg.start[row.reads]
  local target = base and base.target or row.leg.start[row.writes]
  return math.max(0, (row[row.reads] - source) - (row[row.writes] - target))
end

--- Rows with lag, read now: targets first, so that it is never too small.
local function read_lag(bridge)
  local book, why = bridge:open_ledger()
  if not book then return nil, why end
  local rows, wants = wants_of(bridge, book)
  for _, role in ipairs { "writes", "reads" } do
    for _, side in ipairs { "to", "from" } do
      local list = {}
      for _, want in ipairs(wants[side]) do
        if want.row[role] == side then list[#list + 1] = want end
      end
      local ok
      ok, why = ends_of(bridge, side, list)
      if not ok then return nil, why end
    end
  end
  for _, row in ipairs(rows) do
    if not row.problem then row.lag = lag_of(row) end
  end
  return rows
end

local function total(rows)
  local sum, worst, stopped = 0, nil, {}
  for _, row in ipairs(rows) do
    sum = sum + (row.lag or 0)
    if row.lag and (not worst or row.lag > worst.lag) then worst = row end
    local state = row.at and row.at.state
    if state == "stopped" then stopped[#stopped + 1] = row.at.text end
    if row.problem then stopped[#stopped + 1] = row.problem end
  end
  return sum, worst, stopped
end

--- The records the copy is behind; not ok while a partition has stopped.
---@async
function M.lag(bridge, options)
  return effect.observe("bridge/" .. bridge.name .. "/lag", function()
    local rows, why = read_lag(bridge)
    if not rows then return nil, why end
    local sum, worst, stopped = total(rows)
    local most = options.at_most
    local text = ("%d records behind"):format(sum)
    if worst and worst.lag > 0 then
      text = ("%s, most of them in %s/%d (%d)"):format(text, worst.topic,
        worst.partition, worst.lag)
    end
    if #stopped > 0 then
      text = text .. "; stopped: " .. table.concat(stopped, "; ")
    end
    return {
      ok = #stopped == 0 and (not most or sum <= most),
      seen = sum, want = most, text = text, partitions = #rows,
    }
  end)
end

--- What the copy's settings lack, one text each.
local function compare_configs(name, mine, its, change, problems)
  for key, value in pairs(change and change.set or {}) do
    local there = its[key]
    there = there and (there.source == "topic" or mine[key].source ~= "topic")
      and there.value or "not set"
    problems[#problems + 1] = ("%s: %s is %s here and %s there"):format(name,
      key, value, there)
  end
  for _, key in ipairs(change and change.delete or {}) do
    problems[#problems + 1] = ("%s: %s is not set here and %s there")
      :format(name, key, its[key].value)
  end
end

--- All topics of the bridge are on both sides, with the same partitions and
-- the same settings of their own, less those that each side decides by itself.
---@async
function M.same_topics(bridge)
  local all, why = bridge.from:client("read"):topics()
  if not all then return nil, why end
  local there
  there, why = bridge.to:client("read"):topics()
  if not there then return nil, why end
  local known, problems, here, other = {}, {}, {}, {}
  for _, one in ipairs(there) do known[one.name] = one end
  for _, one in ipairs(all) do
    if names.carries(bridge, one.name) then
      local copy = known[bridge:name_on(one.name, "to")]
      if not copy then
        problems[#problems + 1] = one.name .. " is missing"
      elseif copy.partitions ~= one.partitions then
        problems[#problems + 1] = ("%s has %d partitions here and %d there")
          :format(one.name, one.partitions, copy.partitions)
      else
        here[#here + 1], other[#other + 1] = one.name, copy.name
      end
    end
  end
  if #here + #problems == 0 then
    problems[1] = names.match_nothing(bridge, bridge.from.name)
  end
  local mine, theirs
  mine, why = settings.described(bridge.from:client "read", here)
  if not mine then return nil, why end
  theirs, why = settings.described(bridge.to:client "read", other)
  if not theirs then return nil, why end
  local settable = other[1] and settings.known(bridge.to:client "read", other[1])
  for index, name in ipairs(here) do
    local its, own = mine[name] or {}, theirs[other[index]] or {}
    compare_configs(name, its, own, settings.change(its, own, settable,
      bridge.defaults), problems)
  end
  return {
    ok = #problems == 0, seen = { topics = #here, problems = problems },
    want = "the same topics", text = #problems == 0
      and ("%d topics are on both sides"):format(#here)
      or table.concat(problems, "; "),
  }
end

--- What the engine wrote last, one row per partition.
---@async
function M.progress(bridge)
  local book, why = bridge:open_ledger()
  if not book then return nil, why end
  local rows = {}
  for _, one in ipairs(bridge.legs(book)) do
    local at = one.at or {}
    local reads, writes = ledger.sides(one)
    rows[#rows + 1] = {
      topic = one.topic, partition = one.partition, leg = one.leg,
      from = bridge:cluster(reads).name, to = bridge:cluster(writes).name,
      offsets = one.kind, why = one.why, state = at.state or "preparing",
      text = at.text, source = at.source, target = at.target,
      source_end = at.source_end, reason = at.reason, range = at.range,
      warning = at.warning, left_out = one.left_out,
    }
  end
  return rows
end

--- What the engine last said of each group that has moved.
local function shadows_of(bridge, book)
  local list, said = {}, {}
  for group, one in pairs(book.shadows) do
    list[#list + 1] = one
    if one.state ~= "shadowed" then
      said[#said + 1] = one.text or ("group %s waits"):format(group)
    end
  end
  if #list == 0 then return nil, "" end
  table.sort(list, function(a, b) return a.group < b.group end)
  table.sort(said)
  return list, ("; %d groups that moved are shadowed where they came from%s")
    :format(#list - #said, #said > 0 and "; not " .. answer.some(said, 3) or "")
end

--- What of these partitions is not copied, as the bridge began behind it.
local function not_copied(rows)
  local said = {}
  for _, row in ipairs(rows) do said[#said + 1] = row.left_out end
  return #said == 0 and "" or "; left out, as it was written before the bridge "
    .. "was opened: " .. answer.some(said, 3)
end

--- What does not go well with some of these partitions; "" for nothing.
local function not_well(rows)
  local racing, waiting, text = 0, {}, ""
  for _, row in ipairs(rows) do
    if row.warning then racing = racing + 1 end
    if row.state == "waiting" then waiting[#waiting + 1] = row.text end
  end
  if waiting[1] then
    text = (", %d partitions wait: %s"):format(#waiting, answer.some(waiting, 2))
  end
  if racing == 0 then return text end
  return ("%s, %d PARTITIONS LOSE AGAINST RETENTION"):format(text, racing)
end

--- Alive or not, where, how far behind, how to stop it; for every exit of a
-- run. `text` is one line.
---@async
function M.status(bridge)
  local book, why = bridge:ledger()
  if book == nil then return nil, why end
  if not book or not book.bridge then
    return { open = false, alive = false,
      text = ("bridge %s is not open"):format(bridge.name) }
  end
  local wanted = book.wanted and book.wanted.state or "open"
  local status
  status, why = bridge:home():status(book)
  if not status then return nil, why end
  status.open, status.rate = wanted ~= "closed", book.bridge.rate
  status.partitions = M.progress(bridge)
  local behind = M.lag(bridge, {})
  status.lag = behind and behind.seen
  local shadowed
  status.groups, shadowed = shadows_of(bridge, book)
  local lag = status.lag and (", %d records behind"):format(status.lag) or ""
  lag = lag .. not_well(status.partitions or {})
  if status.unknown then
    status.text = ("bridge %s: nobody knows whether it copies: %s"):format(
      bridge.name, status.unknown)
  elseif status.alive then
    status.text = ("bridge %s copies on (%s%s%s); to stop it: %s"):format(
      bridge.name, status.where, rates.told(status.rate), lag, status.stop)
  elseif status.open then
    status.text = ("bridge %s is open but NOTHING COPIES%s%s; to go on: %s")
      :format(bridge.name, status.where and " (" .. status.where .. ")" or "",
        lag, status.start)
  else
    status.text = ("bridge %s is closed%s"):format(bridge.name,
      status.remains and "; what it made is left: " .. status.remains or "")
  end
  if status.open then
    status.text = status.text .. shadowed .. not_copied(status.partitions or {})
  end
  return status
end

return M
