--- Values as the REPL shows them: lists of records as tables, answers as yes or
-- no with what was seen, everything sorted, secrets as their names.

local json = require "vm.json"
local kinds = require "runbook.declare.kinds"
local question = require "base.question"
local text = require "base.text"

local M = {}

local MOST_ROWS, MOST_WIDTH = 200, 48

local function is_scalar(value) return type(value) ~= "table" end

local function is_object(value)
  return type(value) == "table" and getmetatable(value) ~= nil
end

--- A value in one cell.
local function cell(value)
  if value == nil then return "" end
  if type(value) == "string" then
    value = value:gsub("[%c]", function(c) return ("\\%d"):format(c:byte()) end)
  elseif is_object(value) then
    value = value.name and tostring(value.name) or tostring(value)
  elseif type(value) == "table" then
    local parts = {}
    for i, item in ipairs(value) do
      if not is_scalar(item) then
        parts = nil
        break
      end
      parts[i] = tostring(item)
    end
    value = parts and #parts > 0 and table.concat(parts, ",")
      or next(value) == nil and "" or text.show(value, 2)
  end
  value = tostring(value)
  if text.width(value) > MOST_WIDTH then
    value = value:sub(1, (utf8.offset(value, MOST_WIDTH - 2) or #value) - 1)
      .. "..."
  end
  return value
end

--- Which columns come first; the others follow by name.
local FIRST = { "name", "topic", "group", "id", "partition", "offset" }

local function columns_of(rows)
  local seen, columns = {}, {}
  for _, row in ipairs(rows) do
    for name in next, row do
      if type(name) == "string" and name:sub(1, 1) ~= "_" and not seen[name] then
        seen[name] = true
        columns[#columns + 1] = name
      end
    end
  end
  local rank = {}
  for i, name in ipairs(FIRST) do rank[name] = i end
  table.sort(columns, function(a, b)
    local x, y = rank[a] or #FIRST + 1, rank[b] or #FIRST + 1
    if x ~= y then return x < y end
    return a < b
  end)
  return columns
end

--- Lines of cells, aligned; numbers to the right.
local function aligned(header, rows)
  local widths, numeric = {}, {}
  for i, name in ipairs(header) do
    widths[i], numeric[i] = text.width(name), #rows > 0
    for _, row in ipairs(rows) do
      widths[i] = math.max(widths[i], text.width(row[i].text))
      numeric[i] = numeric[i] and row[i].is_number
    end
  end
  local lines = {}
  local function add(cells)
    local parts = {}
    for i, shown in ipairs(cells) do
      parts[i] = text.pad(shown, numeric[i] and -widths[i] or widths[i])
    end
    lines[#lines + 1] = (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  add(header)
  for _, row in ipairs(rows) do
    local cells = {}
    for i, one in ipairs(row) do cells[i] = one.text end
    add(cells)
  end
  return lines
end

local function as_table(list)
  local header, rows = columns_of(list), {}
  for i = 1, math.min(#list, MOST_ROWS) do
    local row = {}
    for j, name in ipairs(header) do
      local value = list[i][name]
      row[j] = { text = cell(value),
        is_number = value == nil or type(value) == "number" }
    end
    rows[i] = row
  end
  local lines = aligned(header, rows)
  if #list > MOST_ROWS then
    lines[#lines + 1] = ("(%d more)"):format(#list - MOST_ROWS)
  end
  return table.concat(lines, "\n")
end

--- A table by names: one line each, or one row each when all are records.
local function by_name(value)
  local names = {}
  for name in next, value do
    if type(name) ~= "string" or name:sub(1, 1) ~= "_" then
      names[#names + 1] = name
    end
  end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  local records, all_records = {}, #names > 0
  for i, name in ipairs(names) do
    local item = value[name]
    local is_record = type(item) == "table" and not is_object(item)
      and item[1] == nil and next(item) ~= nil
    all_records = all_records and is_record
    if is_record then
      records[i] = { name = item.name == nil and name or nil }
      for key, inner in next, item do records[i][key] = inner end
    end
  end
  if all_records then return as_table(records) end
  local rows = {}
  for i, name in ipairs(names) do
    rows[i] = { { text = tostring(name) }, { text = cell(value[name]) } }
  end
  return table.concat(aligned({ "name", "value" }, rows), "\n")
end

local function answer_text(answer)
  local head = answer.unsure and "unsure" or answer.ok and "yes" or "no"
  local tail = answer.text or type(answer.unsure) == "string" and answer.unsure
  if not tail and answer.seen ~= nil then
    tail = "seen " .. text.show(answer.seen, 3)
    if answer.want ~= nil then
      tail = tail .. ", wanted " .. text.show(answer.want, 3)
    end
  end
  return tail and head .. ": " .. tail or head
end

local function is_answer(value)
  return not is_object(value) and type(value.ok) == "boolean"
end

--- Fields of an object with a class.
local function object_text(value)
  local meta = getmetatable(value)
  if question.is(value) then return "question: " .. value.title end
  if type(meta) == "table" and rawget(meta, "__tostring") then
    return tostring(value)
  end
  local path = kinds.path(value)
  if path then return path end
  local plain = {}
  for name, item in next, value do plain[name] = item end
  return next(plain) and by_name(plain) or tostring(value)
end

--- An object of a server in one row; whole it is shown when it stands alone.
local function object_row(view)
  local meta = view.metadata
  if not meta or json.is_array(view) then return json.copy(view) end
  return { name = meta.name, namespace = meta.namespace, kind = view.kind,
    since = meta.creationTimestamp, version = meta.resourceVersion }
end

local function rows_of(list)
  local rows = {}
  for i, view in ipairs(list) do rows[i] = object_row(view) end
  return rows
end

--- A value as text; several lines when it is a table.
---@param value any
---@return string
function M.text(value)
  if json.is_view(value) then return json.encode(value, { indent = 2 }) end
  if type(value) == "table" and json.is_view(value[1]) then
    value = rows_of(value)
  end
  if is_scalar(value) then return tostring(value) end
  if is_object(value) then return object_text(value) end
  if is_answer(value) then return answer_text(value) end
  if next(value) == nil then return "(none)" end
  if #value > 0 then
    local records = true
    for _, item in ipairs(value) do
      records = records and type(item) == "table" and item[1] == nil
        and (not is_object(item) or next(item) ~= nil)
    end
    if records then return as_table(value) end
    local lines = {}
    for i, item in ipairs(value) do
      lines[i] = type(item) == "table" and cell(item) or tostring(item)
    end
    return table.concat(lines, "\n")
  end
  return by_name(value)
end

--- The same as plain data, for -o json.
---@return any
function M.plain(value, depth)
  depth = depth or 0
  if json.is_view(value) then value = json.copy(value) end
  if type(value) == "userdata" or type(value) == "function" then
    return tostring(value)
  elseif type(value) ~= "table" then
    return value
  elseif depth > 12 or kinds.path(value) then
    return kinds.path(value) or tostring(value)
  end
  local out = {}
  for name, item in next, value do
    if type(name) ~= "string" or name:sub(1, 1) ~= "_" then
      if type(name) ~= "string" and math.type(name) ~= "integer" then
        name = tostring(name)
      end
      out[name] = M.plain(item, depth + 1)
    end
  end
  return out
end

return M
