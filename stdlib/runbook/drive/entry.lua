--- The way in: everything that may still refuse a run, before anything acts.
-- Cluster ids are read, the baseline is taken, subjects are claimed, the
-- scripts are archived.

local err = require "base.err"
local sys = require "vm.sys"
local task = require "vm.task"
local archive = require "runbook.record.archive"
local journal = require "runbook.record.journal"
local runs = require "runbook.record.runs"
local selection = require "runbook.drive.selection"
local version = require "runbook.record.version"

local M = {}

--- Everything that a book is about and that has an id, by the name of its id.
local function with_ids(book)
  local list = {}
  for _, cluster in ipairs(book.clusters or {}) do
    if type(cluster.id) == "function" then
      list[#list + 1] = { name = cluster.name, thing = cluster }
    end
  end
  for _, kube in ipairs(book.kubernetes or {}) do
    list[#list + 1] = { name = "kubernetes " .. kube.name, thing = kube }
  end
  return list
end

--- Ids of the clusters, as they answer now; of one that is yet to be built, none.
-- They are asked side by side, and all that do not answer are named.
---@async
---@return table<string, string>? ids, tranship.Err? err
function M.cluster_ids(session, book)
  local ids, calls, refused = {}, {}, {}
  for at, one in ipairs(with_ids(book)) do
    calls[at] = function()
      local id, why = session:reading(nil, one.thing.id, one.thing)
      local is_to_be = not id and one.thing.strimzi and why.kind == "not found"
      ids[one.name], refused[at] = id, not id and not is_to_be and why or false
      return true
    end
  end
  local done, why = task.together(calls)
  if not done then return nil, why end
  local first, said = nil, {}
  for _, one in ipairs(refused) do
    if one then first, said[#said + 1] = first or one, tostring(one) end
  end
  if #said < 2 then return not first and ids or nil, first end
  return nil, err.new { kind = first.kind, retriable = first.retriable,
    message = table.concat(said, "; ") }
end

local function groups_of(workload)
  local group = workload.group
  if type(group) == "table" then return group end
  return group and { group } or {}
end

local function group_positions(cluster, workloads)
  local known = {}
  if type(cluster.group_offsets) ~= "function" then return known end
  for _, workload in ipairs(workloads) do
    for _, group in ipairs(groups_of(workload)) do
      local offsets, why = cluster:group_offsets(group)
      if not offsets and why.kind ~= "not found" then return nil, why end
      known[group] = offsets or {}
    end
  end
  return known
end

-- Sizes and positions as they are before the run touches anything: a recipe
-- that read them later would find what the run itself has stopped.
local function take_baseline(book)
  local taken = { workloads = {}, groups = {} }
  for _, workload in ipairs(book.workloads or {}) do
    if type(workload.baseline) == "function" then
      local value, why = workload:baseline()
      if value == nil then return nil, why end
      taken.workloads[workload.name] = value
    end
  end
  for _, cluster in ipairs(book.clusters or {}) do
    local known, why = group_positions(cluster, book.workloads or {})
    if not known then return nil, why end
    taken.groups[cluster.name] = known
  end
  return taken
end

--- Claims what the book works on, until the run is closed.
---@async
function M.claim(session, ids)
  local opened = session.state.open
  return runs.claim(session.folder.root, session.folder, {
    subjects = runs.subjects(session.book, ids), operator = session.operator,
    runbook = session.book.name, since = opened and opened.time or sys.time(),
  })
end

--- Everything that may refuse a new run. Nothing is journalled yet.
---@async
---@return { ids: table, baseline: table, archive: string }? ready
---@return tranship.Err? err
function M.prepare(session, book, options)
  local ids, why = M.cluster_ids(session, book)
  if not ids then return nil, why end
  local ok, baseline, hash
  ok, why = selection.check_above(session, book,
                                  options.select and options.select.from)
  if not ok then return nil, why end
  baseline, why = session:reading(nil, take_baseline, book)
  if not baseline then return nil, why end
  ok, why = M.claim(session, ids)
  if not ok then return nil, why end
  hash, why = archive.store(session.folder.archive, book, options.given,
                            options.recipes)
  if not hash then return nil, why end
  return { ids = ids, baseline = baseline, archive = hash }
end

local function public_params(session, book)
  local out = {}
  for name, param in pairs(book.params or {}) do
    out[name] = { kind = param.kind, value = session:public(param.value) }
  end
  return out
end

--- Notes that this process drives the run now.
---@async
---@param how "run"|"resume"|"undo"
function M.enter(session, how)
  session:record("run.drive", { how = how, operator = session.operator,
                                pid = sys.pid(), build = version.BUILD }, true)
end

--- Writes the first records of a run.
---@async
function M.open(session, book, options, ready)
  session:record("run.open", {
    format = journal.FORMAT, build = version.BUILD, run = session.id,
    runbook = book.name, version = book.version, owner = book.owner,
    file = book.file, archive = ready.archive, fingerprint = book.fingerprint,
    params = public_params(session, book), clusters = ready.ids,
    operator = session.operator, options = options.select,
    plan = options.plan_hash,
  }, true)
  M.enter(session, "run")
  session:record("baseline", { value = ready.baseline }, true)
end

--- Refuses a run whose clusters are others than it began with.
function M.same_clusters(session, ids)
  for name, id in pairs(session.state.open.clusters or {}) do
    if ids[name] and ids[name] ~= id then
      return nil, err.new { kind = "conflict", origin = "run",
        message = ("cluster %s was %s when this run began and answers as %s")
          :format(name, id, ids[name]) }
    end
  end
  return true
end

return M
