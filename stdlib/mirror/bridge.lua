--- A bridge: two clusters, their topics in common, one writing side for each.
-- This is what runbooks hold. It never copies anything itself: the engine does
-- (mirror.engine, a process of its own), and both talk through the bridge's
-- topic on the target.

local context = require "base.context"
local effect = require "base.effect"
local err = require "base.err"
local given = require "base.given"
local lazy = require "base.lazy"
local question = require "base.question"
local rates = require "mirror.engine.rates"
local sys = require "vm.sys"
local answer = require "mirror.answer"
local beginning = lazy "mirror.offsets.beginning"
local carry = lazy "mirror.offsets.carry"
local declared = lazy "mirror.mm2.declared"
local ledger = lazy "mirror.topic.ledger"
local map = lazy "mirror.offsets.map"
local names = require "mirror.names"
local record = lazy "mirror.topic.record"
local renewal = lazy "mirror.bridge.renewal"
local readings = lazy "mirror.bridge.readings"
local side = lazy "mirror.side"
local slices = lazy "mirror.verify.slices"
local topic = lazy "mirror.topic"
local turning = lazy "mirror.bridge.turning"
local verify = lazy "mirror.verify"

local M = {}
M.__index = M
M.__name = "mirror.bridge"

local function invalid(code, format, ...)
  err.raise {
    kind = "invalid", origin = "bridge", code = code,
    message = format:format(...),
  }
end

---@class tranship.Bridge
---@field name string
---@field from table     the cluster that is written at the beginning
---@field to table       the other one; the bridge's topic lies there
---@field topics string[]  patterns
---@field except? string[]
---@field names "same"|table
---@field offsets "auto"|"same"|"mapped"
---@field configs? "created"|"followed"  settings of topics after their making
---@field defaults? "target"|"source"  whose hold where a topic sets nothing
---@field acls? "none"|"copied"
---@field start? "earliest"|"latest"  copy all, or what is written from now on
---@field rate? string  that it may read at, such as "20MiB/s"
---@field mirrormaker2? table  a flow to be taken over, or served: mirror.mm2
---@field on? table      the Kubernetes its engine runs on; default: here
---@field replicas integer  engines there, which divide the partitions
---@field image? string  of the engine there

--- A bridge as declared; nothing is asked of any cluster.
---@return tranship.Bridge
function M.new(spec)
  if not spec.name:find "^[%w._-]+$" then
    invalid("E0201", "a bridge's name may hold letters, digits, '.', '_' and "
      .. "'-': %q", spec.name)
  elseif spec.engine and spec.engine ~= "tranship" then
    invalid("E0109", "engine = %q is not built yet; the engine is 'tranship'",
      tostring(spec.engine))
  elseif spec.from == spec.to then
    invalid("E0201", "bridge %s leads from a cluster to itself", spec.name)
  end
  local _, why = rates.bytes(spec.rate)
  if why then invalid("E0204", "bridge %s: rate %s", spec.name, why) end
  if not spec.on and (spec.replicas or spec.image) then
    invalid("E0201", "bridge %s: replicas and image are for an engine in "
      .. "Kubernetes; say on = kubernetes \"...\" {} too", spec.name)
  end
  local mirrormaker2 = spec.mirrormaker2 and declared.flow(spec)
  return setmetatable({
    name = spec.name, from = spec.from, to = spec.to, topics = spec.topics,
    except = spec.except, offsets = spec.offsets or "auto",
    names = spec.names or mirrormaker2 and declared.names(mirrormaker2)
      or "same",
    configs = spec.configs or "created", acls = spec.acls or "none",
    start = spec.start or "earliest", defaults = spec.defaults or "target",
    rate = spec.rate, mirrormaker2 = mirrormaker2, on = spec.on,
    replicas = spec.replicas or 1, image = spec.image,
  }, M)
end

--- What the library's other rooms use of it, and no script may: who writes into
-- the bridge's topic decides what engines do.
M._hidden = { cluster = true, engine_line = true, home = true, hurry = true,
  ledger = true, legs = true, name_on = true, open_ledger = true, say = true,
  side_of = true, source_name = true, topic = true, wire = true }

