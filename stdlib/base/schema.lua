--- Tables described by data: fields with a kind, a default and a sentence.
-- One description feeds validation, did-you-mean, --help, completion and the
-- reference. A kind is a name in `kinds`; rooms above add their own (a step, a
-- cluster) with `schema.kind`, so this file knows no word of any runbook.

local units = require "base.units"

local M = {}

---@class tranship.Field
---@field name string
---@field kind string        a name in `schema.kinds`
---@field desc string        one sentence, shown by --help, `?x` and the reference
---@field position? integer  may also be given as the n-th unnamed item
---@field default? any       taken when the field is absent
---@field required? boolean
---@field values? string[]   of a choice
---@field of? string         kind of a list's items
---@field fields? tranship.Field[]  of a table
---@field like? string       Lua pattern a text must match whole
---@field min? number
---@field max? number
---@field phase? string      when it is used: "declare", "plan", "run", ...
---@field unbuilt? string    declared in the design, refused for now: why or what instead

---@class tranship.Kind
---@field says string  "a duration such as \"5m\""
---@field read fun(value: any, field: tranship.Field, report: tranship.Report): any

---@alias tranship.Report fun(code: string, message: string, hint?: string, at?: table)

--- The kinds by name; see `schema.kind`.
M.kinds = {}

---@param name string
---@param says string  how messages call it, with its article
---@param read fun(value: any, field: tranship.Field, report: tranship.Report): any
function M.kind(name, says, read)
  M.kinds[name] = { name = name, says = says, read = read }
end

--- How a message calls a value: "the text \"x\"", "a flag", "a cluster".
function M.describe(value)
  local kind = type(value)
  if kind == "string" then
    local text = #value > 40 and value:sub(1, 37) .. "..." or value
    return ('the text "%s"'):format(text)
  elseif kind == "number" then
    return "the number " .. tostring(value)
  elseif kind == "boolean" then
    return "the flag " .. tostring(value)
  elseif kind == "nil" then
    return "nothing"
  end
  local meta = getmetatable(value)
  local name = type(meta) == "string" and meta
    or type(meta) == "table" and rawget(meta, "__name")
  if name then return "a " .. name:gsub("^.*%.", "") end
  return "a " .. kind
end

