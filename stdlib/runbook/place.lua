--- Where in a runbook or recipe the running declaration stands.
-- Lua knows only the line where a call begins; the name it was called by and
-- the outline of the source (runbook.outline) lead on to the field itself,
-- which is looked up only when there is something to complain about.

local M = {}

---@class tranship.Place
---@field file string
---@field line integer
---@field word? string   the name the word was called by: "step", "shaped_like"
---@field title? string  the text behind the word, when it was written as text

--- The innermost frame that belongs to one of `sources`.
---@param sources table<string, string>  text by file name
---@return tranship.Place?
function M.here(sources)
  local word
  for level = 2, 60 do
    local info = debug.getinfo(level, "Sl")
    if not info then return nil end
    local file = info.source:sub(2)
    if info.what ~= "C" and sources[file] and info.currentline > 0 then
      return { file = file, line = info.currentline, word = word }
    end
    local called = debug.getinfo(level, "n")
    word = called and called.name
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
  local outline = require "runbook.outline".of(text)
  return outline:locate(place, at)
end

return M