--- The cluster at the other end.
function M:other(cluster)
  return self:side_of(cluster) == "from" and self.to or self.from
end

--- "from" or "to".
function M:side_of(cluster)
  if cluster == self.from then return "from" end
  if cluster == self.to then return "to" end
  invalid("E0201", "%s is not an end of bridge %s",
    tostring(cluster and cluster.name or cluster), self.name)
end

function M:cluster(at) return at == "from" and self.from or self.to end

--- A topic's name on a side, given the source's name; and back.
function M:name_on(name, at)
  return at == "from" and name or names.on_target(self.names, name)
end

function M:source_name(name, at)
  return at == "from" and name or names.on_source(self.names, name)
end

--- The bridge's topic.
function M:topic()
  if not self._topic then
    self._topic = topic.new(self.name,
      function() return self.to:client "read" end,
      function() return self.to:client "write" end)
  end
  return self._topic
end

--- A side for what only partition leaders know.
function M:wire(at)
  self._wires = self._wires or {}
  local cluster = self:cluster(at)
  local login = cluster:_wire_login() -- and with it where the cluster is
  self._wires[at] = self._wires[at] or side.new {
    name = cluster.name, bootstrap = cluster.bootstrap, read_only = true,
    login = login,
  }
  return self._wires[at]
end

--- Refuses the records of a bridge between other clusters.
local function must_be_ours(self, book)
  if not book.bridge then return book end
  for _, at in ipairs { "from", "to" } do
    local id, why = self:cluster(at):id()
    if not id then return nil, why end
    if book.bridge[at].id ~= id then
      return nil, err.new {
        kind = "conflict", origin = "bridge",
        message = ("topic %s on %s belongs to another bridge: its '%s' is "
          .. "cluster %s (%s), ours is %s"):format(self:topic().name,
          self.to.name, at, book.bridge[at].id, tostring(book.bridge[at].name),
          id),
      }
    end
  end
  return book
end

--- What the bridge's topic says now; false if there is no such topic.
---@async
---@return table|false|nil book, tranship.Err?
function M:ledger()
  if not self._exists then
    local there, why = self:topic():exists()
    if there == nil then return nil, why end
    if not there then return false end
    self._exists = true
  end
  local book, why = self:topic():refresh()
  if not book then return nil, why end
  if book.problems[1] then return nil, book.problems[1] end
  if not self._recognised then
    book, why = must_be_ours(self, book)
    if not book then return nil, why end
    self._recognised = book.bridge ~= nil
  end
  return book
end

--- The ledger of a bridge that must be there.
---@async
function M:open_ledger()
  local book, why = self:ledger()
  if book == nil then return nil, why end
  if book and book.bridge then return book end
  return nil, err.new {
    kind = "not found", origin = "bridge",
    message = ("bridge %s was never opened"):format(self.name),
  }
end

--- Writes records into the bridge's topic. Only inside effects.
---@async
function M:say(list) return self:topic():write(list, true) end

--- Asks the engine to write its progress down at once, where writing is
-- allowed; elsewhere its own pace must do.
---@async
function M:hurry()
  if answer.may_write() then
    return self:say { { record.key.ask, { time = sys.time() } } }
  end
  return true
end

--- The name of the cluster that writes a topic, or "turning".
---@async
function M:writer_of(name)
  local target = ("bridge/%s/topic/%s/writer"):format(self.name, name)
  return effect.observe(target, function()
    local book, why = self:ledger()
    if book == nil then return nil, why end
    local writer = book and book:writer(name) or "from"
    return writer == "turning" and writer or self:cluster(writer).name
  end)
end

--- Is `cluster` the one that may write `topics` (a name, a list, nil)?
---@return tranship.Answer|tranship.Question
function M:writer_is(topics, cluster)
  local list = names.list(topics)
  local title = #list == 0 and "nothing is written across " .. self.name
    or ("%s: %s writes %s"):format(self.name, cluster.name,
      table.concat(list, ", "))
  return question.defer(title, function()
    local seen, ok = {}, true
    for _, name in ipairs(list) do
      local writer, why = self:writer_of(name)
      if not writer then return nil, why end
      seen[name] = writer
      ok = ok and writer == cluster.name
    end
    return { ok = ok, seen = seen, want = cluster.name, text = title }
  end)