--- Edits that turn `a` into `b` (a swap of neighbours counts as one).
local function distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local now = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(last[j] + 1, now[j - 1] + 1,
        last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1)
        and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      now[j] = best
    end
    before, last = last, now
  end
  return last[#b]
end

--- The candidate that `word` was probably meant to be.
---@param word string
---@param candidates string[]
---@return string?
function M.nearest(word, candidates)
  local best, found = math.max(1, #word // 3) + 1, nil
  for _, candidate in ipairs(candidates) do
    local steps = distance(word:lower(), candidate:lower())
    if steps < best then best, found = steps, candidate end
  end
  return found
end

--- More names than these help nobody.
local MOST_LISTED = 24

--- The hint of a problem: "did you mean 'retry'?", or the names there are.
---@return string?
function M.suggest(word, candidates)
  local near = M.nearest(word, candidates)
  if near then return ("did you mean '%s'?"):format(near) end
  if #candidates == 0 then return "it takes none" end
  if #candidates > MOST_LISTED then return nil end
  return "there are: " .. table.concat(candidates, ", ")
end

--- Names of the fields, in the order they are described.
function M.names(fields)
  local names = {}
  for i, field in ipairs(fields) do names[i] = field.name end
  return names
end

function M.field(fields, name)
  for _, field in ipairs(fields) do
    if field.name == name then return field end
  end
end

local function at_position(fields, position)
  for _, field in ipairs(fields) do
    if field.position == position then return field end
  end
end

--- Reads one value as its field describes it.
---@param report tranship.Report
---@return any
function M.value(field, value, report)
  if field.unbuilt then
    report("E0901", ("'%s' is not built yet"):format(field.name), field.unbuilt)
    return nil
  end
  local kind = assert(M.kinds[field.kind], field.kind)
  return kind.read(value, field, report)
end

--- Reads `body` as `fields` describe it: everything wrong is reported, what is
-- right is returned by name, with defaults.
---@param fields tranship.Field[]
---@param body table
---@param what string  how messages call the thing: 'step "4. Open the bridge"'
---@param report tranship.Report  its `at` = { field= } or { item= }, with `inner`
---@return table
function M.read(fields, body, what, report)
  local out, excused = {}, {}
  local names = {}
  for name in next, body do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    local value = body[name]
    local by_item = math.type(name) == "integer"
    local at = by_item and { item = name } or { field = tostring(name) }
    local field = (by_item and at_position or M.field)(fields, name)
    local function told(code, message, hint, inner)
      report(code, message, hint, inner and {
        field = at.field, item = at.item, inner = inner,
      } or at)
    end
    if not field and by_item then
      told("E0108", ("%s has no place for %s without a name"):format(what,
        M.describe(value)), M.suggest("", M.names(fields)))
    elseif not field then
      local near = M.nearest(tostring(name), M.names(fields))
      if near then excused[near] = true end
      told("E0107", ("%s has no field '%s'"):format(what, tostring(name)),
        M.suggest(tostring(name), M.names(fields)))
    else
      if field.unbuilt then excused.all = true end
      local read = M.value(field, value, told)
      if read ~= nil then out[field.name] = read end
    end
  end
  for _, field in ipairs(fields) do
    local given = body[field.name] ~= nil
      or field.position and body[field.position] ~= nil
    if not given then
      if field.default ~= nil then
        out[field.name] = M.value(field, field.default, report)
      elseif field.required and not excused[field.name]
        and not excused.all then
        report("E0109", ("%s needs '%s'"):format(what, field.name), field.desc)
      end
    end
  end
  return out
end

--- How a message calls a field: "'timeout'"; names of several words as they are.
function M.called(field)
  local name = field.name or "this"
  return name:find " " and name or ("'%s'"):format(name)
end

local function wrong(value, field, report, hint)
  report("E0201", ("%s wants %s, and this is %s"):format(
    M.called(field), M.kinds[field.kind].says, M.describe(value)), hint)
end
M.wrong = wrong

local function is_secret(value)
  return type(value) == "userdata" and M.describe(value) == "a secret"
end
M.is_secret = is_secret

M.kind("any", "a value", function(value) return value end)

M.kind("text", "a text", function(value, field, report)
  if is_secret(value)
    or type(value) == "string" and value:find("<secret ", 1, true) then
    return report("E0601", M.called(field) .. " would show a secret",
      "secrets belong in logins; leave it out of texts")
  elseif type(value) ~= "string" then
    return wrong(value, field, report)
  elseif field.like and not value:find("^" .. field.like .. "$") then
    return report("E0205", ("%s = \"%s\" does not look like %s"):format(
      field.name, value, field.like), field.desc)
  end
  return value
end)

M.kind("count", "a whole number", function(value, field, report)
  local number = type(value) == "number" and math.tointeger(value)
  if not number then return wrong(value, field, report) end
  local low, high = field.min or 0, field.max
  if number < low or high and number > high then
    return report("E0206", ("%s = %d is out of range"):format(field.name,
      number), high and ("%d to %d"):format(low, high)
      or ("at least %d"):format(low))
  end
  return number
end)

M.kind("flag", "true or false", function(value, field, report)
  if type(value) ~= "boolean" then return wrong(value, field, report) end
  return value
end)

M.kind("choice", "a choice", function(value, field, report)
  for _, allowed in ipairs(field.values) do
    if value == allowed then return value end
  end
  local shown = {}
  for i, allowed in ipairs(field.values) do shown[i] = tostring(allowed) end
  report("E0202", ("%s cannot be %s"):format(M.called(field), M.describe(value)),
    type(value) == "string" and M.suggest(value, shown)
    or "there are: " .. table.concat(shown, ", "))
end)

--- Kinds of text with a unit: kept as text, so that they can be shown and
-- passed on as they were written.
local function measured(name, says, parse)
  M.kind(name, says, function(value, field, report)
    local number, why, unitless = parse(value)
    if not number then
      return report(unitless and "E0203" or "E0204",
        unitless and ("%s = %s"):format(field.name, why) or why)
    end
    return value
  end)
end

measured("duration", 'a duration such as "5m"', units.duration)
measured("size", 'a size such as "20MiB"', units.size)
measured("rate", 'a rate such as "1/s"', units.rate)
measured("share", 'a share such as "1%"', units.share)

M.kind("pattern", "a name or pattern such as \"apps.*\"",
  function(value, field, report)
    if type(value) ~= "string" or value == "" then
      return wrong(value, field, report)
    end
    return value
  end)

--- A list, or one item standing for a list of one.
M.kind("list", "a list", function(value, field, report)
  local list = type(value) == "table" and getmetatable(value) == nil
    and value or { value }
  local item_field = setmetatable({ kind = field.of or "text" },
    { __index = field })
  local out, count = {}, 0
  for name in next, list do
    if math.type(name) ~= "integer" then
      report("E0107", ("%s is a list and has no field '%s'"):format(
        field.name, tostring(name)), nil, { field = tostring(name) })
    else
      count = math.max(count, name)
    end
  end
  for i = 1, count do
    if list[i] == nil then
      report("E0207", ("item %d of %s is missing"):format(i, M.called(field)),
        "a name that was never declared is nil", { item = i })
    else
      out[#out + 1] = M.value(item_field, list[i], function(code, message, hint)
        report(code, message, hint, list == value and { item = i } or nil)
      end)
    end
  end
  return out
end)

M.kind("table", "a table", function(value, field, report)
  if type(value) ~= "table" then
    local first = field.fields and at_position(field.fields, 1)
    if not first then return wrong(value, field, report) end
    value = { value }
  end
  if not field.fields then return value end
  return M.read(field.fields, value, field.name, report)
end)

return M
