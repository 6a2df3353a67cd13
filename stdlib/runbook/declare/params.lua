--- Parameters: declared by type, given from outside by -p, --params or a
-- default. Secrets come only by reference (env:NAME, file:PATH), never as text
-- on a command line, and stay opaque.

local declaration = require "runbook.declare.declaration"
local kinds = require "runbook.declare.kinds"
local schema = require "base.schema"
local types = require "runbook.declare.types"

local M = {}

--- Reads what `from` refers to, into a secret.
---@param from string
---@param label string
---@return any secret, string? code, string? why, string? hint
function M.read_secret(from, label)
  local scheme, rest = from:match("^(%a+):(.+)$")
  if scheme == "vault" then
    return nil, "E0901", "vault: is not built yet", "use env: or file:"
  elseif scheme ~= "env" and scheme ~= "file" then
    return nil, "E0404", ("secret '%s' is not given by reference"):format(label),
      "write env:NAME or file:PATH; a secret typed here would stay in the "
      .. "shell's history"
  end
  local secret = require "vm.secret"
  local value, why
  if scheme == "env" then
    value, why = secret.from_env(rest)
  else
    value, why = secret.from_file(rest)
  end
  if value then return value end
  return nil, "E0405", ("secret '%s' cannot be read from %s%s"):format(label,
    from, why and ": " .. tostring(why) or "")
end

local TRUTH = { ["true"] = true, yes = true, on = true, ["1"] = true,
  ["false"] = false, no = false, off = false, ["0"] = false }

