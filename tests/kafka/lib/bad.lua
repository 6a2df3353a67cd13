--- Runs that must fail, as a person sees them: a runbook, the command, and what
-- every failure owes: the exit code, words that say what is wrong, a command to
-- type next, and a journal in which every effect that left has its intent.
--     local bad = dofile "tests/kafka/lib/bad.lua"

local json = require "vm.json"
local sys = require "vm.sys"

local M = {}
M.__index = M

--- A case with this runbook, kept in the folder `place.dir`.
---@param place table  dir, state
function M.with_book(t, place, name, text)
  local self = setmetatable({ t = t, name = name, state = place.state,
    book = ("%s/%s.lua"):format(place.dir, name) }, M)
  t.ok(sys.write_file(self.book, text))
  return self
end

--- A case on two clusters; the runbook's head declares `old` and `new`.
---@param place table  dir, state, old, new (bootstrap addresses)
---@param steps string
---@param fields? table<string, string>  other fields of a cluster, by its name
function M.new(t, place, name, steps, fields)
  local head = { ('runbook "%s" {}\n'):format(name) }
  for _, cluster in ipairs { "old", "new" } do
    head[#head + 1] = ('local %s = cluster "%s" { %s }\n'):format(cluster, cluster,
      fields and fields[cluster] or ('bootstrap = "%s"'):format(place[cluster]))
  end
  return M.with_book(t, place, name, table.concat(head) .. steps)
end

--- The command with this state folder; `said` is all it wrote.
function M:call(...)
  local ended = self.t.ok(sys.run { args = { sys.executable(), ... }, stdin = "null",
    env = { TRANSHIP_STATE = self.state } })
  ended.said = ended.stdout .. ended.stderr
  return ended
end

local function run_ids(self)
  local known = {}
  for _, id in ipairs(sys.list(self.state .. "/runs") or {}) do known[id] = true end
  return known
end

--- Calls `fn`, and notes which run it made, if it made one.
function M:making(fn, ...)
  local before = run_ids(self)
  local ended = fn(...)
  for id in pairs(run_ids(self)) do
    if not before[id] then self.id = id end
  end
  return ended
end

function M:run(...)
  return self:making(self.call, self, "run", self.book, "--yes", ...)
end

--- The exit code, and every pattern in what was said.
function M:says(ended, code, ...)
  if ended.code ~= code then
    self.t.fail(("%s: exit %s, not %d\n%s"):format(self.name, ended.code, code, ended.said))
  end
  for _, pattern in ipairs { ... } do
    if not ended.said:find(pattern) then
      self.t.fail(("%s: nothing like %q in\n%s"):format(self.name, pattern, ended.said))
    end
  end
end

--- Refused before it began: exit 4, and no run was left behind.
function M:refused(ended, ...)
  self:says(ended, 4, "next:  tranship ", ...)
  self.t.equal(self.id, nil, self.name .. ": a run was left behind")
end

function M:records()
  local records = {}
  local text = self.t.ok(sys.read_file(("%s/runs/%s/journal.jsonl"):format(self.state,
    self.id)))
  for line in text:gmatch "([^\n]*)\n" do records[#records + 1] = json.decode(line) end
  return records
end

--- The journal verifies and holds these effects, by their primitives, each with
-- its outcome: nothing more was sent, nothing is in doubt.
function M:sound(...)
  self:says(self:call("journal", "verify", self.id), 0, "chain unbroken")
  local meant, ended = {}, 0
  for _, record in ipairs(self:records()) do
    if record.kind == "effect.intent" then meant[#meant + 1] = record.primitive end
    if record.kind == "effect.outcome" then ended = ended + 1 end
  end
  self.t.equal(meant, { ... }, self.name .. ": effects in the journal")
  self.t.equal(ended, #meant, self.name .. ": effects with an outcome")
end

--- Stopped in the middle: the run can be resumed, and says so.
function M:stopped(ended, code, ...)
  self.t.ok(self.id, self.name .. ": no run was made\n" .. ended.said)
  self:says(ended, code, "next:  tranship %a+ " .. self.id, ...)
end

--- Frees the clusters for the next case.
function M:give_up()
  self:says(self:call("settle", self.id, "--give-up", "--because", "the case is over"), 0)
end

return M
