--- The bridge that a command names: by its name, as `open` left it in the state
-- folder; by a runbook that declares it; or by the address of its target.

local sys = require "vm.sys"
local err = require "base.err"
local command = require "runbook.command"
local place = require "mirror.engine.place"

local M = {}

--- Options of every command that takes BRIDGE or FILE.
M.options = {
  { name = "bridge", kind = "value", value = "NAME",
    help = "which bridge of the runbook" },
  { name = "bootstrap-to", kind = "value", value = "HOST:PORT",
    help = "the cluster the bridge leads to, where no state folder knows it" },
}

local function refuse(format, ...)
  return nil, err.new { kind = "usage", message = format:format(...) }
end

--- From a runbook: its only bridge, or the one with the name.
local function of_book(opts, path)
  local book = command.load(opts, path)
  if not book then return nil end
  local known = {}
  for _, bridge in ipairs(book.bridges) do
    if bridge.name == opts.bridge or not opts.bridge and #book.bridges == 1 then
      return bridge
    end
    known[#known + 1] = bridge.name
  end
  return refuse("%s declares %s; --bridge NAME chooses", path,
    #known > 0 and "the bridges " .. table.concat(known, ", ") or "no bridge")
end

local function of_spec(name, spec)
  local cluster, bridge = require "kafka.cluster", require "mirror.bridge"
  local to = cluster.new(spec.to)
  if not spec.from then return { name = name, to = to } end
  return bridge.new { name = name, from = cluster.new(spec.from), to = to,
    topics = { "*" } }
end

--- The bridge `name`; by its address alone it knows its target only.
---@param hint? string  what to do when it is not known here
---@return table? bridge, tranship.Err? why  nil alone: what is wrong was said
function M.find(opts, name, hint)
  if name:find "%.lua$" then return of_book(opts, name) end
  if opts.bootstrap_to then
    return of_spec(name, { to = { name = "to", bootstrap = opts.bootstrap_to } })
  end
  local path = place.path(name, "json")
  if not sys.stat(path) then
    return refuse("there is no bridge %s here (no %s); %s", name, path, hint
      or "name a runbook, or its target with --bootstrap-to")
  end
  local spec, why = place.read_config(path)
  if not spec then return nil, why end
  return of_spec(name, spec)
end

--- Takes over what the bridge's topic says of it, where no runbook does.
function M.adopt(bridge, book)
  local said = book.bridge
  bridge.names, bridge.topics = said.names, said.topics
  bridge.except, bridge.offsets = said.except, said.offsets
  bridge.defaults = said.defaults or "target"
  if not bridge.from then bridge.to.name = said.to.name end
end

return M
