--- A Kafka cluster, as runbooks, the REPL and the engine hold it.
-- Making one contacts nothing. Readings are in kafka.reading, effects in
-- kafka.change, rights and reachability in kafka.probe, the goals of
-- declarations in kafka.ensure: all of them end up as methods here.

local context = require "base.context"
local err = require "base.err"
local outgoing = require "base.outgoing"
local units = require "base.units"
local kafka = require "vm.kafka"
local log = require "vm.log"
local sys = require "vm.sys"
local task = require "vm.task"
local login = require "kafka.login"

---@class tranship.Cluster
---@field name string
---@field bootstrap? string  from a source of addresses: nil until it was asked
---@field strimzi? tranship.StrimziCluster  where its addresses come from, if not from the declaration
---@field on? tranship.Kubernetes  where its workloads are Deployments
local Cluster = { __name = "kafka.cluster" }
Cluster.__index = Cluster
Cluster.__tostring = function(self)
  return ("cluster %s (%s)"):format(self.name, tostring(self.strimzi or self.bootstrap))
end

local CALLS_AT_ONCE = 8
local TIMEOUT_MS = 15000
local LATE_MS = 2000 -- until it is said that no connection is taken

--- Phases that only read: nothing hands out a writing client there.
local READS_ONLY = { declare = true, check = true, plan = true }

--- What `never` may say, and the primitives each refuses.
local NEVER = {
  ["create topics"] = { "create_topics" },
  ["delete topics"] = { "delete_topics" },
  ["add partitions"] = { "add_partitions" },
  ["delete records"] = { "delete_records" },
  ["alter configs"] = { "alter_configs" },
  ["alter offsets"] = { "alter_group_offsets", "delete_group_offsets" },
  ["delete groups"] = { "delete_groups" },
  ["alter acls"] = { "create_acls", "delete_acls" },
  ["create acls"] = { "create_acls" },
  ["delete acls"] = { "delete_acls" },
  ["alter users"] = { "alter_users" },
  ["produce"] = { "producer" },
}

