--- tranship mm2: reads a MirrorMaker 2 flow and says what its offsets are worth.

local flags = require "base.options"
local json = require "vm.json"
local sys = require "vm.sys"
local text = require "base.text"

local EXIT_OK, EXIT_FAILED, EXIT_WRONG = 0, 1, 3
local INEXACT = 1

local M = {
  name = "mm2",
  summary = "Read a MirrorMaker 2 flow: where it is, and what its offsets are "
    .. "worth.",
  usage = "tranship mm2 flow|offsets SOURCE=HOST:PORT TARGET=HOST:PORT",
  examples = {
    "tranship mm2 flow east=east:9092 west=west:9092",
    "tranship mm2 offsets east=east:9092 west=west:9092 --policy identity",
    "tranship mm2 offsets east=east:9092 west=west:9092 --group billing -o json",
  },
  options = flags.join({
    { name = "policy", kind = "value", value = "POLICY",
      choices = { "default", "identity" },
      help = "its replication policy; default puts the source's alias before "
        .. "names" },
    { name = "separator", kind = "value", value = "TEXT",
      help = "its replication.policy.separator; default a dot" },
    { name = "dotted-internals", kind = "flag",
      help = "its internal topics have dots all the same" },
    { name = "syncs-on-target", kind = "flag",
      help = "its offset-syncs.topic.location is target" },
    { name = "connector", kind = "value", value = "NAME",
      help = "in a shared Connect cluster: the source connector's name" },
    { name = "offsets-topic", kind = "value", value = "TOPIC",
      help = "in a shared Connect cluster: its offset.storage.topic" },
    { name = "group", kind = "list", value = "G",
      help = "only this consumer group; default those MirrorMaker takes" },
    { name = "output", short = "o", kind = "value", value = "KIND",
      choices = { "table", "json" }, help = "how to print" },
  }),
  more_help = function()
    return "\nNames before the addresses are MirrorMaker's cluster aliases. "
      .. "Nothing is written.\n`offsets` ends with 1 when a position is not "
      .. "exact.\n"
  end,
}

local function say(format, ...)
  sys.errout("tranship mm2: " .. format:format(...) .. "\n")
end

local function print_table(rows)
  local widths = {}
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do
      widths[i] = math.max(widths[i] or 0, text.width(row[i]))
    end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = widths[i] and text.pad(cell, widths[i]) or cell
    end
    sys.out(table.concat(cells, "  ") .. "\n")
  end
end

local function shown(value) return value and tostring(value) or "-" end

local verbs = {}

function verbs.flow(survey, opts)
  local rows, why = require "mirror.mm2.standing".rows(survey)
  if not rows then return nil, why end
  local flow = survey.flow
  if opts.output == "json" then
    sys.out(json.encode {
      partitions = json.array(rows), missing = json.array(flow.missing),
      problems = json.array(flow.problems), heartbeat = flow.heartbeat,
    } .. "\n")
    return EXIT_OK
  end
  local lines = { { "PARTITION", "COPIED UP TO", "SOURCE ENDS", "ON TARGET",
    "SYNCS", "LAST SYNC" } }
  for _, row in ipairs(rows) do
    lines[#lines + 1] = {
      row.topic .. "/" .. row.partition, shown(row.copied),
      shown(row.source_end), row.target .. " " .. shown(row.target_end),
      tostring(row.syncs), row.last_sync and ("%d is %d"):format(
        row.last_sync.upstream, row.last_sync.downstream) or "-",
    }
  end
  print_table(lines)
  return EXIT_OK
end

function verbs.offsets(survey, opts)
  local rows, why = require "mirror.mm2.answers".compare(survey, opts.group)
  if not rows then return nil, why end
  local inexact = false
  local lines = { { "GROUP", "PARTITION", "COMMITTED", "MM2", "EXACT",
    "AGAIN", "WHY" } }
  for _, row in ipairs(rows) do
    inexact = inexact or row.mm2 ~= row.exact or not row.exact
    lines[#lines + 1] = {
      row.group, row.topic .. "/" .. row.partition, tostring(row.committed),
      shown(row.mm2), shown(row.exact), shown(row.again), row.why,
    }
  end
  if opts.output == "json" then
    sys.out(json.encode(json.array(rows)) .. "\n")
  else
    print_table(lines)
  end
  return inexact and INEXACT or EXIT_OK
end

--- "alias=host:port" apart.
local function side_of(word)
  local alias, bootstrap = (word or ""):match "^([%w._-]+)=(.+)$"
  return alias, bootstrap
end

local function names_of(opts, source, target)
  return require "mirror.mm2.names".new {
    source = source, target = target, policy = opts.policy,
    separator = opts.separator,
    internal_separator = not opts.dotted_internals,
    offset_syncs = opts.syncs_on_target and "target" or "source",
    connector = opts.connector, offsets_topic = opts.offsets_topic,
  }
end

local function read_all(survey, names, clusters)
  local cluster = require "kafka.cluster"
  local side = require "mirror.side"
  for at, one in pairs { from = clusters[1], to = clusters[2] } do
    survey.clusters[at] = cluster.new(one)
    survey.sides[at] = side.new {
      name = one.name, bootstrap = one.bootstrap, read_only = true,
    }
    survey[at] = survey.clusters[at]:client "read"
  end
  local why
  survey.flow, why = require "mirror.mm2.reading".flow(names, survey.from,
    survey.to)
  return survey.flow, why
end

local function close(survey)
  for _, list in ipairs { survey.sides, survey.clusters } do
    for _, one in pairs(list) do one:close() end
  end
end

function M.run(opts, args)
  local verb = verbs[args[1]]
  local source, from = side_of(args[2])
  local target, to = side_of(args[3])
  if not verb or not source or not target or #args > 3 then
    say("%s", M.usage)
    return EXIT_WRONG
  end
  local names, wrong = names_of(opts, source, target)
  if not names then
    say("%s", tostring(wrong))
    return EXIT_WRONG
  end
  local survey <close> = setmetatable({ clusters = {}, sides = {} },
    { __close = close })
  local code
  local flow, why = read_all(survey, names, {
    { name = source, bootstrap = from }, { name = target, bootstrap = to } })
  if flow then
    for _, problem in ipairs(flow.problems) do say("%s", problem) end
    for _, topic in ipairs(flow.missing) do say("there is no topic %s", topic) end
    code, why = verb(survey, opts)
  end
  if code then return code end
  say("%s", tostring(why))
  return EXIT_FAILED
end

return M
