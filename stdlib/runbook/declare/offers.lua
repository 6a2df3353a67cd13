--- What declared things offer: goals, and what can be asked of them. Sentences
-- come from the comments of the library itself, and the fields of a goal from
-- what it takes, so nothing is told twice.

local source = require "vm.host".source
local face = require "runbook.declare.face"

local M = {}

--- Goals by the name that a runbook calls them: of what, and where they are.
local GOALS = {
  shaped_like = { cluster = "runbook.goal.shaped_like",
    ["Strimzi cluster"] = "runbook.goal.strimzi_shaped_like" },
  topic = { cluster = "runbook.goal.topic",
    ["Strimzi cluster"] = "runbook.goal.strimzi_topic" },
  config = { cluster = "runbook.goal.config" },
  acl = { cluster = "runbook.goal.acl" },
  retired = { cluster = "runbook.goal.retired",
    ["Strimzi cluster"] = "runbook.goal.strimzi_retired" },
  listener = { ["Strimzi cluster"] = "strimzi.goal_listener" },
  user = { ["Strimzi cluster"] = "strimzi.goal_user" },
  mirror_maker = { ["Strimzi cluster"] = "runbook.goal.mirror_maker" },
  mirror_maker_retired = {
    ["Strimzi cluster"] = "runbook.goal.mirror_maker_retired" },
  secret_copied = { kubernetes = "runbook.goal.secret_copied" },
  open = { bridge = "mirror.bridge.goal_open" },
  closed = { bridge = "mirror.bridge.goal_closed" },
  carried = { bridge = "mirror.bridge.goal_carried" },
  handed_back = { bridge = "mirror.mm2.goal_handed_back" },
  backup = { [""] = "runbook.goal.backup" },
  restore = { [""] = "runbook.goal.restore" },
  gitops_paused = { [""] = "runbook.goal.gitops_paused" },
}

local function lines_of(text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

--- The lines of a comment, from one on, up to code or an annotation.
local function comment_from(lines, first)
  local found = {}
  for i = first, #lines do
    local part = lines[i]:match "^%s*%-%-%-?%s?(.*)$"
    if not part or part:find "^@" then break end
    found[#found + 1] = part
  end
  return found
end

local function path_of(module) return (module:gsub("%.", "/")) .. ".lua" end

--- The comment at the head of a module, as it stands there.
local function head_of(module)
  return comment_from(lines_of(source(path_of(module)) or ""), 1)
end

--- The comment above a function, as it stands there.
---@param f function
---@return string[]
function M.comment(f)
  local info = debug.getinfo(f, "S")
  local path = info.source:match "^[=@]stdlib/(.*)$"
  local text = path and source(path)
  if not text then return {} end
  local lines, first = lines_of(text), info.linedefined
  while first > 1 and lines[first - 1]:find "^%s*%-%-" do first = first - 1 end
  return first < info.linedefined and comment_from(lines, first) or {}
end

--- Its first sentence, or nil.
---@param lines string[]
---@return string?
function M.sentence(lines)
  local text = table.concat(lines, " "):gsub("%s+", " ")
  return text ~= "" and (text:match "^(.-[^%.]%.)%s" or text) or nil
end

--- One of each kind; they contact nothing.
local function samples()
  local cluster = require "kafka.cluster"
  local function plain(name)
    return cluster.new { name = name, bootstrap = "127.0.0.1:1" }
  end
  local kubernetes = require "kube.kubernetes".new { name = "kubernetes" }
  return {
    { "kubernetes", kubernetes }, { "cluster", plain "a" },
    { "Strimzi cluster", require "strimzi.face".new { name = "b", strimzi = "b",
      on = kubernetes } },
    { "workload", require "app.workload".new { name = "w", process = { "w" } } },
    { "bridge", require "mirror.bridge".new { name = "r", from = plain "a",
      to = plain "b", topics = { "*" } } },
  }
end

--- Every method of every kind, in order: { kind, name, method }.
local function methods()
  local list = {}
  for _, one in ipairs(samples()) do
    for _, name in ipairs(face.names(one[2])) do
      if type(one[2][name]) == "function" then
        list[#list + 1] = { kind = one[1], name = name, method = one[2][name] }
      end
    end
  end
  return list
end

--- The names of all there is a page for.
---@return string[]
function M.names()
  local seen, names = {}, {}
  local function add(name)
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  for name in next, GOALS do add(name) end
  for _, one in ipairs(methods()) do add(one.name) end
  table.sort(names)
  return names
end

--- A line for each goal and question of a kind; `than` is one that it has anyway.
local function lines_for(kind, than)
  local lines, had = {}, {}
  for _, one in ipairs(methods()) do
    if one.kind == than then had[one.name] = one.method end
    if one.kind == kind and had[one.name] ~= one.method then
      lines[#lines + 1] = ("  :%-20s %s"):format(one.name,
        M.sentence(M.comment(one.method)) or "")
    end
  end
  return lines
end

--- Goals and questions of a word's things, as a part of its page.
---@param word string
---@return string[]
function M.of(word)
  local lines = lines_for(word)
  if #lines > 0 then table.insert(lines, 1, "\ngoals and questions") end
  if word == "cluster" then
    lines[#lines + 1] = "\n... and of a cluster that Strimzi runs"
    local more = lines_for("Strimzi cluster", "cluster")
    table.move(more, 1, #more, #lines + 1, lines)
  end
  return lines
end

--- What a goal takes, less the thing whose method it is.
local function taken(def, kind, line_of)
  local lines, width = {}, 0
  for i = kind == "" and 1 or 2, #(def.takes or {}) do
    lines[#lines + 1] = def.takes[i]
    width = math.max(width, #def.takes[i].name)
  end
  for i, field in ipairs(lines) do
    local needed = field.default == nil and not field.optional
    lines[i] = line_of(setmetatable({ required = needed }, { __index = field }),
      width)
  end
  return lines
end

--- The page of a goal or question; nil if nothing is called so.
---@param name string
---@param line_of fun(field: table, width: integer): string  one field
---@return string?
function M.page(name, line_of)
  local lines = {}
  local function add(title, comment, fields)
    lines[#lines + 1] = (#lines > 0 and "\n" or "") .. title
    for _, line in ipairs(comment) do lines[#lines + 1] = "  " .. line end
    table.move(fields, 1, #fields, #lines + 1, lines)
  end
  local kinds = {}
  for kind in next, GOALS[name] or {} do kinds[#kinds + 1] = kind end
  table.sort(kinds, function(a, b) return a:lower() < b:lower() end)
  for _, kind in ipairs(kinds) do
    local module = GOALS[name][kind]
    add(("%s  a goal%s"):format(name, kind ~= "" and " of a " .. kind or ""),
      head_of(module), taken(require(module), kind, line_of))
  end
  for _, one in ipairs(#kinds == 0 and methods() or {}) do
    local comment = one.name == name and M.comment(one.method) or {}
    if #comment > 0 and not lines[comment[1]] then
      lines[comment[1]] = true -- a Strimzi cluster is a cluster, too
      add(("%s  of a %s"):format(name, one.kind), comment, {})
    end
  end
  return #lines > 0 and table.concat(lines, "\n") .. "\n" or nil
end

return M
