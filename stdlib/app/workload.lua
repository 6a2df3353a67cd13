--- A workload: an application that reads or writes topics, somewhere. It is
-- started, stopped and asked by a driver (app/driver/NAME.lua, chosen by the
-- field of that name); what Kafka knows of it is read from the clusters.

local context = require "base.context"
local effect = require "base.effect"
local err = require "base.err"
local groups = require "base.lazy" "app.groups"
local options = require "base.given"
local question = require "base.question"
local size = require "base.lazy" "app.size"
local task = require "vm.task"
local units = require "base.units"

local LOOK_AGAIN_MS = 200
local RATE_WINDOW_MS = 2000

local M = {}

---@class tranship.Workload
---@field name string
---@field group? string[]   its consumer groups
---@field reads? string[]   topics, as the source names them
---@field writes? string[]
local Workload = { __name = "workload" }
Workload.__index = Workload
Workload.__tostring = function(self) return "workload " .. self.name end

---@class tranship.Driver
---@field name string
---@field takes fun(value, workload: string): table  checks the field; raises
---@field status fun(w, cluster): tranship.Running?, tranship.Err?
---@field start fun(w, cluster, size: integer?): any, tranship.Err?
---@field size? fun(w, known: integer|false, cluster): integer?, tranship.Err?  of one that runs in copies: how many to start
---@field stop fun(w, cluster, within_ms: integer): any, tranship.Err?
---@field others? fun(w, cluster): string[]  who else may start, stop or size it
---@field unready? fun(w, cluster, brief?): string?, boolean|tranship.Err?  why its copies are not ready; true: waiting is no use
---@field last_words? fun(w, cluster): string  what it said last, for messages

---@class tranship.Running
---@field running boolean
---@field pid? integer
---@field since? integer  wall milliseconds
---@field command? string
---@field size? integer     how many copies, where there can be several

local OWN = { name = true, group = true, reads = true, writes = true }

local function list_of(value)
  if value == nil then return nil end
  return type(value) == "table" and value or { value }
end

--- A workload from the fields of its declaration. Pure.
---@param fields table  name, group, reads, writes, and one named like a driver
---@return tranship.Workload
function M.new(fields)
  local self = setmetatable({
    name = fields.name, group = list_of(fields.group),
    reads = list_of(fields.reads), writes = list_of(fields.writes),
    _clusters = {}, _listed = {},
  }, Workload)
  for name, value in pairs(fields) do
    local found, driver = false, nil
    if not OWN[name] then
      found, driver = pcall(require, "app.driver." .. name)
    end
    if found then
      self[name] = driver.takes(value, fields.name)
      self._driver = driver
    end
  end
  return self
end

--- Tells the workload where it may run: readings that name no cluster look in
-- each of these. The list is kept, so that it may still grow.
---@param clusters tranship.Cluster[]
function Workload:known_clusters(clusters) self._listed = clusters end

function Workload:_path(cluster)
  return ("workload/%s/on/%s"):format(self.name, cluster.name)
end

