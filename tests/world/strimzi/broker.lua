--- A Kafka resource's broker: one real single-node cluster (tests/world/cluster)
-- whose listeners, certificates and superusers are what the resource says.

local authority = dofile "tests/world/strimzi/authority.lua"
local sys = require "vm.sys"

local CLUSTER = "tests/world/cluster"
local HOST = "127.0.0.1"
local SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
-- Our own way in, beside the resource's listeners.
local CONTROL = "PLAINTEXT"

local M = {}
local Broker = {}
Broker.__index = Broker

local function run(words)
  local done = assert(sys.run(words))
  if done.code ~= 0 then error(done.stderr, 0) end
  return (done.stdout:gsub("%s+$", ""))
end

--- The broker that lives in a folder; `id` becomes its cluster id.
function M.at(dir, id)
  assert(sys.mkdir(dir, { parents = true, mode = 448 }))
  return setmetatable({ dir = dir, id = id, _ports = {}, _alias = {} }, Broker)
end

-- A listener keeps its port, whatever else changes.
function Broker:port(name)
  name = self._alias[name] or name
  local port = self._ports[name]
  while not port do
    local a, b = sys.random(2):byte(1, 2)
    local tried = 20000 + (a << 8 | b) % 9000
    if not sys.probe_tcp(HOST, tried, 200) then port = tried end
  end
  self._ports[name] = port
  return port
end

local function kafka_name(listener)
  return listener.name:upper() .. "-" .. math.tointeger(listener.port)
end

local function login_of(listener) return (listener.authentication or {}).type end

local function protocol(listener)
  local scram = login_of(listener) == "scram-sha-512"
  if scram then return listener.tls and "SASL_SSL" or "SASL_PLAINTEXT" end
  return listener.tls and "SSL" or "PLAINTEXT"
end

local function security(self, listener, add)
  local prefix = ("listener.name.%s."):format(kafka_name(listener):lower())
  if listener.tls then
    add(prefix .. "ssl.keystore.type", "PEM")
    add(prefix .. "ssl.keystore.location", self.dir .. "/server.pem")
    add(prefix .. "ssl.truststore.type", "PEM")
    add(prefix .. "ssl.truststore.location", self.dir .. "/clients-ca.pem")
  end
  local kind = (listener.authentication or {}).type
  if kind == "tls" then
    add(prefix .. "ssl.client.auth", "required")
  elseif kind == "scram-sha-512" then
    add(prefix .. "sasl.enabled.mechanisms", "SCRAM-SHA-512")
    add(prefix .. "scram-sha-512.sasl.jaas.config", SCRAM)
  end
end

-- Real clusters roll node by node, and clients see no pause. One node cannot: so
-- listeners that come later are spare ones that it has from the beginning.
local SPARES = {
  { name = "spare-tls", port = 1, tls = true, authentication = { type = "tls" } },
  { name = "spare-scram", port = 1, tls = true, authentication = { type = "scram-sha-512" } },
}

