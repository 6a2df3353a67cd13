--- The bridge's engine: claims the bridge, follows its topic, keeps one flow
-- per partition, and writes down what was reached. `tranship mirror` runs it.

local json = require "vm.json"
local log = require "vm.log"
local mirror = require "vm.mirror"
local sys = require "vm.sys"
local task = require "vm.task"
local err = require "base.err"
local access = require "mirror.engine.access"
local acls = require "mirror.engine.acls"
local claim = require "mirror.topic.claim"
local flow = require "mirror.flow"
local loan = require "mirror.topic.loan"
local names = require "mirror.names"
local once = require "mirror.engine.once"
local rates = require "mirror.engine.rates"
local record = require "mirror.topic.record"
local retention = require "mirror.engine.retention"
local settings = require "mirror.engine.settings"
local serving = require "mirror.mm2.serving"
local share = require "mirror.engine.share"
local shadow = require "mirror.offsets.shadow"
local survey = require "mirror.engine.survey"
local topic = require "mirror.topic"

local M = {}
M.__index = M
M.__name = "bridge.engine"

local FLUSH_MS = 1000       -- progress is written this often at most
local HURRY_FLUSH_MS = 50   -- ... while somebody waits for it
local HURRY_MS = 10000
local SURVEY_MS, MOST_SURVEY_MS = 3000, 10000
local MOST_BEGINNERS = 100 -- flows
local COLLECTED_AT = 130   -- percent of what was left the last time: it is much
local LEAVE_MS = 5000       -- flows get this long to be answered

local function refuse(kind, format, ...)
  return nil, err.new {
    kind = kind, origin = "bridge", message = format:format(...),
  }
end

local function traceback(thrown)
  return err.is(thrown) and thrown or debug.traceback(tostring(thrown), 2)
end

--- An engine for the bridge `spec.name`; `spec.from` and `spec.to` hold name
-- and bootstrap. `spec.no_producer_id` is for the one test that needs doubles.
function M.new(spec)
  local self = setmetatable({
    spec = spec, name = spec.name, sides = {}, clients = {}, flows = {},
    known = {}, running = {}, serial = 0, dirty = {}, seen = {}, tasks = {},
    beginners = task.queue(), room = task.queue(), started = 0,
    done = task.flag(), looked = task.flag(), instance = sys.hex(sys.random(8)),
    phase = "starting", began = sys.time(),
    counts = { stops = {}, refusals = {}, retries = 0, left = {} },
  }, M)
  for _, at in ipairs { "from", "to" } do
    access.open(self, at)
  end
  local client = function() return self.clients.to end
  self.topic = topic.new(spec.name, client, client)
  self.ledger = self.topic.ledger
  function self.ledger.held_at(name, partition)
    local one = self.flows[name .. "/" .. partition]
    return one and one.at
  end
  return self
end

function M:on_target(name) return names.on_target(self.policy.names, name) end

--- Is this the bridge we were told, between the clusters we were told?
local function recognise(self)
  local there, why = self.topic:exists()
  if there == nil then return nil, why end
  if not there then
    return refuse("not found", "bridge %s was never opened: %s has no topic "
      .. "%s; open it by a run, or here with --topics PATTERN", self.name,
      self.spec.to.name, self.topic.name)
  end
  local ok
  ok, why = self.topic:refresh()
  if not ok then return nil, why end
  local bridge = self.ledger.bridge
  if self.ledger.problems[1] then return nil, self.ledger.problems[1] end
  if not bridge then
    return refuse("conflict", "topic %s holds no bridge", self.topic.name)
  end
  for _, at in ipairs { "from", "to" } do
    ok, why = self.sides[at]:describe {}
    if not ok then return nil, why end
    if self.sides[at].id ~= bridge[at].id then
      return refuse("conflict", "bridge %s joins cluster %s as '%s', but %s "
        .. "is cluster %s", self.name, bridge[at].id, at,
        self.spec[at].bootstrap, self.sides[at].id)
    end
  end
  self.policy = bridge
  return bridge
