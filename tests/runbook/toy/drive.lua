--- Drives a toy book in a process of its own: DIR BOOK run|resume|undo.
-- Run by `tranship --lua`; the exit code is the engine's.

local folder, name, verb = ...

local sys = require "vm.sys"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local cases = assert(load(assert(sys.read_file(here .. "/case.lua")),
                          "@" .. here .. "/case.lua"))()
local books = assert(load(assert(sys.read_file(here .. "/books.lua")),
                          "@" .. here .. "/books.lua"))(cases.toy)

local case = cases.new(folder)
local options = { talk = function(line) sys.errout(line .. "\n") end,
                  terminal = require "runbook.command.terminal".open() }
local book = books[name](case.world)
local exit, why
if verb == "run" then
  exit, why = case:run(book, options)
elseif not case:adopt() then
  return 99                                  -- died before there was a run
else
  exit, why = case[verb](case, book, options)
end
if options.terminal then options.terminal:close() end
if not exit then
  sys.errout(tostring(why) .. "\n")
  return 4
end
return exit
