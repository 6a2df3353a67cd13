--- Command-line options as data: parsed, refused and explained from one list.
-- A command is a table { name, summary, usage, examples, options, run }; see
-- stdlib/cmd. Options may stand anywhere; `--` ends them.

local err = require "base.err"

local M = {}

---@class tranship.Option
---@field name string              "read-only": `--read-only`, field read_only
---@field kind "flag"|"value"|"list"  list: may be given several times
---@field help string              one line
---@field value? string            what the value is called in help ("FILE")
---@field short? string            one letter: "p" gives `-p`
---@field choices? string[]        the values it may have

local common = {
  { name = "help", short = "h", kind = "flag", help = "show this text" },
  { name = "state", kind = "value", value = "DIR",
    help = "folder of runs and journals (default .tranship)" },
}

local function fail(format, ...)
  return nil, err.new { kind = "usage", message = format:format(...) }
end

local function index(options)
  local by = {}
  for _, list in ipairs { common, options } do
    for _, option in ipairs(list) do
      by["--" .. option.name] = option
      if option.short then by["-" .. option.short] = option end
    end
  end
  return by
end

local function field(option) return (option.name:gsub("-", "_")) end

local function is_choice(option, value)
  for _, choice in ipairs(option.choices or {}) do
    if choice == value then return true end
  end
  return option.choices == nil
end

local function store(opts, option, value)
  local name = field(option)
  if option.kind == "list" then
    opts[name] = opts[name] or {}
    table.insert(opts[name], value)
  elseif opts[name] ~= nil and option.kind == "value" then
    return fail("--%s is given twice", option.name)
  else
    opts[name] = value
  end
  return true
end

-- "--name=value", "-nvalue", or the name alone.
local function split(word)
  local name, value = word:match "^(%-%-[^=]+)=(.*)$"
  if name then return name, value end
  if word:match "^%-[^-]." then return word:sub(1, 2), word:sub(3) end
  return word, nil
end

local function unknown(by, name)
  local names = {}
  for known in pairs(by) do names[#names + 1] = known end
  table.sort(names)
  local near = #name > 2 and require "base.schema".nearest(name, names)
  return fail("unknown option %s%s", name, near and "; did you mean " .. near .. "?"
    or "; --help lists them")
end

--- Parses words by a list of options.
---@param options tranship.Option[]
---@param words string[]
---@return table|nil opts, string[]|tranship.Err args_or_err
function M.parse(options, words)
  local by, opts, args = index(options), {}, {}
  local i = 1
  while i <= #words do
    local word = words[i]
    if word == "--" then
      table.move(words, i + 1, #words, #args + 1, args)
      break
    elseif word:sub(1, 1) ~= "-" or word == "-" then
      args[#args + 1] = word
    else
      local name, value = split(word)
      local option = by[name]
      if not option then return unknown(by, name) end
      if option.kind == "flag" then
        if value then return fail("%s takes no value", name) end
        value = true
      elseif not value then
        i = i + 1
        value = words[i]
        if not value then return fail("%s needs a value", name) end
      end
      if not is_choice(option, value) then
        return fail("%s is one of: %s", name,
          table.concat(option.choices, ", "))
      end
      local ok, why = store(opts, option, value)
      if not ok then return nil, why end
    end
    i = i + 1
  end
  return opts, args
end

local function option_line(option)
  local left = "--" .. option.name
  if option.kind ~= "flag" then left = left .. " " .. (option.value or "X") end
  if option.short then left = "-" .. option.short .. ", " .. left end
  local line = ("  %-26s %s"):format(left, option.help)
  if option.choices then
    line = line .. " (" .. table.concat(option.choices, ", ") .. ")"
  end
  return line
end

--- The help text of a command: examples first.
---@param command table
---@return string
function M.help(command)
  local lines = { command.summary, "" }
  if command.examples and #command.examples > 0 then
    lines[#lines + 1] = "Examples:"
    for _, example in ipairs(command.examples) do
      lines[#lines + 1] = "  " .. example
    end
    lines[#lines + 1] = ""
  end
  lines[#lines + 1] = "Usage: " .. command.usage
  lines[#lines + 1] = ""
  for _, list in ipairs { command.options or {}, common } do
    for _, option in ipairs(list) do lines[#lines + 1] = option_line(option) end
  end
  return table.concat(lines, "\n") .. "\n"
end

--- One list of options out of several.
---@param ... table[]
---@return table[]
function M.join(...)
  local all = {}
  for _, list in ipairs { ... } do
    table.move(list, 1, #list, #all + 1, all)
  end
  return all
end

--- Options of every command that loads a runbook.
M.loading = {
  { name = "param", short = "p", kind = "list", value = "NAME=VALUE",
    help = "a parameter of the runbook" },
  { name = "params", kind = "value", value = "FILE",
    help = "parameters as one JSON object" },
  { name = "recipes", kind = "list", value = "DIR",
    help = "a further folder of recipes" },
}

return M
