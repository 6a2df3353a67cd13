--- tranship translate: positions of one cluster as positions of the other.

local context = require "base.context"
local json = require "vm.json"
local sys = require "vm.sys"
local bridges = require "runbook.command.bridges"
local command = require "runbook.command"
local flags = require "base.options"
local places = require "mirror.offsets.places"

local INEXACT = 1

local M = {
  name = "translate",
  summary = "Say where positions lie on the other cluster: exactly, or why not.",
  usage = "tranship translate BRIDGE|FILE TOPIC/PARTITION/OFFSET... | "
    .. "--group G | --rows csv|json",
  examples = {
    "tranship translate event-bus apps.greetings/0/4839",
    "tranship translate event-bus --group greeter -o json",
    "tranship translate event-bus --back apps.greetings/0/5001",
    "tranship translate event-bus --rows csv --offset-field pos <old.csv >new.csv",
    "tranship translate event-bus --rows json --topic-field "
      .. "partition.kafka_topic --partition-field partition.kafka_partition "
      .. "--offset-field offset.kafka_offset <old.json >new.json",
  },
  options = flags.join({
    { name = "group", kind = "list", value = "G",
      help = "the positions of a consumer group" },
    { name = "back", kind = "flag",
      help = "from the bridge's target to its source" },
    { name = "records", kind = "flag",
      help = "offsets name records, not the next one to read" },
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "table", "json", "jsonl" }, help = "how to print" },
    { name = "rows", kind = "value", value = "KIND",
      choices = { "csv", "json" },
      help = "translate rows from stdin to stdout" },
    { name = "topic-field", kind = "value", value = "NAME",
      help = "rows: column or field (a.b) of the topic; default topic" },
    { name = "partition-field", kind = "value", value = "NAME",
      help = "rows: of the partition; default partition" },
    { name = "offset-field", kind = "value", value = "NAME",
      help = "rows: of the offset; default offset" },
    { name = "topic", kind = "value", value = "NAME",
      help = "rows: all are about this topic" },
    { name = "partition", kind = "value", value = "N",
      help = "rows: all are about this partition" },
    { name = "note", kind = "value", value = "NAME",
      help = "rows: a further column or field, saying how each was answered" },
    { name = "delimiter", kind = "value", value = "CHAR",
      help = "rows: between columns, or tab; default a comma" },
    { name = "no-head", kind = "flag",
      help = "rows: the first line is data; columns are numbers" },
  }, bridges.options, flags.loading),
}

function M.more_help()
  return [[

An answer is exact, or says why there is none: not mirrored yet, below the log
start, below where copying began, a foreign record, removed on the other side.
Rows keep everything but the position, which is empty (null in JSON) where there
is no exact one; then it ends with 1. Nothing is written to a cluster.
]]
end

local function position_of(word)
  local topic, partition, offset = word:match "^(.+)/(%d+)/(%d+)$"
  partition, offset = math.tointeger(partition), math.tointeger(offset)
  return partition and offset
    and { topic = topic, partition = partition, offset = offset } or nil
end

