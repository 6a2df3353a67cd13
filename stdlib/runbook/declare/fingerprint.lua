--- What a runbook says, as one number: equal for two declarations that mean the
-- same. Data by sorted names, functions by their words and by the values they
-- close over, wherever they stand; secrets only by name.

local goal = require "runbook.goal"
local kinds = require "runbook.declare.kinds"
local question = require "base.question"

local M = {}

local Writer = {}
Writer.__index = Writer

function Writer:put(text) self.out[#self.out + 1] = text end

local function is_before(a, b)
  if type(a) == type(b) and type(a) ~= "table" and type(a) ~= "boolean" then
    return a < b
  end
  return type(a) .. tostring(a) < type(b) .. tostring(b)
end

local function sorted_names(value)
  local names, is_mixed = {}, false
  for name in next, value do
    names[#names + 1] = name
    is_mixed = is_mixed or type(name) ~= "string"
  end
  table.sort(names, is_mixed and is_before or nil)
  return names
end

local OPENS = { ["function"] = 1, ["if"] = 1, ["do"] = 1, ["repeat"] = 1,
  ["end"] = -1, ["until"] = -1 }

--- The tokens of a function: from `function` to its `end`. Where several begin
-- in one line they cannot be told apart, and all of them are taken.
local function code_of(text, first, last)
  local words, depth, starts = {}, 0, 0
  local tokens = require "runbook.declare.outline".tokens(text)
  for _, token in ipairs(tokens) do
    if token.line > last then break end
    local begins = token.line == first and token.text == "function"
      and token.kind == "keyword"
    if begins then starts = starts + 1 end
    if starts > 0 and (depth > 0 or begins) then
      words[#words + 1] = token.text
      depth = depth + (token.kind == "keyword" and OPENS[token.text] or 0)
    end
  end
  return table.concat(words, " ")
end

function Writer:func(value)
  value = self.raw[value] or value
  local info = debug.getinfo(value, "S")
  local text = self.sources[info.source:sub(2)]
  if not text then
    return self:put("library " .. info.short_src)
  elseif self.seen[value] then
    return self:put("function again")
  end
  self.seen[value] = true
  self:put("function " .. code_of(text, info.linedefined,
    info.lastlinedefined))
  local i = 1
  while true do
    local name, closed = debug.getupvalue(value, i)
    if not name then break end
    if name ~= "_ENV" then
      self:put(" " .. name .. "=")
      self:value(closed)
    end
    i = i + 1
  end
end

function Writer:table(value)
  if self.seen[value] then return self:put("table again") end
  self.seen[value] = true
  self:put("{")
  for _, name in ipairs(sorted_names(value)) do
    if name ~= "pos" and name ~= "where" then
      self:value(name)
      self:put("=")
      self:value(value[name])
      self:put(",")
    end
  end
  self:put("}")
end

function Writer:value(value)
  local kind = type(value)
  if kind == "string" then
    self:put(("%q"):format(value))
  elseif kind == "function" then
    self:func(value)
  elseif kind == "userdata" then
    self:put("secret")
  elseif kind ~= "table" then
    self:put(tostring(value))
  elseif self.is_step[value] then
    self:put("step " .. value.title)
  elseif getmetatable(value) == nil then
    self:table(value)
  else
    self:object(value)
  end
end

--- Values with a class of their own.
function Writer:object(value)
  local name = kinds.of(value)
  if kinds.path(value) then
    self:put("<" .. kinds.path(value) .. ">")
  elseif name == "goal" then
    self:put("goal " .. value.title .. " about " .. tostring(value.subject))
    self:table(value.args)
    self:table(value.def)
  elseif question.is(value) then
    self:put(("question %s for %s"):format(value.title,
      tostring(value.steady_ms)))
  elseif name == "goal definition" then
    self:table(goal.definition(value))
  elseif name == "step" or name == "parallel" then
    self:put("step " .. value.title)
  elseif name == "frozen" and self.seen[value] then
    self:put("table again")
  elseif name == "frozen" then
    self.seen[value] = true
    local copy = {}
    for key, item in pairs(value) do copy[key] = item end
    self:table(copy)
  else
    self:put(tostring(name)) -- parameters, and what stands for nothing
  end
end

--- A text that says everything a book declares.
---@param d tranship.Declaration
---@return string
function M.text(d)
  local writer = setmetatable({ out = {}, seen = {}, raw = d.raw or {},
    sources = d.sources, is_step = {} }, Writer)
  for _, item in ipairs(d.items) do writer.is_step[item] = true end
  local own = d.runbook or {}
  writer:value { own.name, own.version or "", own.owner or "", own.order or "" }
  for _, name in ipairs(sorted_names(d.params)) do
    local param = d.params[name]
    writer:put("param " .. name .. " " .. param.kind .. "=")
    writer:value(param.secret and tostring(param.from) or param.value)
  end
  for _, list in ipairs { d.kubernetes, d.clusters, d.workloads, d.bridges } do
    for _, object in ipairs(list) do
      writer:put("<" .. kinds.path(object) .. ">")
      writer:table(d.fields[object])
    end
  end
  for _, item in ipairs(d.items) do
    writer:put(item.kind .. " " .. item.title)
    writer.is_step[item] = nil
    writer:table(item)
    writer.is_step[item] = true
  end
  return table.concat(writer.out)
end

--- Of such a text.
---@param text string
---@return string hex
function M.of(text)
  return require "vm.sys".sha256(text)
end

return M