function Workload:_candidates()
  local list, seen = {}, {}
  for _, from in ipairs { self._listed, self._clusters } do
    for _, cluster in ipairs(from) do
      if not seen[cluster.name] then list[#list + 1] = cluster end
      seen[cluster.name] = true
    end
  end
  return list
end

function Workload:_note(cluster)
  for _, known in ipairs(self._clusters) do
    if known == cluster then return end
  end
  self._clusters[#self._clusters + 1] = cluster
end

--- What the driver says, seen through the plan.
---@async
---@return tranship.Running?, tranship.Err?
function Workload:status(cluster)
  self:_note(cluster)
  return effect.observe(self:_path(cluster), function()
    return self._driver.status(self, cluster)
  end)
end

--- The one cluster it runs on; nil and why when there is none, or two.
---@async
---@return tranship.Cluster?, tranship.Err?
function Workload:where()
  local found = {}
  for _, cluster in ipairs(self:_candidates()) do
    local status, why = self:status(cluster)
    if not status then return nil, why end
    if status.running then found[#found + 1] = cluster end
  end
  if #found == 1 then return found[1] end
  return nil, err.new {
    kind = #found == 0 and "unavailable" or "conflict", origin = "workload",
    message = #found == 0 and self.name .. " does not run"
      or ("%s runs on both %s and %s"):format(self.name, found[1].name,
        found[2].name),
  }
end

--- Members of its groups on `cluster`, as lines for people.
---@async
function Workload:_members(cluster)
  if not self.group then return {} end
  return groups.members(cluster, self.group)
end

local function on_of(self, given, method)
  if given.on ~= nil then return given.on end
  err.raise {
    kind = "invalid", origin = "workload", code = "E0109",
    message = ("%s:%s needs on = a cluster"):format(self.name, method),
  }
end

--- Whether it runs on `cluster`.
---@async
---@return tranship.Answer?, tranship.Err?
function Workload:runs_on(cluster)
  return question.defer(("%s runs on %s"):format(self.name, cluster.name),
    function()
      local status, why = self:status(cluster)
      if not status then return nil, why end
      return {
        ok = status.running, seen = status, want = { running = true },
        text = ("%s %s on %s"):format(self.name,
          status.running and "runs" or "does not run", cluster.name),
      }
    end)
end

--- Whether it is down on `cluster`, and its groups have no members there.
---@async
---@return tranship.Answer?, tranship.Err?
function Workload:stopped_on(cluster)
  return question.defer(("%s is stopped on %s"):format(self.name, cluster.name),
    function()
      local status, why = self:status(cluster)
      if not status then return nil, why end
      if status.running then
        return { ok = false, seen = status, want = { running = false },
          text = ("%s runs on %s"):format(self.name, cluster.name) }
      end
      local members
      members, why = self:_members(cluster)
      if not members then return nil, why end
      return {
        ok = #members == 0, seen = { running = false, members = members },
        want = { running = false, members = {} },
        text = #members == 0 and ("%s is stopped on %s"):format(self.name,
          cluster.name) or ("%s is down, but its group is live on %s: %s")
          :format(self.name, cluster.name, table.concat(members, ", ")),
      }
    end)
end

--- One look at whether it works: alive; the group stable with every partition
-- assigned; for a writer without a group, records appended since `before`. Why
-- not is told at length only without `brief`.
local function at_work(self, cluster, before, brief)
  local status, why = self._driver.status(self, cluster)
  if not status then return nil, why end
  if not status.running then
    return { ok = false, seen = status, final = true,
      text = ("%s has ended on %s%s"):format(self.name, cluster.name,
        self._driver.last_words and self._driver.last_words(self, cluster)
        or "") }
  end
  local late, final
  if self._driver.unready then
    late, final = self._driver.unready(self, cluster, brief)
    if not late and final then return nil, final end
  end
  if late then
    return { ok = false, seen = late, want = "every pod ready", final = final,
      text = ("%s on %s: %s"):format(self.name, cluster.name, late) }
  elseif self.group then
    return groups.ready(cluster, self.group, self.reads or {})
  elseif self.writes then
    local ends
    ends, why = groups.ends(cluster, self.writes)
    if not ends then return nil, why end
    return { ok = ends > before, seen = { appended = ends - before },
      want = "records appended",
      text = ("%s has appended %d records on %s"):format(self.name,
        ends - before, cluster.name) }
  end
  return { ok = true, seen = status, text = self.name .. " is alive" }
end

--- Waits until it is at work on a cluster.
---@async
---@param given { on: tranship.Cluster, within?: string }
---@return tranship.Answer?, tranship.Err?
function Workload:ready(given)
  given = options(given, { "on", "within" }, "ready")
  local cluster = on_of(self, given, "ready")
  local within_ms = units.ms(given.within, "1m")
  return question.defer(("%s is at work on %s"):format(self.name, cluster.name),
    function()
      context.live(self.name .. ":ready")
      local until_ms = task.now() + within_ms
      local before, why = groups.ends(cluster, self.writes or {})
      if not before then return nil, why end
      while true do
        local is_last = task.now() >= until_ms
        local answer
        answer, why = at_work(self, cluster, before, not is_last)
        if not answer then return nil, why end
        if answer.ok or answer.final or is_last then
          answer.final = nil
          return answer
        end
        context.progress("%s", answer.text)
        task.sleep(LOOK_AGAIN_MS)
      end
    end)
end

--- Asks `read(cluster)` where it runs; not running is an answer, not an error.
local function where_it_runs(self, given, read)
  local cluster, why = given.on, nil
  if not cluster then cluster, why = self:where() end
  if not cluster then
    if why.kind ~= "unavailable" and why.kind ~= "conflict" then
      return nil, why
    end
    return { ok = false, seen = why.message, text = why.message }
  end
  return read(cluster)
end

--- How many records its groups are behind, where it runs.
---@async
---@param given { at_most: integer, steady?: string, on?: tranship.Cluster }
---@return tranship.Answer?, tranship.Err?
function Workload:lag(given)
  given = options(given, { "at_most", "steady", "on" }, "lag")
  local most = given.at_most
  if math.type(most) ~= "integer" or most < 0 then
    err.raise { kind = "invalid", origin = "workload", code = "E0109",
      message = self.name .. ":lag needs at_most = a number of records" }
  elseif not self.group or not self.reads then
    err.raise { kind = "invalid", origin = "workload", code = "E0114",
      message = self.name .. " has no lag: it names no group or reads nothing" }
  end
  return question.defer(("%s is at most %d records behind"):format(self.name,
    most), function()
    return where_it_runs(self, given, function(cluster)
      local lag, why = groups.lag(cluster, self.group, self.reads)
      if not lag then return nil, why end
      return {
        ok = lag <= most, seen = { lag = lag, cluster = cluster.name },
        want = { at_most = most },
        text = ("%s is %d records behind on %s (at most %d)"):format(self.name,
          lag, cluster.name, most),
      }
    end)
  end, given.steady and units.ms(given.steady))
end

--- Records per second: appended by a writer, else finished by its groups.
local function measure(self, cluster)
  local function count()
    if self.writes then return groups.ends(cluster, self.writes) end
    return groups.finished(cluster, self.group or {}, self.reads or {})
  end
  local before, why = count()
  if not before then return nil, why end
  local began = task.now()
  task.sleep(RATE_WINDOW_MS)
  local after
  after, why = count()
  if not after then return nil, why end
  return (after - before) * 1000 / (task.now() - began)
end

--- How fast it works, where it runs.
---@async
---@param given { at_least: string, steady?: string, on?: tranship.Cluster }
---@return tranship.Answer?, tranship.Err?
function Workload:rate(given)
  given = options(given, { "at_least", "steady", "on" }, "rate")
  local least, wrong = units.rate(given.at_least)
  if not least then
    err.raise { kind = "invalid", origin = "workload", code = "E0204",
      message = ("%s:rate: %s"):format(self.name, wrong) }
  end
  return question.defer(("%s does at least %s"):format(self.name,
    given.at_least), function()
    return where_it_runs(self, given, function(cluster)
      local rate, why = measure(self, cluster)
      if not rate then return nil, why end
      return {
        ok = rate >= least,
        seen = { per_second = math.floor(rate + 0.5), cluster = cluster.name },
        want = { at_least = given.at_least },
        text = ("%s does %d/s on %s (at least %s)"):format(self.name,
          math.floor(rate + 0.5), cluster.name, given.at_least),
      }
    end)
  end, given.steady and units.ms(given.steady))
end

--- Never on two clusters: refuses while it runs on another one.
local function only_here(self, cluster)
  for _, other in ipairs(self:_candidates()) do
    if other.name ~= cluster.name then
      local status, why = self:status(other)
      if not status then return nil, why end
      if status.running then
        return nil, err.new {
          kind = "conflict", origin = "workload",
          message = ("%s still runs on %s; stop it there first"):format(
            self.name, other.name),
        }
      end
    end
  end
  return true
end

--- How many copies to start; false of what has no size.
function Workload:_size(cluster)
  local driver = self._driver
  if not driver.size then return false end
  local known, why = size.to_start(self, cluster, self:_candidates())
  if known == nil then return nil, why end
  return driver.size(self, known, cluster)
end

--- "start x on y, size 3; may also be changed by Argo CD".
local function summary(self, verb, cluster, number)
  local others = self._driver.others and self._driver.others(self, cluster) or {}
  return ("%s %s on %s%s%s"):format(verb, self.name, cluster.name,
    number and ", size " .. number or "", #others > 0
    and "; may also be changed by " .. table.concat(others, ", ") or "")
end

--- Starts it on a cluster; nothing happens if it runs there.
---@async
---@param given { on: tranship.Cluster }
function Workload:start(given)
  given = options(given, { "on" }, "start")
  local cluster = on_of(self, given, "start")
  local status, why = self:status(cluster)
  if not status then return nil, why end
  if status.running then return true end
  local alone
  alone, why = only_here(self, cluster)
  if not alone then return nil, why end
  local number
  number, why = self:_size(cluster)
  if number == nil then return nil, why end
  number = number or nil
  return effect.perform {
    primitive = "workload.start", target = self:_path(cluster), resume = "set",
    summary = summary(self, "start", cluster, number),
    args = { workload = self.name, cluster = cluster.name, size = number },
    before = { running = false }, after = { running = true, size = number },
    undo = ("stop %s on %s"):format(self.name, cluster.name),
    send = function()
      context.progress("starting %s on %s", self.name, cluster.name)
      return self._driver.start(self, cluster, number)
    end,
  }
end

--- Waits until its groups have no members on the cluster.
local function group_empties(self, cluster, until_ms)
  while true do
    local members, why = self:_members(cluster)
    if not members then return nil, why end
    if #members == 0 then return true end
    if task.now() >= until_ms then
      return nil, err.new {
        kind = "conflict", origin = "workload",
        message = ("%s is down on %s, but its group is still live there: %s")
          :format(self.name, cluster.name, table.concat(members, ", ")),
      }
    end
    context.progress("waiting for %s to leave its group on %s", self.name,
      cluster.name)
    task.sleep(LOOK_AGAIN_MS)
  end
end

--- Stops it on a cluster and sees its groups empty there.
---@async
---@param given { on: tranship.Cluster, within?: string }
function Workload:stop(given)
  given = options(given, { "on", "within" }, "stop")
  local cluster = on_of(self, given, "stop")
  local within_ms = units.ms(given.within, "1m")
  local stopped, why = self:stopped_on(cluster)
  if not stopped then return nil, why end
  if stopped.ok then return true end
  local status
  status, why = self:status(cluster)
  if not status then return nil, why end
  return effect.perform {
    primitive = "workload.stop", target = self:_path(cluster), resume = "set",
    summary = summary(self, "stop", cluster, status.size),
    args = {
      workload = self.name, cluster = cluster.name, within_ms = within_ms,
    },
    before = { running = true, size = status.size },
    after = { running = false },
    undo = ("start %s on %s"):format(self.name, cluster.name),
    send = function()
      local until_ms = task.now() + within_ms
      context.progress("stopping %s on %s", self.name, cluster.name)
      local done, refused = self._driver.stop(self, cluster, within_ms)
      if not done then return nil, refused end
      return group_empties(self, cluster, until_ms)
    end,
  }
end

--- Where it runs now, for the run's baseline. Plain data.
---@async
function Workload:baseline()
  local seen = {}
  for _, cluster in ipairs(self:_candidates()) do
    local status, why = self:status(cluster)
    if not status then return nil, why end
    seen[cluster.name] = status
  end
  return { clusters = seen }
end

return M