--- A value given as text, as its type wants it; other types check themselves.
local function from_text(field, text)
  if type(text) ~= "string" then return text end
  if field.kind == "count" then return tonumber(text) or text end
  if field.kind == "flag" and TRUTH[text] ~= nil then return TRUTH[text] end
  if field.kind == "list" then
    local list = {}
    for item in text:gmatch("[^,]+") do
      list[#list + 1] = item:match("^%s*(.-)%s*$")
    end
    return list
  elseif field.kind == "choice" then
    for _, value in ipairs(field.values or {}) do
      if tostring(value) == text then return value end
    end
  end
  return text
end

--- Something of the right type for a parameter that `check` was not given.
local function stand_in(name, field)
  local kind = field.kind
  if kind == "count" then return field.min or 0 end
  if kind == "flag" then return false end
  if kind == "choice" then return field.values and field.values[1] end
  if kind == "list" then return { "<" .. name .. ">" } end
  return ({ duration = "1s", size = "1B", rate = "1/s", share = "1%" })[kind]
    or name .. ":0" -- passes for a name and for an address
end

local function secret_value(d, name, field, where, at)
  local from = d.given[name] or field.from
  if not from then return nil end
  if d.blind then return require "vm.secret".new("", name), from end
  local value, code, why, hint = M.read_secret(tostring(from), name)
  if value then return value, from end
  if d.lenient and code == "E0405" then
    d:problem("W0405", where, why, "a run needs it", at)
  else
    d:problem(code, where, why, hint, at)
  end
  return require "vm.secret".new("", name), from
end

local function value_of(d, name, field, where)
  local at = { field = name }
  if field.kind == "secret" then
    local value, from = secret_value(d, name, field, where, at)
    if value then return value, from end
  elseif d.given[name] ~= nil then
    local value = schema.value(setmetatable({ name = name }, { __index = field }),
      from_text(field, d.given[name]), function(_, message, hint)
        d:problem("E0403", where, ("the value given for %s does not fit: %s")
          :format(name, message), hint, at)
      end)
    if value == nil then value = stand_in(name, field) end
    return value
  elseif field.default ~= nil then
    return field.default
  elseif field.kind == "flag" then
    return false
  elseif field.optional then
    return nil
  end
  d:problem(d.lenient and "W0401" or "E0401", where,
    ("parameter '%s' has no value"):format(name),
    ("give it with -p %s=..."):format(name), at)
  if field.kind == "secret" then
    return require "vm.secret".new("", name)
  end
  return stand_in(name, field)
end

--- What `params { ... }` gives back: its values, read-only.
local function values_table(values, names)
  return setmetatable({}, {
    __name = "parameters",
    __index = function(_, name)
      local value = values[name]
      if value == nil and not names[name] then
        local known = {}
        for known_name in next, names do known[#known + 1] = known_name end
        table.sort(known)
        declaration.problem("E0402", nil, ("there is no parameter '%s'")
          :format(tostring(name)), schema.suggest(tostring(name), known),
          { token = name })
        return kinds.nothing
      elseif type(value) == "table" and not getmetatable(value) then
        return table.move(value, 1, #value, 1, {})
      end
      return value
    end,
    __newindex = function(_, name)
      declaration.problem("E0112", nil, ("parameter '%s' cannot be changed")
        :format(tostring(name)), "give its value from outside, or a default",
        { token = name })
    end,
  })
end

--- Declares the parameters in `body`; their values come from `d.given`.
---@param d tranship.Declaration
---@return table values
function M.declare(d, body, where)
  local values, names = {}, {}
  local sorted = {}
  for name in next, body do sorted[#sorted + 1] = tostring(name) end
  table.sort(sorted)
  for _, name in ipairs(sorted) do
    local field = body[name]
    local fits = types.is(field)
    for _, thing in ipairs(types.things) do
      fits = fits and field.kind ~= thing
    end
    names[name] = true
    if field == kinds.nothing or types.is(field) and field.broken then
      values[name] = kinds.nothing
    elseif not fits then
      d:problem("E0201", where, ("parameter '%s' needs a type, and this is %s")
        :format(name, types.is(field) and "a." .. field.kind
        or schema.describe(field)), "for values there are a."
        .. table.concat(types.plain, ", a."), { field = name })
      values[name] = kinds.nothing
    else
      local value, from = value_of(d, name, field, where)
      values[name] = value
      d.params[name] = {
        kind = field.kind, value = value, help = field.help, field = field,
        secret = field.kind == "secret" or nil, from = from,
      }
    end
  end
  for name in next, d.given do
    if not names[name] then
      d:problem("E0402", { file = "-p " .. name },
        ("the runbook has no parameter '%s'"):format(name),
        schema.suggest(name, sorted))
    end
  end
  return values_table(values, names)
end

--- Collects -p name=value and a --params file (JSON) into one table.
---@param pairs_given? string[]
---@param file? string
---@return table? given, tranship.Problem[]? problems
function M.gather(pairs_given, file)
  local given, problems = {}, {}
  local function problem(code, where, message, hint)
    problems[#problems + 1] = { code = code, severity = "error", file = where,
      message = message, hint = hint }
  end
  if file then
    local text, why = require "vm.sys".read_file(file)
    local decoded
    if text then decoded, why = require "vm.json".decode(text) end
    if type(decoded) ~= "table" or #decoded > 0 then
      problem("E0406", file, "parameters cannot be read: "
        .. tostring(why or "this is no object"),
        "the file holds one JSON object: { \"max_lag\": 100 }")
    else
      given = decoded
    end
  end
  for _, item in ipairs(pairs_given or {}) do
    local name, value = item:match("^([%a_][%w_]*)=(.*)$")
    if name then
      given[name] = value
    else
      problem("E0406", "-p " .. (item:match("^[^=]*") or ""),
        "a parameter is given as name=value", "-p max_lag=100")
    end
  end
  if #problems > 0 then return nil, problems end
  return given
end

--- Sorts names as the text declares them.
local function in_order(book, names)
  local fields = {}
  for _, call in ipairs(require "runbook.declare.outline".of(book.text).calls) do
    if call.name == "params" and call.body then fields = call.body.fields end
  end
  local function place(name)
    local at = fields[name] or { line = 0, col = 0 }
    return ("%08d %08d %s"):format(at.line, at.col, name)
  end
  table.sort(names, function(a, b) return place(a) < place(b) end)
end

--- The parameters of a book as lines for `run FILE --help`.
---@return string
function M.help(book)
  local lines, names, width = {}, {}, 0
  for name, param in next, book.params do
    names[#names + 1] = name
    width = math.max(width, #name + 1 + #types.says(param.field))
  end
  in_order(book, names)
  for _, name in ipairs(names) do
    local field = book.params[name].field
    local default = field.default
    if field.kind == "flag" and default == nil then default = false end
    if type(default) == "table" then default = table.concat(default, ",") end
    local tail = default ~= nil and ("default %s"):format(tostring(default))
      or field.kind == "secret" and (field.from
        or "env:NAME or file:PATH, needed")
      or field.optional and "may be left out" or "needed"
    lines[#lines + 1] = ("  -p %-" .. width .. "s  %s(%s)"):format(
      name .. "=" .. types.says(field),
      field.help and field.help .. " " or "", tail)
  end
  if #lines == 0 then return "  (this runbook takes no parameters)" end
  return table.concat(lines, "\n")
end

--- What `COMMAND FILE --help` adds to the help of the command.
---@async
---@return string
function M.more_help(opts, args)
  if not args[1] then return "" end
  local book, problems = require "runbook.load".book(args[1], {
    lenient = true, blind = true, recipes = opts.recipes, once = true,
  })
  if not book then return "\n" .. require "runbook.declare.problems".text(problems) end
  local text = ("\nParameters of %s:\n%s\n"):format(book.name, M.help(book))
  book:close()
  return text
end

return M
