--- Where in a runbook or recipe the running declaration stands.
-- Lua knows only the line where a call begins; the name it was called by and
-- the outline of the source (runbook.declare.outline) lead on to the field itself,
-- which is looked up only when there is something to complain about.

local M = {}

---@class tranship.Place
---@field file string
---@field line integer
---@field word? string   the name the word was called by: "step", "shaped_like"
---@field title? string  the text behind the word, when it was written as text

local getinfo = debug.getinfo
local sources_of = setmetatable({}, { __mode = "k" })

--- The chunk that a function is from ("@bus.lua"). Frames are looked at for every
-- word of a runbook, so what is asked of Lua is kept small, and kept.
---@param f function
---@return string
function M.source_of(f)
  local source = sources_of[f]
  if not source then
    source = getinfo(f, "S").source
    sources_of[f] = source
  end
  return source
end

--- The innermost frame that belongs to one of `sources`.
---@param sources table<string, string>  text by file name
---@return tranship.Place?
function M.here(sources)
  for level = 2, 60 do
    local info = getinfo(level, "f")
    if not info then return nil end
    local file = M.source_of(info.func):sub(2)
    local line = sources[file] and getinfo(level, "l").currentline or 0
    if line > 0 then
      local called = level > 2 and getinfo(level - 1, "n")
      return { file = file, line = line, word = called and called.name or nil }
    end
  end
end

--- Narrows a place to a field, item or name, by the outline of its source.
---@param place tranship.Place
---@param at? table  { field= } or { item= }, with `inner` of the same shape; or { token= }
---@param sources table<string, string>
---@return integer line, integer? col
function M.narrow(place, at, sources)
  local text = sources[place.file]
  if not text or not place.line or place.col and not at then
    return place.line, place.col
  end
  local outline = require "runbook.declare.outline".of(text)
  return outline:locate(place, at)
end

return M