local function read_never(name, list)
  local refused = {}
  for _, word in ipairs(list or {}) do
    if not NEVER[word] then
      local known = {}
      for each in pairs(NEVER) do known[#known + 1] = '"' .. each .. '"' end
      table.sort(known)
      err.raise {
        kind = "invalid", origin = "kafka",
        message = ("cluster %s: never has no \"%s\"; it knows %s"):format(name,
          tostring(word), table.concat(known, ", ")),
      }
    end
    for _, primitive in ipairs(NEVER[word]) do refused[primitive] = word end
  end
  return refused
end

local function check_bootstrap(spec)
  local where = spec.bootstrap
  if type(where) == "string" and where:find "%S" then
    local good = true
    for address in where:gmatch "[^,]+" do
      good = good and address:find "^%s*%[?[%w%.%-_:]+%]?:%d+%s*$" ~= nil
    end
    if good then return end
  end
  err.raise {
    kind = "invalid", origin = "kafka",
    message = ("cluster %s: bootstrap is \"host:port\" or several with commas, "
      .. "not %q"):format(tostring(spec.name), tostring(where)),
  }
end

--- A cluster from the fields of its declaration; contacts nothing.
---@param spec table  name, bootstrap, login, ca, tls, id, never, settings,
-- calls_at_once, timeout_ms (of each call); strimzi: an object whose `access()`
-- gives what of bootstrap, login, ca and tls is not declared
---@return tranship.Cluster
local function new(spec)
  local options
  if not spec.strimzi then
    check_bootstrap(spec)
    options = login.options(spec)
  end
  return setmetatable({
    name = spec.name, bootstrap = spec.bootstrap, on = spec.on,
    strimzi = spec.strimzi,
    never = spec.never, _refused = read_never(spec.name, spec.never),
    _declared_id = spec.id, _login = options, _spec = spec, _declared = spec,
    _clients = {}, _outgoing = outgoing.new(), _uses = setmetatable({}, { __mode = "k" }),
    _leaving = setmetatable({}, { __mode = "k" }),
    _calls_at_once = spec.calls_at_once or CALLS_AT_ONCE,
    _timeout_ms = spec.timeout_ms or TIMEOUT_MS,
  }, Cluster)
end

--- The declaration, and what its resource says beside it.
local function located(self, access)
  local spec = setmetatable({}, { __index = access })
  for name, value in pairs(self._declared) do spec[name] = value end
  return spec
end

--- Asks where its brokers are and how one logs in, once: options of
-- vm.kafka.open.
---@async
---@return table? options, tranship.Err?
local function login_of(self)
  if self._login then return self._login end
  local access, why = self.strimzi:access()
  if not access then return nil, why end
  local spec = located(self, access)
  self.bootstrap, self._status_id = access.bootstrap, access.id
  self._login, self._spec = login.options(spec), spec
  return self._login
end

--- Clients. One per mode, opened when first needed.

local function open(self, mode, timeout_ms)
  local known, why = login_of(self)
  if not known then return nil, why end
  local options = { read_only = mode == "read",
    validates = mode == "validate",
    timeout_ms = timeout_ms or self._timeout_ms }
  for name, value in pairs(known) do options[name] = value end
  return kafka.open(options)
end

local function client_of(self, mode)
  local client = self._clients[mode]
  if client then return client end
  local why
  client, why = open(self, mode)
  if not client then return nil, why end
  self._clients[mode] = client
  return client
end

local function wrong_id(self, format, ...)
  return nil, err.new { kind = "conflict", origin = "kafka", fatal = true,
    message = "wrong cluster id: " .. self.name .. format:format(...) }
end

--- Says early that none of the addresses takes a connection. Brokers may be
-- starting: they are asked all the same, until the time is over.
local function say_late(self)
  task.sleep(LATE_MS)
  local said
  for host, port in self.bootstrap:gmatch "([^,%s%[%]]+)%]?:(%d+)" do
    local there, why = sys.probe_tcp(host, math.tointeger(port), LATE_MS)
    if there then return end
    said = why.message
  end
  log.warn(("%s does not answer yet (%s); it is asked for %s"):format(
    tostring(self), said, units.show_duration(self._timeout_ms)))
end

--- The id the cluster answers with, held against the declared one, and against
-- the one its resource knows: once.
local function meet(self)
  if self._id then return self._id end
  local known, why = login_of(self)
  if not known then return nil, why end
  local client
  client, why = client_of(self, "read")
  if not client then return nil, err.wrap(why, tostring(self)) end
  local late <close> = task.spawn(say_late, self) -- luacheck: ignore
  local seen
  seen, why = client:cluster()
  if not seen then return nil, err.wrap(why, tostring(self)) end
  if self._declared_id and seen.id ~= self._declared_id then
    return wrong_id(self, " is declared as %s, and at %s answers %s",
      self._declared_id, self.bootstrap, tostring(seen.id))
  elseif self._status_id and seen.id ~= self._status_id then
    return wrong_id(self, ": the status of %s says %s, and at %s answers %s",
      tostring(self.strimzi), self._status_id, self.bootstrap, tostring(seen.id))
  end
  self._id = seen.id
  return self._id
end

--- A client for internal use: nil, err when the cluster cannot be met.
---@async
---@param mode? "read"|"write"|"validate"
function Cluster:_client(mode)
  context.live("cluster " .. self.name)
  mode = mode or "read"
  if mode == "write" and context.get().read_only then mode = "read" end
  local id, why = meet(self)
  if not id then return nil, why end
  return client_of(self, mode)
end

--- A writing client that refuses what the cluster was declared never to do.
local function guarded(self, client)
  return setmetatable({}, { __index = function(_, name)
    local word = self._refused[name]
    return function(_, ...)
      if word then return nil, self:_never(word) end
      return client[name](client, ...)
    end
  end })
end

--- The client of vm.kafka, with the declared id checked; raises the err when
-- the cluster cannot be met. "write" is for what runs inside an effect.
---@async
---@param mode? "read"|"write"
---@return table client
function Cluster:client(mode)
  if mode == "write" and READS_ONLY[context.get().phase] then
    err.raise {
      kind = "phase", code = "E0503",
      message = ("%s is only read here; change it in apply"):format(self.name),
    }
  end
  local client, why = self:_client(mode)
  if not client then error(why, 0) end
  return mode == "write" and guarded(self, client) or client
end

--- The err of an effect that the declaration's `never` rules out.
function Cluster:_never(word)
  return err.new {
    kind = "denied", origin = "kafka",
    message = ("cluster %s is declared with never = { \"%s\" }")
      :format(self.name, word),
  }
end

--- A client of its own, with another deadline; the caller closes it.
function Cluster:_fresh(timeout_ms) return open(self, "read", timeout_ms) end

--- The login of raw connections (vm.wire), or nil where none is needed. Raises
-- the err of one that cannot be had.
---@async
function Cluster:_wire_login()
  if not self._raw_login then
    local known, why = login_of(self)
    if not known then error(why, 0) end
    self._raw_login = login.wire(known)
  end
  return self._raw_login
end

--- What an engine must know to be let in: fields of the declaration.
---@async
---@return table? side, tranship.Err?
function Cluster:_side()
  local known, why = login_of(self)
  if not known then return nil, why end
  local spec = self._spec
  return { name = self.name, bootstrap = self.bootstrap, login = spec.login,
    ca = spec.ca, tls = spec.tls, settings = spec.settings }
end

--- Bounds the calls under way, and keeps `client` open for this one; close
-- what it gives.
---@async
function Cluster:_slot(client)
  if not self._slots then
    self._slots = task.queue()
    for _ = 1, self._calls_at_once do self._slots:push(true) end
  end
  self._uses[client] = (self._uses[client] or 0) + 1
  self._slots:pop()
  return setmetatable({}, { __close = function()
    self._slots:push(true)
    self._uses[client] = self._uses[client] - 1
    if self._uses[client] == 0 and self._leaving[client] then client:close() end
  end })
end

--- Closes clients; calls under way end on them first.
local function dismiss(self, clients)
  for key, client in pairs(clients) do
    clients[key] = nil
    if (self._uses[client] or 0) > 0 then
      self._leaving[client] = true
    else
      client:close()
    end
  end
end

--- Goes on with fresh clients. librdkafka up to 2.8 confuses a topic with one of
-- the same name that was deleted, and its memory with it (its issue 4778), so a
-- client does not outlive a deletion.
function Cluster:_renew() dismiss(self, self._clients) end

--- Looks whether its resource says another login or authority than it did, and
-- goes on with that.
---@async
---@return boolean? renewed, tranship.Err?
function Cluster:_renew_login()
  for clients in self._outgoing:old(2 * self._timeout_ms) do dismiss(self, clients) end
  if not self.strimzi or not self._login then return false end
  local access, why = self.strimzi:access()
  if not access then return nil, why end
  local spec = located(self, access)
  if login.marks(spec) == login.marks(self._spec) then return false end
  local options = login.options(spec)
  if self._raw_login then
    local ok
    ok, why = self._raw_login:replace(login.raw(options))
    if not ok then return nil, why end
  end
  self._login, self._spec = options, spec
  self._outgoing:add(self._clients)
  self._clients = {}
  return true
end

--- The same err, beginning with what it is about.
local function about_this(why, about)
  return err.new { kind = why.kind, origin = why.origin, code = why.code,
    retriable = why.retriable, fatal = why.fatal,
    message = ("%s: %s"):format(about, why.message) }
end

local function ask(self, primitive, ...)
  local client, why = self:_client "read"
  if not client then return nil, why end
  local _ <close> = self:_slot(client)
  return client[primitive](client, ...)
end

--- Calls a reading primitive: its answer, or nil, err. Where a login is refused
-- that was renewed meanwhile, it asks again.
---@async
function Cluster:_ask(primitive, ...)
  local answer, why = ask(self, primitive, ...)
  if answer == nil and why.kind == "auth" and self:_renew_login() then
    return ask(self, primitive, ...)
  elseif answer == nil and why.kind == "denied" then
    return nil, about_this(why, self.name)
  end
  return answer, why
end

--- The err of the first item that failed, with what that item is about; nil
-- when all went well.
function Cluster:_failed(answer)
  for _, item in ipairs(answer) do
    local about = item.topic or item.group or item.name
    if about and item.partition then about = ("%s/%d"):format(about, item.partition) end
    if item.err then
      return about_this(item.err, about and about .. " on " .. self.name or self.name)
    end
  end
end

--- Calls a writing primitive: nil, err also when an item of it failed.
---@async
function Cluster:_tell(primitive, ...)
  local word = self._refused[primitive]
  if word then return nil, self:_never(word) end
  local client, why = self:_client "write"
  if not client then return nil, why end
  local _ <close> = self:_slot(client)
  local answer
  answer, why = client[primitive](client, ...)
  if not answer then return nil, why end
  why = self:_failed(answer)
  if why then return nil, why, answer end
  return answer
end

--- The cluster's id, as it answers; refused when another was declared. While
-- there is no way in yet, its resource says it.
---@async
---@return string? id, tranship.Err? err
function Cluster:id()
  context.live("the id of " .. self.name)
  local id, why = meet(self)
  if id or not self.strimzi or why.kind ~= "not found" then return id, why end
  id = self.strimzi:id()
  if id and self._declared_id and id ~= self._declared_id then
    return wrong_id(self, " is declared as %s, and the status of %s says %s",
      self._declared_id, tostring(self.strimzi), id)
  end
  return id, why
end

--- Closes its clients; the next call opens new ones.
function Cluster:close()
  for mode, client in pairs(self._clients) do
    client:close()
    self._clients[mode] = nil
  end
  for clients in self._outgoing:old(0) do dismiss(self, clients) end
  for client in pairs(self._leaving) do client:close() end
  self._id = nil
  if self.strimzi then
    self._login, self._raw_login, self._status_id = nil, nil, nil
    self._spec = self._declared
  end
end
Cluster.__close = Cluster.close

for _, part in ipairs { "reading", "change", "probe", "ensure" } do
  for name, method in pairs(require("kafka." .. part)) do
    assert(Cluster[name] == nil, name)
    Cluster[name] = method
  end
end

return { new = new, NEVER = NEVER }
