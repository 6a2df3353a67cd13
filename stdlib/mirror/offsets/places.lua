--- Positions told across a bridge by what its topic says, and nothing else: one
-- by one, by group, or as a filter. A position is exact, or it is said why there
-- is none. Beside the target only the side is asked that positions are told for,
-- where its logs begin, and for a group the one it stands on.

local places = require "vm.places"
local err = require "base.err"
local map = require "mirror.offsets.map"
local names = require "mirror.names"
local topic = require "mirror.topic"

local M = {}

--- What the topic of bridge `name` on cluster `to` says, closed again.
---@async
---@return table? book, tranship.Err?
function M.book(name, to)
  local client = function() return to:client "read" end
  local source = topic.new(name, client, client)
  local there, why = source:exists()
  local book
  if there then book, why = source:refresh() end
  source:close()
  if book and book.problems[1] then return nil, book.problems[1] end
  if book and book.bridge then return book end
  return nil, why or err.new {
    kind = "not found", origin = "bridge",
    message = ("bridge %s was never opened: %s has no topic %s"):format(name,
      to.name, source.name),
  }
end

local function target_name(book, name)
  return names.on_target(book.bridge.names, name)
end

--- Where the logs of the side begin that positions are told for, by the source's
-- name and partition.
---@async
---@param cluster table  that side
---@param back? boolean  it is the source
function M.starts(book, cluster, back)
  local wants, starts = {}, {}
  for _, name in ipairs(book:names()) do
    for _, number in ipairs(book:numbers(name)) do
      wants[#wants + 1] = { topic = back and name or target_name(book, name),
        at = "start", partition = number, name = name }
    end
  end
  if #wants == 0 then return starts end
  local list = {}
  for index, want in ipairs(wants) do
    list[index] = { topic = want.topic, partition = want.partition, at = "start" }
  end
  local found, why = cluster:client("read"):offsets(list)
  if not found then return nil, why end
  for index, one in ipairs(found) do
    local want = wants[index]
    if not one.err then
      starts[want.name .. "/" .. want.partition] = one.offset
    end
  end
  return starts
end

--- A stranger's offsets on the side that positions come from, if the bridge
-- stopped at some.
local function foreign_range(part, at)
  local stop = part.at and part.at.state == "stopped" and part.at
  local range = stop and stop.reason == "foreign" and stop.range
  if range and range.side == at then return range.from, range.to end
end

--- Everything a ledger knows, as vm.places; to be closed.
---@param book table
---@param options { back?: boolean, records?: boolean, starts?: table<string, integer> }
function M.of(book, options)
  local at = options.back and "to" or "from"
  local all = places.new { back = options.back, records = options.records }
  for _, name in ipairs(book:names()) do
    local there = target_name(book, name)
    for _, number in ipairs(book:numbers(name)) do
      local exact <close>, why = map.of(book, name, number)
      if why then
        all:close()
        return nil, why
      end
      if exact then
        local foreign, foreign_end = foreign_range(
          book:partition(name, number), at)
        all:add {
          topic = options.back and there or name,
          there = options.back and name or there, partition = number,
          map = exact:save(), left_out = exact.left_out ~= nil and not options.back,
          foreign = foreign, foreign_end = foreign_end,
          first_there = options.starts and options.starts[name .. "/" .. number],
        }
      end
    end
  end
  return all
end

--- More words about a position that has no place.
local function reason(book, position, word, back)
  local at = back and "to" or "from"
  local name = back and names.on_source(book.bridge.names, position.topic)
    or position.topic
  local exact <close> = map.of(book, name, position.partition)
  if not exact then return word end
  local part = book:partition(name, position.partition)
  local passed = {}
  passed.from, passed.to = exact:position()
  if word == "not mirrored yet" then
    word = ("%s: the copy has passed %d"):format(word, passed[at])
    if part.at and part.at.state == "stopped" then
      word = word .. ", and has stopped there: " .. part.at.text
    end
  elseif word == "below the log start" then
    word = back and ("not the bridge's: it began at offset %d")
      :format(exact.start[at])
      or ("%s: copying began at offset %d"):format(word, exact.start[at])
  elseif word == "below where copying began" then
    word = ("%s: that was at offset %d"):format(word, exact.start[at])
  elseif word == "foreign record" then
    word = word .. ": " .. part.at.text
  end
  return word
end

--- One position's answer.
---@param position { topic: string, partition: integer, offset: integer }
---@return { topic: string, partition: integer, offset: integer, answer: string, to?: table, why?: string }
function M.answer(book, all, position, back)
  local offset, word, there = all:find(position.topic, position.partition,
    position.offset)
  local answer = { topic = position.topic, partition = position.partition,
    offset = position.offset, answer = word, group = position.group }
  if offset then
    answer.to = { topic = there, partition = position.partition,
      offset = offset }
  else
    answer.why = reason(book, position, word, back)
  end
  return answer
end

return M
