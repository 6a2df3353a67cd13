--- One test case of the engine: a fresh state folder and a toy world in it.

local engine = require "runbook.engine"
local journal = require "runbook.record.journal"
local runs = require "runbook.record.runs"
local sys = require "vm.sys"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local toy = assert(load(assert(sys.read_file(here .. "/world.lua")),
                        "@" .. here .. "/world.lua"))()

local M = { toy = toy, here = here }

local Case = {}
Case.__index = Case

--- A new case; its folder is removed when it is closed.
function M.new(folder)
  local made = not folder
  folder = folder or assert(sys.temporary_folder "tranship-engine")
  return setmetatable({
    folder = folder, root = folder .. "/state", said = {}, _made = made,
    world = toy.open(folder .. "/world"),
  }, Case)
end

Case.__close = function(self)
  if self._made then runs.discard { path = self.folder } end
end

function Case:_options(options)
  local all = { root = self.root, talk = function(line)
    self.said[#self.said + 1] = line
  end }
  for name, value in pairs(options or {}) do all[name] = value end
  return all
end

--- Starts a run; remembers which one it was.
function Case:run(book, options)
  local before = {}
  for _, id in ipairs(runs.ids(self.root)) do before[id] = true end
  local exit, why = engine.start(book, self:_options(options))
  for _, id in ipairs(runs.ids(self.root)) do
    if not before[id] then self.run_folder = runs.folder(self.root, id) end
  end
  return exit, why
end

--- Takes the only run of the folder as this case's.
function Case:adopt()
  local ids = runs.ids(self.root)
  self.run_folder = ids[1] and runs.folder(self.root, ids[1])
  return self.run_folder
end

function Case:resume(book, options)
  return engine.resume(self.run_folder, self:_options(options), book)
end

function Case:undo(book, options)
  return engine.undo(self.run_folder, self:_options(options), book)
end

--- The state and records of the run.
function Case:state() return assert(runs.read(self.run_folder)) end

function Case:records()
  return assert(journal.read(self.run_folder.journal)).records
end

--- Records of one kind.
function Case:of_kind(kind)
  local list = {}
  for _, record in ipairs(self:records()) do
    if record.kind == kind then list[#list + 1] = record end
  end
  return list
end

--- How many effects were sent to a key.
function Case:sends(key)
  local count = 0
  for _, line in ipairs(self.world:sent()) do
    if line:match("^(.-)=") == key then count = count + 1 end
  end
  return count
end

--- All that was said to the person, as one text.
function Case:talk() return table.concat(self.said, "\n") end

return M
