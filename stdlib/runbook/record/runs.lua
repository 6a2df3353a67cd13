--- The state folder: one folder per run, and who owns which subjects.
--
--   <state>/runs/ID/journal.jsonl   what happened
--   <state>/runs/ID/archive/        the scripts this run executes
--   <state>/runs/ID/inbox/          answers from other shells
--   <state>/runs/ID/driver.lock     held by the process that drives the run
--   <state>/runs/ID/claim.json      what the run owns until it is closed
--   <state>/runs/ID/key             for fingerprints of secrets, mode 600

local units = require "base.units"
local err = require "base.err"
local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"
local journal = require "runbook.record.journal"
local state = require "runbook.record.state"

local M = {}

local CLAIM_TRIES, CLAIM_WAIT_MS = 50, 100
local DRIVE_TRIES, DRIVE_WAIT_MS = 3, 50

---@class tranship.RunFolder  { id, path, journal, inbox, archive, lock, claim, key }

--- The paths of a run.
---@return tranship.RunFolder
function M.folder(root, id)
  local path = root .. "/runs/" .. id
  return {
    id = id, root = root, path = path,
    journal = path .. "/journal.jsonl", inbox = path .. "/inbox",
    archive = path .. "/archive", lock = path .. "/driver.lock",
    claim = path .. "/claim.json", key = path .. "/key",
    report = path .. "/report.html",
  }
end

--- Makes the folder of a new run under an id that is free.
---@async
function M.create(root)
  for _ = 1, 100 do
    local folder = M.folder(root, sys.hex(sys.random(2)))
    if not sys.stat(folder.path) then
      local made, why = sys.mkdir(folder.inbox, { parents = true })
      if not made then return nil, why end
      made, why = sys.write_file(folder.key, sys.hex(sys.random(32)),
                                 { mode = tonumber("600", 8), sync = true })
      if not made then return nil, why end
      return folder
    end
  end
  return nil, err.new { kind = "conflict", origin = "run",
                        message = "no free run id under " .. root }
end

local function remove_tree(path)
  for _, name in ipairs(sys.list(path) or {}) do
    local inner = path .. "/" .. name
    local stat = sys.stat(inner)
    if stat and stat.kind == "folder" then remove_tree(inner)
    else sys.remove(inner) end
  end
  return sys.remove(path)
end

--- Removes the folder of a run that was refused before its first record.
---@async
function M.discard(folder) return remove_tree(folder.path) end

