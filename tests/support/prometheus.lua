--- Reads a page in Prometheus' text format and says what is wrong with it: the
-- rules of the exposition format, and of naming as promtool checks it.
-- Loaded by path: `local prometheus = dofile "tests/support/prometheus.lua"`.

local M = {}

local TYPES = { counter = true, gauge = true, histogram = true, summary = true,
  untyped = true }
local NOT_BASE_UNITS = { "milliseconds", "millis", "ms", "minutes", "hours",
  "kilobytes", "megabytes", "kib", "mib", "bits", "percent" }

--- 'a="x",b="y"' as a table; nil where it is not well formed.
local function read_labels(text)
  local labels, at = {}, 1
  while at <= #text do
    local name, after = text:match('^([%a_][%w_]*)="()', at)
    if not name or labels[name] then return nil end
    local value, i = {}, after
    while true do
      local char = text:sub(i, i)
      if char == "" or char == "\n" then return nil end
      if char == '"' then break end
      if char == "\\" then
        i = i + 1
        local escaped = ({ n = "\n", ["\\"] = "\\", ['"'] = '"' })[text:sub(i, i)]
        if not escaped then return nil end
        char = escaped
      end
      value[#value + 1] = char
      i = i + 1
    end
    labels[name] = table.concat(value)
    at = i + 1
    if at <= #text then
      if text:sub(at, at) ~= "," then return nil end
      at = at + 1
    end
  end
  return labels
end

local function check_name(name, kind, complain)
  if not name:find "^[a-z][a-z0-9_]*$" then complain("name %s", name) end
  if kind == "counter" and not name:find "_total$" then
    complain("counter %s does not end in _total", name)
  elseif kind ~= "counter" and name:find "_total$" then
    complain("%s %s ends in _total", kind, name)
  end
  for _, unit in ipairs(NOT_BASE_UNITS) do
    if name:find("_" .. unit .. "$") or name:find("_" .. unit .. "_") then
      complain("%s: %s is no base unit", name, unit)
    end
  end
  if name:find(kind, 1, true) and kind ~= "untyped" then
    complain("%s has its type in its name", name)
  end
end

--- Values by series text, and a list of complaints.
---@return table<string, number> series, string[] problems
function M.read(page)
  local series, problems, helped, typed, closed = {}, {}, {}, {}, {}
  local current
  local function complain(format, ...)
    problems[#problems + 1] = format:format(...)
  end
  if page:sub(-1) ~= "\n" then complain "no line feed at the end" end
  for line in page:gmatch "([^\n]*)\n" do
    local word, name, rest = line:match "^# (%u+) (%S+) (.*)$"
    if word == "HELP" then
      if helped[name] then complain("HELP twice: %s", name) end
      if rest == "" then complain("empty HELP: %s", name) end
      helped[name] = true
    elseif word == "TYPE" then
      if typed[name] then complain("TYPE twice: %s", name) end
      if not TYPES[rest] then complain("type %s of %s", rest, name) end
      if not helped[name] then complain("no HELP before TYPE: %s", name) end
      typed[name] = rest
      if current then closed[current] = true end
      current = name
      check_name(name, rest, complain)
    else
      local labels, value
      name, labels, value = line:match "^([%w_:]+)(%b{}) (%S+)$"
      if not name then
        name, value = line:match "^([%w_:]+) (%S+)$"
        labels = ""
      end
      if not name then
        complain("no sample: %s", line)
      else
        if not typed[name] then complain("no TYPE before %s", name) end
        if closed[name] then complain("samples of %s are apart", name) end
        if labels ~= "" and not read_labels(labels:sub(2, -2)) then
          complain("labels: %s", line)
        end
        if not tonumber(value) then complain("value: %s", line) end
        local id = name .. labels
        if series[id] then complain("twice: %s", id) end
        series[id] = tonumber(value) or 0
      end
    end
  end
  return series, problems
end

return M
