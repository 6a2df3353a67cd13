--- The scripts a run executes: its own copy, taken before the first step.
-- What is in the working tree later does not matter; `resume` reads only this.

local err = require "base.err"
local json = require "vm.json"
local sys = require "vm.sys"

local M = { FORMAT = 1 }

local hash = sys.sha256

--- Stores a book's sources, content-addressed, and the words to load it again.
---@async
---@param given? table  parameters as the operator gave them (never secrets)
---@param recipes? string[]  folders in which recipes were looked for
---@return string? hash, tranship.Err? err  of the manifest
function M.store(path, book, given, recipes)
  local made, why = sys.mkdir(path, { parents = true })
  if not made then return nil, why end
  local files = {}
  for name, text in pairs(book.sources) do
    files[name] = hash(text)
    made, why = sys.write_file(path .. "/" .. files[name] .. ".lua", text,
                               { sync = true, atomic = true })
    if not made then return nil, why end
  end
  local manifest = json.encode {
    format = M.FORMAT, file = book.file, name = book.name,
    version = book.version, fingerprint = book.fingerprint,
    sources = files, params = given, recipes = recipes,
  }
  made, why = sys.write_file(path .. "/manifest.json", manifest,
                             { sync = true, atomic = true })
  if not made then return nil, why end
  return hash(manifest)
end

local function damaged(path, format, ...)
  return nil, err.new { kind = "tampered", origin = "archive",
                        message = path .. ": " .. format:format(...) }
end

--- Reads an archive back and proves that it is the one the journal names.
---@async
---@param expected string  the hash `store` gave
---@return tranship.Archive? archive  file, sources, params, name, fingerprint
---@return tranship.Err? err
function M.load(path, expected)
  local text, why = sys.read_file(path .. "/manifest.json")
  if not text then return nil, why end
  if hash(text) ~= expected then
    return damaged(path, "the manifest is not the one this run began with")
  end
  local manifest = json.decode(text)
  if manifest.format ~= M.FORMAT then
    return damaged(path, "archive format %s, this build reads %d",
                   tostring(manifest.format), M.FORMAT)
  end
  local sources = {}
  for name, sum in pairs(manifest.sources) do
    local source
    source, why = sys.read_file(path .. "/" .. sum .. ".lua")
    if not source then return nil, why end
    if hash(source) ~= sum then
      return damaged(path, "the copy of %s was changed", name)
    end
    sources[name] = source
  end
  manifest.sources = sources
  return manifest
end

--- Names of archived files that differ on disk now; they are only mentioned.
---@async
function M.changed(manifest)
  local names = {}
  for name, text in pairs(manifest.sources) do
    local now = sys.read_file(name)
    if now and now ~= text then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

return M
