--- The demo's runbook as a test drives it: an unkind history on `old`, three
-- applications at work, the run, and the audit. Loaded by path.

local json = require "vm.json"
local sys = require "vm.sys"
local task = require "vm.task"

local BOOK = "scripts/event-bus.lua"
local APPS = {
  "hello-world-consumer", "hello-world-streams", "hello-world-producer",
}

local M = {}
M.__index = M

--- Clusters, history, applications at work on `old`.
---@param stage table  tests/world/stage.lua
---@param params? table<string, string|false>  further parameters of the runbook;
-- false: it does not take this one
---@param book? string  another runbook than the demo's, on empty topics
---@param apps? string[]  its workloads, in the order of starting
function M.begin(stage, params, book, apps)
  local self = setmetatable({ stage = stage, t = stage.t, book = book or BOOK,
    params = {} }, M)
  local all = { old = stage.old, new = stage.new, apps = stage.apps,
    trails = stage.trails }
  for name, value in pairs(params or {}) do all[name] = value or nil end
  for name, value in pairs(all) do
    table.insert(self.params, "-p")
    table.insert(self.params, name .. "=" .. value)
  end
  if book then
    stage:create("old", { { name = stage.greetings },
      { name = stage.reversed } })
  else
    stage:must("history", "old")
  end
  for _, app in ipairs(apps or APPS) do self:app("start", app, "old") end
  return self
end

function M:app(verb, name, cluster)
  self.stage:tranship_must(0, "app", verb, self.book, name, "--on", cluster,
    table.unpack(self.params))
end

--- The journal of the one run, as records.
function M:journal()
  local runs = self.stage.state .. "/runs"
  local id = (sys.list(runs) or {})[1]
  local text = id and sys.read_file(runs .. "/" .. id .. "/journal.jsonl")
  local records = {}
  for line in (text or ""):gmatch "([^\n]*)\n" do
    records[#records + 1] = json.decode(line)
  end
  return records, id
end

--- Waits for a record of that kind (and of that step).
function M:wait_for(kind, step)
  return self.stage:wait_for("record " .. kind, function()
    for _, record in ipairs((self:journal())) do
      if record.kind == kind and (not step or record.step == step) then
        return record
      end
    end
  end, 400000)
end

--- Says yes from another process when the run asks.
function M:approve()
  local asked = self:wait_for "approval.asked"
  local _, id = self:journal()
  self.stage:tranship_must(0, "approve", id, asked.step)
end

--- Runs the book to its end while `meanwhile` goes on beside it.
---@return integer exit code, string output
function M:run(meanwhile)
  local ended
  local runner = task.spawn(function()
    ended = self.stage:tranship("run", self.book, "--yes",
      table.unpack(self.params))
  end)
  local beside = task.spawn(meanwhile, self)
  assert(runner:join())
  beside:cancel()
  beside:join()
  return ended.code, ended.stdout .. ended.stderr
end

--- Stops the applications, each when it has read everything.
function M:finish(cluster, producer, streams, consumer)
  local stage = self.stage
  task.sleep(1000)
  self:app("stop", producer or "hello-world-producer", cluster)
  stage:caught_up(cluster, "reverser", stage.greetings)
  self:app("stop", streams or "hello-world-streams", cluster)
  stage:caught_up(cluster, "greeter", stage.reversed)
  self:app("stop", consumer or "hello-world-consumer", cluster)
end

--- Nothing lost, doubled, out of order, altered or from nowhere.
function M:must_be_whole(cluster)
  local code, counts, text = self.stage:audit(cluster)
  self.t.note(text)
  self.t.equal(code, 0, text)
  self.t.ok(counts.produced > 0 and counts.produced == counts.seen, text)
  return text
end

--- Every position of a group on one cluster, by topic and partition.
function M:positions(cluster, group)
  local list = self.t.ok(self.stage:client(cluster):group_offsets(group,
    { stable = true }))
  local at = {}
  for _, p in ipairs(list) do at[p.topic .. "/" .. p.partition] = p.offset end
  return at
end

return M
