--- What `tranship mirror` is to copy, and how: from its configuration file and
-- the command line, which wins. The file is JSON:
--   { "format": 1, "name": "event-bus",
--     "from": { "name": "old", "bootstrap": "old:9092" },
--     "to":   { "name": "new", "bootstrap": "new:9092" },
--     "topics": ["apps.*"], "except": ["apps.tmp.*"], "names": "same",
--     "offsets": "auto", "configs": "followed", "defaults": "source",
--     "acls": "copied", "start": "latest", "memory": "64MiB",
--     "rate": "20MiB/s", "metrics": "127.0.0.1:9404", "group": true }
-- Everything below `to` may be left out. Without `topics` the bridge must be
-- there already: its topic on the target says what it carries. How one logs in
-- stands in `from` and `to`, and secrets only as references:
--   "ca": "file:ca.pem", "login": { "kind": "scram", "user": "mirror",
--                                   "password": "env:OLD_PASSWORD" }
-- or { "kind": "certificate", "cert": "file:..", "key": "file:.." }, "plain",
-- or { "kind": "token", "command": ["get-token", "--audience", "kafka"] }.

local sys = require "vm.sys"
local units = require "base.units"
local place = require "mirror.engine.place"
local rates = require "mirror.engine.rates"

local M = {}

M.OFFSETS = { "auto", "same", "mapped" }
M.CONFIGS = { "created", "followed" }
M.DEFAULTS = { "target", "source" }
M.ACLS = { "none", "copied" }
M.START = { "earliest", "latest" }

local MEMORY = "64MiB"
local LEAST_MEMORY = 1 << 20

local function choice(values)
  return function(value)
    for _, one in ipairs(values) do
      if value == one then return value end
    end
    return nil, ("is one of: %s"):format(table.concat(values, ", "))
  end
end

local function patterns(value)
  local good = type(value) == "table" and #value > 0
  for _, one in ipairs(good and value or {}) do
    good = good and type(one) == "string" and one ~= ""
  end
  if good then return table.move(value, 1, #value, 1, {}) end
  return nil, 'is a list of names and patterns, such as ["apps.*"]'
end

local function names(value)
  if value == "same" then return value end
  local good = type(value) == "table" and next(value) ~= nil
  for from, to in pairs(good and value or {}) do
    good = good and type(from) == "string" and type(to) == "string"
  end
  if good then return value end
  return nil, 'is "same", { "prefix": "blue." } or a map of names'
end

--- "127.0.0.1:9404", "[::1]:0", "off".
local function address(value)
  if value == "off" then return value end
  local host, port = tostring(value):match "^%[?([%w%.:]+)%]?:(%d+)$"
  port = math.tointeger(tonumber(port))
  local numeric = host and (host == "localhost" or host:find "^[%x%.:]+$")
  if numeric and port <= 65535 then return { host = host, port = port } end
  return nil, 'is "off" or a numeric address and a port, such as '
    .. '"127.0.0.1:9404"'
end

local function memory(value)
  local bytes, why = units.size(value)
  if not bytes then return nil, ": " .. why end
  if bytes >= LEAST_MEMORY then return bytes end
  return nil, "is at least 1MiB"
end

local function rate(value)
  return rates.bytes(tostring(value))
end

local function flag(value)
  if type(value) == "boolean" then return value end
  return nil, "is true or false"
end

local function text(value)
  if type(value) == "string" and value ~= "" then return value end
  return nil, "is a text"
end

local function name(value)
  if type(value) == "string" and value:find "^[%w._-]+$" then return value end
  return nil, "may hold letters, digits, '.', '_' and '-'"
end

local function side(value)
  if type(value) == "table" and text(value.bootstrap) then return value end
  return nil, 'is { "bootstrap": "host:port" }, and how to log in'
end

local READ = {
  name = name, from = side, to = side, topics = patterns, except = patterns,
  names = names, offsets = choice(M.OFFSETS), configs = choice(M.CONFIGS),
  defaults = choice(M.DEFAULTS), acls = choice(M.ACLS), start = choice(M.START),
  memory = memory, rate = rate, metrics = address, group = flag,
  format = function(value) return value end, -- place has looked at it
}

--- The command line's part, in the words of the file.
local function from_options(opts, given)
  local said = {
    name = given, topics = opts.topics, except = opts.except,
    offsets = opts.offsets, configs = opts.configs, defaults = opts.defaults,
    acls = opts.acls, start = opts.start, memory = opts.memory, rate = opts.rate,
    metrics = opts.metrics, group = opts.group,
    names = opts.prefix and { prefix = opts.prefix } or nil,
  }
  for _, at in ipairs { "from", "to" } do
    if opts[at] then said[at] = { name = at, bootstrap = opts[at] } end
  end
  return said
end

local function merged(file, said, problems)
  local whole = {}
  for field, value in pairs(file) do whole[field] = value end
  for field, value in pairs(said) do
    local is_side = field == "from" or field == "to"
    if is_side and type(whole[field]) == "table" then
      local copy = {}
      for key, part in pairs(whole[field]) do copy[key] = part end
      copy.bootstrap = value.bootstrap
      whole[field] = copy
    elseif field == "name" and file.name and file.name ~= value then
      problems[#problems + 1] = ("the file is bridge %s's, not %s's"):format(
        tostring(file.name), value)
    else
      whole[field] = value
    end
  end
  return whole
end

local function read_fields(whole, problems)
  local spec = {}
  for field, value in pairs(whole) do
    local read = READ[field]
    local good, why
    if read then good, why = read(value) else why = "is no field" end
    if good == nil then
      problems[#problems + 1] = field .. (why:sub(1, 1) == ":" and "" or " ")
        .. why
    end
    spec[field] = good
  end
  for _, field in ipairs { "name", "from", "to" } do
    if whole[field] == nil then
      problems[#problems + 1] = field == "name" and "no bridge is named"
        or ("no cluster '%s': give --%s HOST:PORT or --config FILE"):format(
          field, field)
    end
  end
  for _, at in ipairs { "from", "to" } do
    if spec[at] then spec[at].name = spec[at].name or at end
  end
  spec.memory = spec.memory or units.size(MEMORY)
  spec.metrics = spec.metrics or { host = "127.0.0.1", port = 0 }
  return spec
end

--- The file to read: the one named, else the bridge's own if it is there.
local function file_of(opts, given, secrets)
  if opts.config then return place.read_config(opts.config, secrets) end
  local path = given and name(given) and place.path(given, "json")
  if path and sys.stat(path) then return place.read_config(path) end
  return {}
end

--- The whole of it; or nil and every problem at once, one text each.
---@param opts table  parsed options
---@param given? string  the bridge's name from the command line
---@param secrets? table<string, any>  what the configuration calls "given"
---@return table? spec, string[] problems
function M.of(opts, given, secrets)
  local file, why = file_of(opts, given, secrets)
  if not file then return nil, { tostring(why) } end
  local problems = {}
  local whole = merged(file, from_options(opts, given), problems)
  local spec = read_fields(whole, problems)
  table.sort(problems)
  if #problems > 0 then return nil, problems end
  return spec, problems
end

return M
