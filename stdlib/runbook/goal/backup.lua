--- "There is a backup": definitions (topics, settings, ACLs) and group offsets
-- of clusters as one JSON file in the state folder. Records are not in it, nor
-- passwords, which no cluster gives away.

local effect = require "base.effect"
local err = require "base.err"
local json = require "vm.json"
local state = require "base.state"
local sys = require "vm.sys"

local FORMAT = 1

local function file_of(id) return state.dir() .. "/backups/" .. id .. ".json" end

--- Reads a backup of this state folder.
local function load(id)
  if not id:find "^[%w%-]+$" then
    return nil, err.new { kind = "invalid", origin = "backup",
      message = ("%q is no id of a backup"):format(id) }
  end
  local text, why = sys.read_file(file_of(id))
  if not text then return nil, why end
  local found
  found, why = json.decode(text)
  if not found then return nil, why end
  if found.format ~= FORMAT then
    return nil, err.new { kind = "protocol", origin = "backup",
      message = ("backup %s has format %s, and this program reads %d"):format(
        id, tostring(found.format), FORMAT) }
  end
  return found
end

local function definitions(cluster)
  local topics, why = cluster:topics()
  if not topics then return nil, why end
  local configs, acls, users
  configs, why = cluster:configs()
  if not configs then return nil, why end
  acls, why = cluster:acls()
  if not acls then return nil, why end
  users, why = cluster:users()
  if not users then return nil, why end
  for _, topic in ipairs(topics) do topic.configs = configs[topic.name] or {} end
  return { topics = json.array(topics), acls = json.array(acls),
    users = json.array(users) }
end

local function offsets(cluster)
  local groups, why = cluster:groups()
  if not groups then return nil, why end
  local out = {}
  for _, group in ipairs(groups) do
    local list
    list, why = cluster:group_offsets(group.group)
    if not list then return nil, why end
    if #list > 0 then out[group.group] = list end
  end
  return out
end

local READ = { definitions = definitions, offsets = offsets }

local function gather(g, id)
  local clusters, order = {}, {}
  for _, portion in ipairs(g.portions) do
    local cluster = portion.cluster
    local entry = clusters[cluster.name]
    if not entry then
      local its_id, why = cluster:id()
      if not its_id then return nil, why end
      entry = { name = cluster.name, id = its_id, bootstrap = cluster.bootstrap }
      clusters[cluster.name] = entry
      order[#order + 1] = entry
    end
    local found, why = READ[portion.what](cluster)
    if not found then return nil, why end
    entry[portion.what] = found
  end
  return { format = FORMAT, id = id, time = sys.time(), clusters = order }
end

local function write(id, book)
  local folder = state.dir() .. "/backups"
  local ok, why = sys.mkdir(folder, { parents = true })
  if not ok then return nil, why end
  local text
  text, why = json.encode(book, { indent = 1 })
  if not text then return nil, why end
  return sys.write_file(file_of(id), text,
    { mode = 384, sync = true, atomic = true }) -- 0600
end

local function id_of(run, make)
  return run:remember("id", make or function() return nil end)
end

local function counts(book)
  local parts = {}
  for _, entry in ipairs(book.clusters) do
    local groups = 0
    for _ in pairs(entry.offsets or {}) do groups = groups + 1 end
    local d = entry.definitions
    parts[#parts + 1] = ("%s: %s%s"):format(entry.name,
      d and ("%d topics, %d ACLs"):format(#d.topics, #d.acls) or "",
      entry.offsets and (d and ", " or "") .. groups .. " groups" or "")
  end
  return table.concat(parts, "; ")
end

local function check(_, run)
  local id = id_of(run)
  if not id then
    return { ok = false, seen = "no backup yet", want = "a backup",
      text = "no backup of this run yet" }
  end
  local book, why = load(id)
  if not book then
    if why.kind ~= "not found" then return nil, why end
    return { ok = false, seen = "no file", want = id,
      text = ("backup %s is not there"):format(id) }
  end
  return { ok = true, seen = id, want = id,
    text = ("backup %s (%s)"):format(id, counts(book)) }
end

local function apply(g, run)
  local id, why = id_of(run, function()
    return ("B%s-%s"):format(sys.hex(sys.random(3)), tostring(sys.time()))
  end)
  if not id then return nil, why end
  if sys.stat(file_of(id)) then return true end
  local book
  book, why = gather(g, id)
  if not book then return nil, why end
  local done
  done, why = effect.perform {
    primitive = "backup.write", target = "backup/" .. id, resume = "set",
    summary = ("write backup (%s)"):format(counts(book)),
    args = { id = id }, undo = "the backup stays",
    send = function() return write(id, book) end,
  }
  if done == nil then return nil, why end
  return true
end

return {
  name = "backup", title = "backup of {portions}", subject = "backup",
  takes = {
    { name = "portions", kind = "any", rest = true,
      desc = "cluster:definitions(), cluster:offsets()" },
  },
  check = check, verify = check, apply = apply,
  undo = function() end, -- a backup does no harm
  load = load,
}