--- Ids of all runs, sorted.
---@async
function M.ids(root)
  local ids = {}
  for _, name in ipairs(sys.list(root .. "/runs") or {}) do
    local journalled = sys.stat(root .. "/runs/" .. name .. "/journal.jsonl")
    if journalled and journalled.size > 0 then
      ids[#ids + 1] = name
    end
  end
  table.sort(ids)
  return ids
end

--- Finds a run by id or the beginning of one.
---@async
---@return tranship.RunFolder? folder
---@return tranship.Err? err
function M.find(root, wanted)
  local found = {}
  for _, id in ipairs(M.ids(root)) do
    if id == wanted then return M.folder(root, id) end
    if id:sub(1, #wanted) == wanted then found[#found + 1] = id end
  end
  if #found == 1 then return M.folder(root, found[1]) end
  return nil, err.new {
    kind = "not found", origin = "run",
    message = #found == 0
      and ("no run %s under %s/runs; `tranship status` lists them")
            :format(wanted, root)
      or ("%s could be %s"):format(wanted, table.concat(found, ", ")),
  }
end

--- Reads and folds a run's journal without touching it.
---@async
---@return tranship.RunState? state
---@return tranship.Record[]|tranship.Err records
function M.read(folder)
  local parsed, why = journal.read(folder.journal)
  if not parsed then return nil, why end
  return state.fold(parsed.records), parsed.records, parsed
end

--- Takes the right to drive a run; released when the process ends.
---@async
function M.drive(folder, who)
  local lock, why
  for _ = 1, DRIVE_TRIES do
    lock, why = sys.lock(folder.lock, json.encode(who))
    if lock then return lock end
    task.sleep(DRIVE_WAIT_MS)              -- somebody may only be looking
  end
  local holder = json.decode(why.holder or "") or {}
  return nil, err.new {
    kind = "conflict", origin = "run", cause = why,
    message = ("run %s is driven by %s (pid %s, since %s)"):format(folder.id,
      holder.operator or "someone", holder.pid or "?", holder.since or "?"),
  }
end

--- True while some process drives the run.
---@async
function M.is_driven(folder)
  if not sys.stat(folder.lock) then return false end
  local lock = sys.lock(folder.lock, "")
  if lock then lock:close() return false end
  return true
end

local function overlap(mine, theirs)
  local set = {}
  for _, subject in ipairs(theirs) do set[subject] = true end
  for _, subject in ipairs(mine) do
    if set[subject] then return subject end
  end
end

local function age(ms) return units.show_duration(sys.time() - ms) end

local function refuse_claim(folder, claim, subject)
  local their, why = M.read(folder)
  local doing = "in a state that cannot be read: " .. tostring(why)
  if their then
    local at = their.last and their.last.step
    doing = ("%s%s"):format(their:word(), at and ", at step " .. at or "")
  end
  return nil, err.new {
    kind = "claimed", origin = "run", run = folder.id,
    message = ("run %s (%s, started %s ago by %s, %s) owns %s; go on with "
      .. "`tranship resume %s`, take it back with `tranship undo %s`")
      :format(folder.id, claim.runbook, age(claim.since), claim.operator,
              doing, subject, folder.id, folder.id),
  }
end

-- A process that died before its first record was on the disk did nothing.
local function is_stillborn(folder)
  local text = sys.read_file(folder.journal)
  return not (text and text:find("\n", 1, true)) and not M.is_driven(folder)
end

--- Refuses subjects that another open run of this state folder owns.
---@async
---@param subjects string[]
---@param own? string  id of the run that asks
---@return true?, tranship.Err? err
function M.are_free(root, subjects, own)
  for _, id in ipairs(sys.list(root .. "/runs") or {}) do
    local other = M.folder(root, id)
    local text = id ~= own and not is_stillborn(other)
      and sys.read_file(other.claim)
    local theirs = text and json.decode(text)
    local subject = theirs and overlap(subjects, theirs.subjects)
    if subject then return refuse_claim(other, theirs, subject) end
  end
  return true
end

--- Claims subjects for a run until it is closed; refused if another open run
-- of this state folder owns one of them.
---@async
---@param claim { subjects: string[], operator: string, runbook: string, since: integer }
function M.claim(root, folder, claim)
  local lock, why
  for _ = 1, CLAIM_TRIES do
    lock, why = sys.lock(root .. "/claims.lock", folder.id)
    if lock then break end
    task.sleep(CLAIM_WAIT_MS)                -- another run is just starting
  end
  if not lock then return nil, why end
  local _ <close> = setmetatable({}, { __close = function()
    lock:close()
  end })
  local free
  free, why = M.are_free(root, claim.subjects, folder.id)
  if not free then return nil, why end
  return sys.write_file(folder.claim, json.encode(claim),
                        { sync = true, atomic = true })
end

--- Gives the claim up; the run is closed.
---@async
function M.release(folder) return sys.remove(folder.claim) end

--- What a book works on, as claimed: cluster ids and addresses, bridges,
-- workloads.
---@param ids table<string, string>  cluster id by cluster name
function M.subjects(book, ids)
  local set = {}
  for _, cluster in ipairs(book.clusters or {}) do
    local id = ids[cluster.name]
    if id then set["cluster " .. id] = true end
    local bootstrap = cluster.bootstrap
    if type(bootstrap) == "string" then
      for address in bootstrap:gmatch "[^,%s]+" do
        set["broker " .. address] = true
      end
    end
  end
  for _, bridge in ipairs(book.bridges or {}) do
    set["bridge " .. bridge.name] = true
  end
  for _, workload in ipairs(book.workloads or {}) do
    set["workload " .. workload.name] = true
  end
  local list = {}
  for subject in pairs(set) do list[#list + 1] = subject end
  table.sort(list)
  return list
end

return M