--- What the group has on the side that positions come from.
local function of_group(bridge, group, back)
  local cluster = back and bridge.to or bridge.from
  if not cluster then return nil, "--group needs to know the source" end
  local list, why = cluster:client("read"):group_offsets(group)
  if not list then return nil, why end
  local found = {}
  for _, one in ipairs(list) do
    if one.err then return nil, one.err end
    if one.offset and one.offset >= 0 then
      one.group = group
      found[#found + 1] = one
    end
  end
  table.sort(found, function(a, b)
    if a.topic ~= b.topic then return a.topic < b.topic end
    return a.partition < b.partition
  end)
  if #found == 0 then
    return nil, ("group %s has no position on %s"):format(group, cluster.name)
  end
  return found
end

local function gather(bridge, opts, words)
  local list = {}
  for _, word in ipairs(words) do
    list[#list + 1] = position_of(word)
  end
  for _, group in ipairs(opts.group or {}) do
    local found, why = of_group(bridge, group, opts.back)
    if not found then return nil, why end
    table.move(found, 1, #found, #list + 1, list)
  end
  return list
end

local function print_table(answers)
  local rows = { { "POSITION", "THERE", "ANSWER" } }
  for index, one in ipairs(answers) do
    rows[index + 1] = {
      ("%s/%d/%d"):format(one.topic, one.partition, one.offset),
      one.to and ("%s/%d/%d"):format(one.to.topic, one.to.partition,
        one.to.offset) or "-",
      one.why or one.answer,
    }
  end
  local widths = { 0, 0 }
  for _, row in ipairs(rows) do
    for i, width in ipairs(widths) do widths[i] = math.max(width, #row[i]) end
  end
  for _, row in ipairs(rows) do
    sys.out(("%-" .. widths[1] .. "s  %-" .. widths[2] .. "s  %s\n")
      :format(table.unpack(row)))
  end
end

local function answer_all(book, all, list, opts)
  local answers, code = {}, 0
  for index, position in ipairs(list) do
    answers[index] = places.answer(book, all, position, opts.back)
    if not answers[index].to then code = INEXACT end
  end
  if opts.output == "json" then
    command.print_json { format = 1, positions = json.array(answers) }
  elseif opts.output == "jsonl" then
    for _, one in ipairs(answers) do command.print_json(one) end
  else
    print_table(answers)
  end
  return code
end

local function rows(all, opts)
  local told, why = all:filter {
    json = opts.rows == "json",
    delimiter = opts.delimiter == "tab" and "\t" or opts.delimiter,
    no_head = opts.no_head, topic = opts.topic_field,
    partition = opts.partition_field, offset = opts.offset_field,
    all_topic = opts.topic, note = opts.note,
    all_partition = math.tointeger(tonumber(opts.partition)),
  }
  if not told then
    command.say("translate: %s", tostring(why))
    return why.kind == "invalid" and command.WRONG or INEXACT
  end
  local given, refused = 0, {}
  for word, count in pairs(told.rows) do
    local has_place = word == "exact" or not opts.records
      and (word == "hole" or word == "end")
    if has_place then given = given + count
    elseif count > 0 then
      refused[#refused + 1] = ("%d %s"):format(count, word)
    end
  end
  table.sort(refused)
  for _, one in ipairs(told.refused) do
    command.say("row %d: %s", one.row, one.why)
  end
  command.say("%d rows translated exactly%s", given, #refused > 0
    and "; without a place: " .. table.concat(refused, ", ") or "")
  return #refused > 0 and INEXACT or 0
end

local function translate(bridge, opts, words)
  local book, why = places.book(bridge.name, bridge.to)
  if not book then return command.refused(why) end
  bridges.adopt(bridge, book)
  local list
  list, why = gather(bridge, opts, words)
  if not list then return command.refused(why) end
  local there, starts = opts.back and bridge.from or not opts.back and bridge.to, {}
  if there then starts, why = places.starts(book, there, opts.back) end
  if not starts then return command.refused(why) end
  local all <close>, broken = places.of(book, {
    back = opts.back, records = opts.records, starts = starts,
  })
  if not all then return command.refused(broken) end
  if opts.rows then return rows(all, opts) end
  return answer_all(book, all, list, opts)
end

--- Everything that is wrong with what was asked, one text each.
local function problems_of(opts, words)
  local list = {}
  for _, word in ipairs(words) do
    if not position_of(word) then
      list[#list + 1] = word .. " is no topic/partition/offset"
    end
  end
  if opts.rows and (#words > 0 or opts.group) then
    list[#list + 1] = "--rows reads positions from stdin, and stands alone"
  end
  if opts.partition and not opts.partition:find "^%d+$" then
    list[#list + 1] = "--partition is a number, and not " .. opts.partition
  end
  for _, field in ipairs(opts.no_head and { "topic", "partition", "offset" } or {}) do
    local column = opts[field .. "_field"] or field
    if not opts[field] and not column:find "^[1-9]%d*$" then
      list[#list + 1] = ("--no-head: --%s-field is the number of a column"):format(field)
    end
  end
  if opts.delimiter and #opts.delimiter ~= 1 and opts.delimiter ~= "tab" then
    list[#list + 1] = "--delimiter is one character, or tab"
  end
  return list
end

function M.run(opts, args)
  local name = table.remove(args, 1)
  if not name or not (args[1] or opts.group or opts.rows) then
    return command.wrong_usage(M)
  end
  local problems = problems_of(opts, args)
  for _, problem in ipairs(problems) do command.say("translate: %s", problem) end
  if #problems > 0 then return command.WRONG end
  local bridge, why = bridges.find(opts, name)
  if not bridge then return why and command.refused(why) or command.WRONG end
  local reading = { phase = "check" }
  local ran, code = pcall(context.with, reading, translate, bridge, opts, args)
  bridge.to:close()
  if bridge.from then bridge.from:close() end
  if ran then return code end
  if require("vm.err").is(code) then return command.refused(code) end
  error(code, 0)
end

return M