end

--- A question about the bridge; `options.steady` says how long it must hold.
local function ask(self, title, options, read)
  local steady = options.steady and answer.ms(options.steady)
  return question.defer(("%s: %s"):format(self.name, title), function()
    context.live(self.name)
    return renewal.again(self, function() return read(options) end)
  end, steady)
end

--- Records the copy is behind its writers, all partitions together.
-- `road:lag { at_most = 100, steady = "2m" }`
function M:lag(options)
  options = given(options, { "at_most", "steady" }, "lag")
  local most = options.at_most
  local is_bound = math.type(most) == "integer" and most >= 0
  if not is_bound and (most ~= nil or context.get().phase == "declare") then
    invalid("E0109", "%s:lag needs at_most = a number of records", self.name)
  end
  return ask(self, "lag at most " .. tostring(most), options,
    function() return readings.lag(self, options) end)
end

--- Are all topics on both sides, shaped alike?
function M:same_topics(options)
  options = given(options, { "steady" }, "same_topics")
  return ask(self, "the same topics", options,
    function() return readings.same_topics(self) end)
end

--- Is every record on both sides the same? Compares everything.
-- `road:same_records { sample = "1%" }` compares a share of them, and says so.
function M:same_records(options)
  options = given(options, { "sample", "steady" }, "same_records")
  local sample = options.sample
  if sample then
    local share, why = slices.share(sample)
    if not share then invalid("E0204", "%s:same_records: %s", self.name, why) end
  end
  return ask(self, sample and ("the same records (a sample of %s)"):format(
    sample) or "the same records", options,
    function() return verify.same_records(self, options) end)
end

--- Have the writers of `topics` stopped? Over `options.still` (default 1s) no
-- log end and no producer moves, and no transaction is open; who still writes is
-- named. `road:fence("apps.orders", { still = "10s" })`
---@param topics string|string[]
function M:fence(topics, options)
  local list = names.list(topics)
  options = given(options, { "still" }, "fence")
  if #list == 0 then
    invalid("E0109", '%s:fence needs topics, such as "apps.orders"', self.name)
  end
  local still = options.still and answer.ms(options.still)
  return ask(self, "nobody writes " .. table.concat(list, ", "), {}, function()
    local book, why = self:open_ledger()
    if not book then return nil, why end
    return turning.fence(self, book, list, still)
  end)
end

--- How far each partition is, as the engine wrote it last.
function M:progress() return readings.progress(self) end

--- What every exit of a run says: is it copying, how far, how to stop it.
function M:status() return readings.status(self) end

--- One line about the engine, for messages.
function M:engine_line() return self:home():line() end

--- Where its engine lives: on this machine, or as a Deployment on `on`.
function M:home()
  self._home = self._home
    or require(self.on and "mirror.bridge.deployment" or "mirror.bridge.process").new(self)
  return self._home
end

local function exact_map(self, name, partition)
  local book, why = self:open_ledger()
  if not book then return nil, why end
  local found
  found, why = map.of(book, name, partition)
  if found or why then return found, why end
  return nil, err.new {
    kind = "not found", origin = "bridge",
    message = ("bridge %s has no leg of %s/%d"):format(self.name, name,
      partition),
  }
end

--- The exact map of a partition: { runs = { { from, to, count } }, passed }.
---@async
function M:map(name, partition)
  local found <close>, why = exact_map(self, name, partition)
  if not found then return nil, why end
  return found:plain()
end

--- Where a position lies on cluster `options.to`: exact, or why not.
---@param position { topic: string, partition: integer, offset: integer }
---@async
function M:translate(position, options)
  local at = self:side_of(self:other(options.to))
  local name = self:source_name(position.topic, at)
  local found <close>, why = exact_map(self, name, position.partition)
  if not found then return nil, why end
  local offset, reason = found:lookup(position.offset, at)
  if offset then
    return {
      topic = self:name_on(name, self:side_of(options.to)),
      partition = position.partition, offset = offset,
    }
  end
  return nil, err.new {
    kind = "not found", origin = "bridge",
    message = ("%s/%d: %s"):format(name, position.partition, reason),
  }
