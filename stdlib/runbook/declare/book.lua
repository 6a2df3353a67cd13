--- From what was declared to the book the engine runs: the tree of items, the
-- flat list of steps with short names, and what each needs.

local fingerprint = require "runbook.declare.fingerprint"

local M = {}

---@class tranship.Book
---@field name string
---@field version? string
---@field owner? string
---@field order string
---@field file string
---@field text string
---@field sources table<string, string>
---@field said string          all that it declares, as a text
---@field fingerprint string
---@field params table<string, table>
---@field clusters table[]
---@field kubernetes table[]
---@field workloads table[]
---@field bridges table[]
---@field items table[]           steps, parallels and lines, in order
---@field steps tranship.Step[]   flat; rescue steps are in on_failure.steps
---@field by_id table<string, tranship.Step>  rescue steps included
---@field close fun(self)         wipes the secrets among its parameters

---@class tranship.Step
---@field kind "step"|"ponr"
---@field id string       what people type: "6a", or words of the title
---@field title string
---@field index integer
---@field group? table    the parallel it stands in
---@field rescue_of? tranship.Step
---@field needs tranship.Step[]
---@field needs_given boolean  the author wrote them

local LONGEST_ID = 32

--- "6a. Move the consumer" is 6a; "Close the bridge" is close-the-bridge.
local function short_name(title)
  local number = title:match("^(%d[%w%-]*)%.")
  if number then return number end
  local slug = title:lower():gsub("[^%w]+", "-"):gsub("^%-+", "")
    :gsub("%-+$", "")
  if #slug > LONGEST_ID then
    slug = slug:sub(1, LONGEST_ID + 1):gsub("%-[^%-]*$", "")
  end
  return slug ~= "" and slug or "step"
end

local function give_id(by_id, step)
  local base = short_name(step.title)
  local id, n = base, 1
  while by_id[id] do
    n = n + 1
    id = base .. "-" .. n
  end
  step.id, by_id[id] = id, step
end

local function rescue_steps(step)
  return step.on_failure and step.on_failure.kind == "rescue"
    and step.on_failure.steps or {}
end

--- The steps a step needs when it does not say: the item above it.
local function above(items, at)
  local item = items[at - 1]
  if not item then return {} end
  return item.kind == "parallel" and { table.unpack(item.steps) } or { item }
end

--- Functions of the script, run inside its limits.
local function guard(d, step, call)
  local function wrap(f)
    if type(f) ~= "function" then return f end
    local function wrapped(...) return call(f, ...) end
    d.raw[wrapped] = f
    return wrapped
  end
  for _, name in ipairs { "plan", "apply", "undo", "when" } do
    step[name] = wrap(step[name])
  end
  for _, name in ipairs { "check", "verify" } do
    for i, item in ipairs(step[name] or {}) do step[name][i] = wrap(item) end
  end
end

--- Arranges what `d` holds: d.items becomes the tree, d.steps the flat list.
---@param d tranship.Declaration
---@param call fun(f: function, ...): any
function M.arrange(d, call)
  local items = {}
  for _, item in ipairs(d.items) do
    if not item.owner then items[#items + 1] = item end
  end
  local steps, by_id, line = {}, {}, nil
  d.raw = d.raw or {}
  local function add(step, at)
    steps[#steps + 1] = step
    step.index = #steps
    give_id(by_id, step)
    step.needs = step.needs or above(items, at)
    step.line_before = line
    guard(d, step, call)
    if step.kind == "ponr" then line = step end
  end
  for at, item in ipairs(items) do
    if item.kind == "parallel" then
      item.steps = item.steps or {}
      for _, step in ipairs(item.steps) do add(step, at) end
    else
      add(item, at)
    end
  end
  for _, step in ipairs(steps) do
    for _, rescuer in ipairs(rescue_steps(step)) do
      rescuer.rescue_of, rescuer.needs = step, rescuer.needs or {}
      rescuer.line_before = step.line_before
      give_id(by_id, rescuer)
      guard(d, rescuer, call)
    end
  end
  d.items, d.steps, d.by_id = items, steps, by_id
end

--- The fingerprint of a book is made when somebody asks for it: checking does
-- not, and has to be quick.
local Book = { __name = "book" }

function Book.__index(book, name)
  if name ~= "fingerprint" then return nil end
  book.fingerprint = fingerprint.of(book.said)
  return book.fingerprint
end

--- The book of a declaration that has no problems.
---@param d tranship.Declaration
---@param said string  all that it declares: runbook.fingerprint.text
---@return tranship.Book
function M.of(d, said)
  local own = d.runbook
  return setmetatable({
    name = own.name, version = own.version, owner = own.owner,
    order = own.order, file = d.file, text = d.sources[d.file],
    sources = d.sources, said = said, params = d.params,
    kubernetes = d.kubernetes, clusters = d.clusters, workloads = d.workloads,
    bridges = d.bridges, items = d.items, steps = d.steps, by_id = d.by_id,
  }, Book)
end

return M