end

--- Takes progress of all flows that have some; and what gives it back, should
-- it not get into the log: segments must not be lost.
local function collect(self)
  local list, taken = {}, {}
  for one in pairs(self.dirty) do
    local some
    some, taken[one] = one:records()
    table.move(some, 1, #some, #list + 1, list)
  end
  self.dirty = {}
  return list, function()
    for one, runs in pairs(taken) do one:give_back(runs) end
  end
end

function M:touch(one) self.dirty[one] = true end

--- Writes progress that was not written yet, then `list`, and reads the topic
-- back: afterwards it is certain that no newer engine had claimed the bridge
-- when these records got into the log.
---@async
function M:announce(list)
  local all, give_back = collect(self)
  table.move(list, 1, #list, #all + 1, all)
  local ok, why = self.topic:write(all, true)
  if not ok then
    give_back()
    return nil, why
  end
  if claim.is_superseded(self) then
    self.done:set "superseded"
    return refuse("closed", "a newer engine has claimed bridge %s", self.name)
  end
  return true
end

--- Claims the bridge, or, as one of several engines, a higher number.
---@async
function M:claim() return claim.make(self) end

local function flush(self)
  while true do
    local hurried = self.hurry and task.now() < self.hurry
    task.sleep(hurried and HURRY_FLUSH_MS or FLUSH_MS)
    local list, give_back = collect(self)
    if #list > 0 then
      local ok, why = self.topic:write(list)
      if not ok then
        give_back()
        if why.fatal then return nil, why end
        log.error("progress not written: " .. tostring(why))
      end
    end
  end
end

--- The longest that a transaction may stay open on a side, ms; nil: not told.
function M:max_transaction_timeout(at)
  self.timeouts = self.timeouts or {}
  if self.timeouts[at] == nil then
    local id = next(self.sides[at].brokers or {})
    local found = id and self.clients[at]:configs("broker", { tostring(id) })
    if not found then return nil end
    local setting = found[tostring(id)]
    setting = setting and setting["transaction.max.timeout.ms"]
    self.timeouts[at] = setting and tonumber(setting.value) or false
  end
  return self.timeouts[at] or nil
end

--- Hands a flow's partition to the copier.
function M:launch(one, start)
  self.serial = self.serial + 1
  start.id = one.id .. "#" .. self.serial
  start.no_producer_id = self.spec.no_producer_id
  self.running[start.id] = one
  log.debug(("%s: from %d to %d, log end %d, sequence %d, %s"):format(start.id,
    start.source_offset, start.target_offset, start.log_end, start.sequence,
    start.same and "same" or "mapped"))
  one.run_id = start.id
  local ok, why = self.copier:start(start)
  if not ok then self:landed(one) end
  return ok, why
end

--- Fills the rest of a hole's story in: the copier goes on behind it.
function M:go_on(one, positions)
  local ok, why = self.copier:resume(one.run_id, positions)
  if not ok then return nil, why end
end

function M:landed(one)
  if one.run_id then self.running[one.run_id] = nil end
  one.run_id = nil
end

--- Takes a flow out of the copier: its last word, once every request in flight
-- has been answered and every event it sent before lies in its inbox.
---@async
function M:land(one)
  local last = self.copier:stop(one.run_id)
  task.sleep(0)
  self:landed(one)
  return last
end

local function pump(self)
  local told = log.level() == "debug"
  while true do
    local events, why = self.copier:next()
    if not events then return nil, why end
    for _, event in ipairs(events) do
      if told then log.debug(json.encode(event)) end
      local one = self.running[event.id]
      if one then one:tell(event) end
    end
  end
end

--- Looks at what the run wants now, after each batch of the bridge's topic.
local function heed(self)
  local ledger = self.ledger
  if claim.is_superseded(self) then
    self.done:set "superseded"
  elseif ledger.wanted and ledger.wanted.state == "closed" then
    self.done:set "closed"
  end
  if ledger.ask ~= self.seen_ask then
    self.seen_ask, self.hurry = ledger.ask, task.now() + HURRY_MS
  end
  for name, entry in pairs(ledger.topics) do
    if entry.want ~= self.seen[name] then
      self.seen[name], self.hurry = entry.want, task.now() + HURRY_MS
      for _, one in pairs(self.flows) do
        if one.topic == name then one:tell { kind = "wanted" } end
      end
    end
  end
  for id in pairs(ledger:taken()) do
    local one = self.flows[id]
    if one and self.spec.group and not one.lost and claim.is_lost(one) then
      one.lost = true
      one:tell { kind = "leave" }
    end
  end
end

--- Sees to it that a partition is copied: here, unless the bridge's group says
-- who does it.
function M:ensure_flow(name, partition)
  local id = name .. "/" .. partition
  if self.spec.group then
    self.known[id] = self.known[id] or { topic = name, partition = partition }
  elseif not self.flows[id] then
    self:start_flow(flow.new(self, name, partition))
  end
end

--- Adds a flow. It begins when its turn comes.
function M:start_flow(one)
  self.started = self.started + 1
  one.number = self.started
  self.flows[one.id] = one
  self.beginners:push(one)
end

--- Gives a flow that has something to do a task.
function M:wake(one)
  one.inbox = task.queue()
  one.task = self:spawn(one.id, one.run, one)
end

--- Lets flows begin, some at a time: each asks brokers a dozen questions first.
local function begin_flows(self)
  for _ = 1, MOST_BEGINNERS do self.room:push(true) end
  while true do
    local one = self.beginners:pop()
    self.room:pop()
    one.begins = true
    if one.left then self:has_begun(one) else self:wake(one) end
  end
end

--- Another flow may begin: this one copies, or waits for something.
function M:has_begun(one)
  if one.begins then self.room:push(true) end
  one.begins = nil
end

--- A task whose end with an error is the engine's end.
function M:spawn(what, fn, ...)
  local made
  made = task.spawn(function(...)
    local ran, ok, why = xpcall(fn, traceback, ...)
    self.tasks[made] = nil
    if not ran then ok, why = nil, ok end
    if not ok and why then
      self.failure = why
      log.error(("%s: %s"):format(what, tostring(why)))
      self.done:set "failed"
    end
  end, ...)
  self.tasks[made] = true
  return made
end

local REST = 20 -- a look that took long is followed by a rest so much longer

local function look_round(self)
  while true do
    local begin = task.now()
    local ok, why = survey.look(self)
    if ok then
      self.looked:set()
    else
      log.warn("survey: " .. tostring(why))
    end
    task.sleep(math.max(SURVEY_MS,
      math.min(REST * (task.now() - begin), MOST_SURVEY_MS)))
  end
end

--- What else is looked at, each at its own pace; a failure is told and passes.
local CHORES = {
  { name = "settings", every_ms = 3000, look = settings.follow },
  { name = "ACLs", every_ms = 5000, look = acls.follow },
  { name = "what is borrowed", every_ms = 30000, look = loan.take },
  { name = "retention", every_ms = 5000, look = retention.look },
  { name = "MirrorMaker 2's clients", every_ms = 2000, look = serving.look,
    rest = 2 }, -- mostly waiting for answers
  { name = "groups", every_ms = 5000, look = shadow.look, rest = 2 },
}
local function do_chore(self, chore)
  self.looked:wait()
  local told
  while true do
    local begin = task.now()
    local ok, why = chore.look(self)
    local text = not ok and tostring(why) or nil
    if text and text ~= told then log.warn(chore.name .. ": " .. text) end
    told = text
    task.sleep(math.max(chore.every_ms,
      (chore.rest or REST) * (task.now() - begin)))
  end
end

--- Ends every flow in order, then says goodbye in the topic. A superseded
-- engine leaves the position to its successor.
local function leave(self, reason)
  self.phase = "ended"
  if self.spec.group and reason ~= "superseded" then
    task.deadline(LEAVE_MS, share.leave, self)
  end
  for _, one in pairs(self.flows) do one:tell { kind = "leave" } end
  task.deadline(LEAVE_MS, function()
    for _, one in pairs(self.flows) do
      if one.task then one.task:join() end
    end
  end)
  local list = {}
  local goodbye = {
    instance = self.instance, time = sys.time(), state = reason,
  }
  if reason ~= "superseded" then
    list = collect(self)
    if reason == "closed" then
      local function client_of(at) return self.clients[at] end
      local left = loan.give_back(self.ledger.loans, client_of, list)
      for _, problem in ipairs(left) do log.error(problem) end
    end
    list[#list + 1] = { record.key.engine, goodbye }
  end
  list[#list + 1] = { record.key.goodbye, goodbye }
  local ok, why = self.topic:write(list)
  if not ok then log.error("no goodbye: " .. tostring(why)) end
end

local function close(self)
  for one in pairs(self.tasks) do one:cancel() end
  if self.server then self.server:close() end
  if self.copier then self.copier:close() end
  if self.member then self.member:close() end
  self.topic:close()
  for _, at in ipairs { "from", "to" } do
    self.sides[at]:close()
    self.clients[at]:close()
  end
end

--- Works until asked to stop; the reason: "closed", "stopped", "superseded",
-- "caught up".
---@async
---@return string? reason, tranship.Err?
function M:run()
  local _ <close> = setmetatable({}, { __close = function() close(self) end })
  local ok, why = recognise(self)
  if not ok then return nil, why end
  if self.ledger.wanted and self.ledger.wanted.state == "closed" then
    return refuse("closed", "bridge %s is closed; open it again by a run, or "
      .. "here with --open", self.name)
  end
  ok, why = self:claim()
  if not ok then return nil, why end
  collectgarbage("setpause", COLLECTED_AT)
  collectgarbage()
  self.copier, why = mirror.open { memory = self.spec.memory,
    rate = self.spec.rate or rates.bytes(self.policy.rate) }
  if not self.copier then return nil, why end
  for name, entry in pairs(self.ledger.topics) do
    self.seen[name] = entry.want
  end
  self.seen_ask = self.ledger.ask
  self:spawn("the bridge's topic", function()
    return self.topic:follow(function() heed(self) end)
  end)
  self:spawn("copier", function() return pump(self) end)
  self:spawn("progress", function() return flush(self) end)
  ok, why = self:announce { { record.key.engine, {
    instance = self.instance, time = sys.time(), state = "running",
    metrics = self.spec.metrics_at,
  } } }
  if not ok then return nil, why end
  self:spawn("credentials", function() return access.keep(self) end)
  self:spawn("flows", begin_flows, self)
  self:spawn("survey", function() return look_round(self) end)
  if self.spec.group then
    self.group_task = self:spawn("group", function() return share.run(self) end)
  end
  for _, chore in ipairs(CHORES) do
    self:spawn(chore.name, function() return do_chore(self, chore) end)
  end
  if self.spec.once then
    self:spawn("once", function() return once.watch(self) end)
  end
  self.phase = "running"
  log.info(("bridge %s: engine %d works"):format(self.name, self.generation))
  local reason = self.done:wait()
  leave(self, reason)
  if reason == "failed" then return nil, self.failure end
  return reason
end

--- What the copier takes: { memory, memory_limit, connections, throttled_ms };
-- nil before it works and after.
function M:usage()
  if self.phase == "running" then return self.copier:usage() end
end

--- Asks the engine to end in order.
function M:stop() self.done:set "stopped" end

return M