end

--- Waits until what is in `topics` now has been copied.
function M:drain(topics, options)
  return turning.drain(self, topics, given(options, { "within", "group" }, "drain"))
end

--- Carries groups' positions to `options.to`, each proven by content; patterns
-- mean all such groups of the other cluster, less `options.except`.
function M:carry_offsets(groups, options)
  options = given(options, { "to", "except" }, "carry_offsets")
  return carry.carry(self, groups, options.to, options)
end

--- Makes `options.writer` the writing side of `topics`.
function M:turn(topics, options)
  return turning.turn(self, topics, given(options, { "writer", "still", "within" }, "turn"))
end

--- Who the engine is, by side. What stands alone is meant for the source.
local function accounts(self, as)
  if as == nil then return nil end
  if type(as) ~= "table" or as.kind then as = { from = as } end
  for at, who in pairs(as) do
    local cluster = (at == "from" or at == "to") and self:cluster(at)
    if cluster and type(who) == "string" and not cluster.strimzi then
      invalid("E0201", "bridge %s: as = %q names a KafkaUser, and cluster %s is not "
        .. "declared by strimzi = \"...\"; give a login", self.name, who, cluster.name)
    end
  end
  return as
end

--- The goal `road:open {}`: what is written on one side is copied to the other.
-- With `as`, the engine is somebody else than the run: `road:open { as =
-- "migration" }` on the source, or by side `{ as = { from = "migration", to =
-- scram { "mirror", p.word } } }`.
function M:open(options)
  self._as = accounts(self, options and options.as)
  return require "runbook.goal".make(require "mirror.bridge.goal_open",
    { bridge = self, as = self._as })
end

--- Looks whether what its clusters are logged in to with was renewed where it
-- comes from; if so, run and engine go on with the new. For who drives a run.
---@async
---@return boolean?, tranship.Err?
function M:_renew_credentials() return renewal.look(self) end

--- The goal `road:carried { "archive", "billing", to = new }`, or of a whole
-- cluster: `road:carried { "*", except = "test-*", to = new }`.
function M:carried(options)
  local groups = table.move(options, 1, #options, 1, {})
  return require "runbook.goal".make(require "mirror.bridge.goal_carried",
    { bridge = self, groups = groups, to = options.to,
      except = options.except })
end

--- The goal `road:handed_back()`: MirrorMaker 2 goes on where the closed
-- bridge ended.
function M:handed_back()
  if not self.mirrormaker2 then
    invalid("E0201", "bridge %s knows no MirrorMaker 2; declare it with "
      .. "mirrormaker2 = { source = ..., target = ... }", self.name)
  end
  return require "runbook.goal".make(require "mirror.mm2.goal_handed_back",
    { bridge = self })
end

--- The goal `road:closed()`: nothing is copied any more, and what was borrowed is
-- given back.
function M:closed()
  return require "runbook.goal".make(require "mirror.bridge.goal_closed",
    { bridge = self })
end

--- Partitions of the ledger, each with its leg: for status and report.
function M.legs(book)
  local list = {}
  for _, name in ipairs(book:names()) do
    for _, number in ipairs(book:numbers(name)) do
      local part = book:partition(name, number)
      local leg = part.legs[part.last]
      if leg then
        list[#list + 1] = {
          topic = name, partition = number, leg = leg.leg,
          writer = leg.writer, kind = ledger.is_same(leg) and "same"
            or "mapped", why = leg.mapped_why or leg.why, at = part.at,
          left_out = beginning.told(name, number, book:first_leg(name, number)),
        }
      end
    end
  end
  return list
end

function M:close()
  if self._topic then self._topic:close() end
  for _, wire in pairs(self._wires or {}) do wire:close() end
  self._topic, self._wires, self._exists = nil, nil, nil
end

return M