--- The listeners that the node has, for those of a resource.
local function own_listeners(self, spec)
  local own, taken = {}, {}
  self._first = self._first or spec
  local function is_first(name)
    for _, one in ipairs(self._first.listeners) do
      if one.name == name then return true end
    end
  end
  for _, one in ipairs(spec.listeners) do
    local alias
    for _, spare in ipairs(is_first(one.name) and {} or SPARES) do
      local fits = protocol(spare) == protocol(one) and login_of(spare) == login_of(one)
      if fits and not taken[spare.name] then alias = spare.name end
    end
    self._alias[one.name] = alias
    if alias then taken[alias] = true else own[#own + 1] = one end
  end
  return table.move(SPARES, 1, #SPARES, #own + 1, own)
end

--- Superusers of the beginning are the broker's own; later ones get every ACL
-- (superusers.lua), so that it need not start anew for them.
function Broker:supers(spec)
  local static, later, first = {}, {}, {}
  for _, name in ipairs((self._first.authorization or {}).superUsers or {}) do
    first[name] = true
  end
  for _, name in ipairs((spec.authorization or {}).superUsers or {}) do
    table.insert(first[name] and static or later, name)
  end
  return static, later
end

--- The broker's settings for a resource's spec.kafka.
local function settings(self, spec)
  local lines, own = {}, { CONTROL .. "://" .. HOST .. ":" .. self:port "control" }
  local function add(name, value) lines[#lines + 1] = name .. "=" .. tostring(value) end
  local map = { "CONTROLLER:PLAINTEXT", CONTROL .. ":PLAINTEXT" }
  for _, listener in ipairs(own_listeners(self, spec)) do
    own[#own + 1] = ("%s://%s:%d"):format(kafka_name(listener), HOST, self:port(listener.name))
    map[#map + 1] = kafka_name(listener) .. ":" .. protocol(listener)
    security(self, listener, add)
  end
  local all = table.concat(own, ",")
  add("listeners", all .. ",CONTROLLER://" .. HOST .. ":" .. self:port "controller")
  add("controller.quorum.bootstrap.servers", HOST .. ":" .. self:port "controller")
  add("advertised.listeners", all)
  add("listener.security.protocol.map", table.concat(map, ","))
  if (spec.authorization or {}).type == "simple" then
    -- Without authentication one is ANONYMOUS: that is us, and the controller.
    local supers = { "User:ANONYMOUS" }
    for _, name in ipairs((self:supers(spec))) do
      supers[#supers + 1] = "User:" .. name
    end
    add("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
    add("super.users", table.concat(supers, ";"))
  end
  local names = {}
  for name in pairs(spec.config or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = spec.config[name]
    add(name, math.tointeger(value) or value)
  end
  return lines
end

--- Makes the broker what the resource says, starting it anew if it must be;
-- true when it was.
---@async
---@param spec table  spec.kafka
---@param pki { cluster_crt: string, cluster_key: string, clients_crt: string }
function Broker:match(spec, pki)
  if not self._server or self._signed_by ~= pki.cluster_crt then
    local crt, key = authority.sign(pki.cluster_crt, pki.cluster_key, "/O=io.strimzi/CN=kafka",
      "IP:127.0.0.1,DNS:localhost")
    -- PKCS#8 key and chain in one file, as Kafka wants it.
    self._server, self._signed_by = key .. crt .. pki.cluster_crt, pki.cluster_crt
  end
  assert(sys.write_file(self.dir .. "/server.pem", self._server, { mode = 384 }))
  assert(sys.write_file(self.dir .. "/clients-ca.pem", pki.clients_crt))
  local lines = settings(self, spec)
  local wanted = table.concat(lines, "\n") .. self._server .. pki.clients_crt
  if wanted == self._made then return false end
  if self._made then
    run { CLUSTER, "stop", self.dir .. "/node" }
    local file = self.dir .. "/node/server.properties"
    assert(sys.write_file(file, self._base .. table.concat(lines, "\n") .. "\n"))
    run { CLUSTER, "up", self.dir .. "/node" }
  else
    run { CLUSTER, "up", self.dir .. "/node", "HEAP=400m", "ID=" .. self.id,
      table.unpack(lines) }
    local file = assert(sys.read_file(self.dir .. "/node/server.properties"))
    self._base = file:sub(1, #file - #table.concat(lines, "\n") - 1)
  end
  self._made = wanted
  return true
end

--- Where the stand-in itself talks to it.
function Broker:control() return HOST .. ":" .. self:port "control" end

--- What status.listeners says; old API versions name the type too.
function Broker:listeners(spec, ca_crt, with_type)
  local list = {}
  for i, listener in ipairs(spec.listeners) do
    local port = self:port(listener.name)
    list[i] = {
      name = listener.name, bootstrapServers = HOST .. ":" .. port,
      addresses = { { host = HOST, port = port } },
      certificates = listener.tls and { ca_crt } or nil,
      type = with_type and listener.name or nil,
    }
  end
  return list
end

---@async
function Broker:stop()
  run { CLUSTER, "down", self.dir .. "/node" }
  self._made = nil
end

return M
