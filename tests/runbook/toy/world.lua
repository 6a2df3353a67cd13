--- A world of files for tests of the engine: keys with values in a folder, a
-- log of everything that was ever sent, and books made by hand around them.
-- The engine knows steps by their shape, so nothing here is special to it.

local effect = require "base.effect"
local err = require "base.err"
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local shape = require "runbook.drive.shape"

local M = {}

local World = {}
World.__index = World

--- A world in a folder; what is in the folder already stays.
function M.open(folder)
  assert(sys.mkdir(folder, { parents = true }))
  return setmetatable({ folder = folder, failures = {} }, World)
end

function World:path(key) return self.folder .. "/" .. key end

--- The value of a key as it is, or nil.
function World:raw(key) return (sys.read_file(self:path(key))) end

--- Changes the world from outside, as another person would.
function World:poke(key, value)
  if value == nil then sys.remove(self:path(key)) return end
  assert(sys.write_file(self:path(key), value, { atomic = true }))
end

--- All keys and values, without the log.
function World:all()
  local out = {}
  for _, key in ipairs(assert(sys.list(self.folder))) do
    if key:sub(1, 1) ~= "." then out[key] = self:raw(key) end
  end
  return out
end

--- What was sent so far, in order.
function World:sent()
  local list = {}
  for line in (sys.read_file(self:path ".log") or ""):gmatch "[^\n]+" do
    list[#list + 1] = line
  end
  return list
end

local function note(self, line)
  local file = assert(sys.append(self:path ".log"))
  assert(file:write(line .. "\n"))
  file:close()
end

--- Makes the next `times` sends to a key fail with this error.
function World:fail(key, fields, times)
  self.failures[key] = { fields = fields, times = times or 1 }
end

local function failing(self, key)
  local failure = self.failures[key]
  if not failure or failure.times == 0 then return end
  failure.times = failure.times - 1
  return err.new(failure.fields)
end

function World:get(key)
  return effect.observe("world/" .. key, function()
    return self:raw(key) or json.null
  end)
end

function World:is(key, value)
  local seen = self:get(key)
  local now = seen ~= json.null and seen or nil
  return { ok = now == value, seen = { [key] = now or "nothing" },
           want = { [key] = value or "nothing" } }
end

--- An effect: sets a key, or removes it when value is nil.
function World:set(key, value, more)
  more = more or {}
  local before = self:get(key)
  return effect.perform {
    primitive = more.primitive or "world.set", target = "world/" .. key,
    resume = more.resume or "set", args = { key = key, value = value },
    summary = ("%s becomes %s"):format(key, tostring(value)),
    before = before, after = value == nil and json.null or value,
    undo = "it becomes what it was",
    send = function()
      local why = failing(self, key)
      if why then return nil, why end
      if more.slow_ms then task.sleep(more.slow_ms) end
      if more.resume == "create" and self:raw(key) then
        return nil, err.new { kind = "exists", message = key .. " exists" }
      elseif more.resume == "delete" and not self:raw(key) then
        return nil, err.new { kind = "not found", message = "no " .. key }
      end
      note(self, ("%s=%s"):format(key, tostring(value)))
      self:poke(key, value)
      return true
    end,
  }
end

-- Goals ---------------------------------------------------------------------------

local Goal = { __name = "goal" }
Goal.__index = Goal
function Goal:has(name) return self.def[name] ~= nil end
for _, name in ipairs { "check", "plan", "apply", "verify", "undo" } do
  Goal[name] = function(self, run) return self.def[name](self.args, run) end
end

--- A goal from its five functions; fields title, subject, args.
function M.goal(def)
  return setmetatable({ title = def.title, subject = def.subject or def.title,
                        args = def.args or {}, def = def }, Goal)
end

--- "key is value": and was `before` otherwise.
function World:becomes(key, value, before, more)
  more = more or {}
  return M.goal {
    title = ("%s is %s"):format(key, tostring(value)),
    subject = more.subject or "world/" .. key,
    check = function() return self:is(key, value) end,
    apply = function() return self:set(key, value, more) end,
    undo = more.no_undo == nil and function()
      if before == nil or more.effect_undo then
        return self:set(key, before)
      end
      return self:becomes(key, before, value, more)
    end or nil,
  }
end

--- An app that runs on one side and moves to the other, with a gap.
function World:moves(app, to, from)
  return M.goal {
    title = app .. " works on " .. to, subject = "workload/" .. app,
    args = { app = { name = app } },
    check = function()
      local there, here = self:is(app .. "." .. to, "up"),
                          self:is(app .. "." .. from, nil)
      return there.ok and here or there
    end,
    apply = function(_, run)
      local moved
      local ok, why = run:gap("{app} is down", function()
        local done, failed = self:set(app .. "." .. from, nil)
        if done == nil then return nil, failed end
        moved = run:remember("token", function()
          return sys.hex(sys.random(4))
        end)
        done, failed = self:set(app .. ".token", moved)
        if done == nil then return nil, failed end
        return self:set(app .. "." .. to, "up")
      end)
      if ok == nil then return nil, why end
      return true
    end,
    verify = function() return self:is(app .. "." .. to, "up") end,
    undo = function() return self:moves(app, from, to) end,
  }
end

--- A question about a key.
function World:asks(key, value, steady_ms)
  local question = setmetatable({}, { __index = {
    title = ("%s is %s"):format(key, tostring(value)), steady_ms = steady_ms,
    ask = function() return self:is(key, value) end,
  }, __metatable = "question" })
  return question
end

-- Books ---------------------------------------------------------------------------

-- What the archive of a toy run holds: enough for commands that read it.
local SOURCE = [[
runbook "toy" {}
step "8. Ask" { approve = { "Go?" }, verify = function() return true end }
]]

--- A book from a list of steps (and parallels with `steps`). Needs default to
-- the item above, ids are given.
function M.book(items, more)
  local book = {
    name = "toy", version = "1", file = "toy.lua", text = SOURCE,
    sources = { ["toy.lua"] = SOURCE }, fingerprint = "toy", params = {},
    clusters = {}, workloads = {}, bridges = {}, items = items, steps = {},
  }
  for name, value in pairs(more or {}) do book[name] = value end
  local above = {}
  local function add(step, needs, group)
    step.kind, step.title = step.kind or "step", step.title or step.id
    step.index, step.group = #book.steps + 1, group
    step.needs_given = step.needs ~= nil
    step.needs = step.needs or needs
    book.steps[#book.steps + 1] = step
    local rescue = step.on_failure and step.on_failure.steps
    for _, inner in ipairs(rescue or {}) do
      inner.kind, inner.title = "step", inner.title or inner.id
      inner.needs, inner.rescue_of = {}, step
    end
  end
  for _, item in ipairs(items) do
    local members = item.kind == "parallel" and item.steps or { item }
    for _, step in ipairs(members) do
      add(step, above, item.kind == "parallel" and item or nil)
    end
    above = members
  end
  return shape.index(book)
end

return M
