--- "The KafkaUser is there": with its rights and quotas, a superuser if it is to
-- be one, and its Secret made. Undone, a user that this goal made goes again, and
-- one that was there has its old rights and quotas back.

local err = require "base.err"
local json = require "vm.json"
local shape = require "kube.shape"
local units = require "base.units"
local change = require "strimzi.change"
local state = require "strimzi.state"
local user = require "strimzi.user"
local waiting = require "strimzi.waiting"

local SUPER_USERS = "/spec/kafka/authorization/superUsers"
local OWNED_BY_KIND = "strimzi.io/kind"
local QUOTAS = { produce = "producerByteRate", consume = "consumerByteRate",
  requests = "requestPercentage", mutations = "controllerMutationRate" }
local IS_RATE = { produce = true, consume = true, mutations = true }

local function refuse(g, format, ...)
  return nil, err.new { kind = "conflict", origin = "strimzi",
    message = ("KafkaUser %s: "):format(g.name) .. format:format(...) }
end

--- The parts of a spec that this goal speaks of; others stay as they are.
local function wanted(g)
  local spec = { authentication = { type = g.authentication } }
  if g.acls then
    local acls = table.move(g.acls, 1, #g.acls, 1, {})
    spec.authorization = { type = "simple", acls = json.array(acls) }
  end
  if g.quotas then
    spec.quotas = {}
    for name, value in pairs(g.quotas) do
      local number = IS_RATE[name] and units.rate(value) or value
      spec.quotas[QUOTAS[name]] = math.tointeger(number) or number
    end
  end
  return spec
end

--- Whether everything in `want` is so in `has`; lists must be the same.
local function holds(want, has)
  if type(want) ~= "table" then return want == has end
  if type(has) ~= "table" or #want ~= #has then return false end
  for name, value in pairs(want) do
    if not holds(value, has[name]) then return false end
  end
  return true
end

local function is_super(g, kafka)
  local authorization = kafka.spec.kafka.authorization
  if not authorization then return true end -- everybody may do everything
  for _, one in ipairs(authorization.superUsers or {}) do
    if one == user.principal(g.name, g.authentication) then return true end
  end
  return false
end

--- A KafkaUser takes over any Secret of its name: one of somebody else is safe.
local function must_be_free(g, strimzi)
  local secret, why = strimzi.kube:find("v1/Secret", g.name, { namespace = strimzi.namespace })
  if secret == nil then return nil, why end
  if not secret or (secret.metadata.labels or {})[OWNED_BY_KIND] == "KafkaUser" then return true end
  return refuse(g, "there is a Secret of that name on %s, which is not a KafkaUser's and "
    .. "would be overwritten; choose another name", strimzi.kube.name)
end

--- What there is: { kafka, user = view or false, spec }.
local function look(g)
  local strimzi = g.cluster.strimzi
  local kafka, why = strimzi:resource()
  if not kafka then return nil, why end
  local found
  found, why = strimzi:kind "KafkaUser"
  if not found then return nil, why end
  local there
  there, why = strimzi.kube:find(found, g.name, { namespace = strimzi.namespace })
  if there == nil then return nil, why end
  local spec = there and json.copy(there.spec or {}) or {}
  local kind = (spec.authentication or {}).type
  if there and kind ~= g.authentication then
    return refuse(g, "it logs in by %s, and is to log in by %s: whoever uses it would be shut "
      .. "out; choose another name", tostring(kind), g.authentication)
  end
  local label = there and (there.metadata.labels or {})["strimzi.io/cluster"]
  if there and label ~= strimzi.name then
    return refuse(g, "it belongs to Kafka %s, not to %s", tostring(label), strimzi.name)
  end
  return { kafka = kafka, user = there, spec = spec, is_super = is_super(g, kafka),
    is_so = there and holds(wanted(g), spec) }
end

local function check(g)
  local seen, why = look(g)
  if not seen then return nil, why end
  local lacks = {}
  if not seen.user then
    lacks[1] = ("there is no KafkaUser %s"):format(g.name)
  elseif not seen.is_so then
    lacks[1] = "its rights or quotas are others"
  elseif not state.is_ready(seen.user) then
    lacks[1] = state.text(seen.user)
  else
    local data, problem = user.secret(g.cluster.strimzi, seen.user)
    if not data then lacks[1] = problem.message end
  end
  if g.superuser and not seen.is_super then
    lacks[#lacks + 1] = user.principal(g.name, g.authentication) .. " is no superuser"
  elseif g.superuser and not state.is_ready(seen.kafka) then
    lacks[#lacks + 1] = state.text(seen.kafka)
  end
  return { ok = #lacks == 0, seen = { lacks = lacks }, want = g.name,
    text = #lacks > 0 and table.concat(lacks, "; ")
      or ("KafkaUser %s is ready (%s%s)"):format(g.name, g.authentication,
        g.superuser and ", superuser" or "") }
end

local function before(g, run)
  return run:remember("before", function()
    local seen, why = look(g)
    if not seen then return nil, why end
    return { is_there = seen.user ~= false, spec = seen.spec, is_super = seen.is_super,
      manager = g.cluster.strimzi.kube.manager() }
  end)
end

local function options_of(g) return { within_ms = units.ms(g.within) } end

--- Creates the user, or gives it what it lacks.
local function make(g)
  local strimzi = g.cluster.strimzi
  local seen, why = look(g)
  if not seen then return nil, why end
  if seen.is_so then return true end
  local found = strimzi:kind "KafkaUser"
  if seen.user then
    return strimzi.kube:patch(found, g.name, { spec = wanted(g) }, { namespace = strimzi.namespace,
      uid = seen.user.metadata.uid, summary = ("change rights and quotas of KafkaUser %s on %s")
        :format(g.name, strimzi.kube.name) })
  end
  local ok
  ok, why = must_be_free(g, strimzi)
  if not ok then return nil, why end
  return strimzi.kube:create({ apiVersion = found.group .. "/" .. found.version,
    kind = "KafkaUser", metadata = { name = g.name,
      labels = { ["strimzi.io/cluster"] = strimzi.name } }, spec = wanted(g) },
    { namespace = strimzi.namespace })
end

--- Puts the principal among the superusers, or takes it out.
local function set_super(g, is_to_be)
  local strimzi, principal = g.cluster.strimzi, user.principal(g.name, g.authentication)
  return change.list(strimzi, SUPER_USERS, ("make %s %s superuser of %s: its brokers roll")
    :format(principal, is_to_be and "a" or "no", tostring(strimzi)), function(list, kafka)
      local out, had = {}, false
      for _, one in ipairs(list) do
        if one == principal then had = true else out[#out + 1] = one end
      end
      if had == is_to_be or not kafka.spec.kafka.authorization then return nil end
      if is_to_be then out[#out + 1] = principal end
      return out
    end)
end

local function await_kafka(g)
  local strimzi = g.cluster.strimzi
  return waiting.ready(strimzi, "Kafka", strimzi.name, options_of(g))
end

--- Waits for the User Operator, which is quick, before any broker is rolled.
local function await_user(g)
  local strimzi = g.cluster.strimzi
  local there, why = waiting.ready(strimzi, "KafkaUser", g.name, options_of(g))
  if not there then return nil, why end
  return user.await_secret(strimzi, there, units.ms(g.within))
end

local function apply(g, run)
  local noted, why = before(g, run)
  if not noted then return nil, why end
  local ok
  ok, why = make(g)
  if not ok then return nil, why end
  if not change.is_planning() then
    ok, why = await_user(g)
    if not ok then return nil, why end
  end
  if not g.superuser then return true end
  ok, why = set_super(g, true)
  if ok == nil then return nil, why end
  return change.is_planning() or await_kafka(g)
end

--- What a merge patch needs to bring back the parts that we changed.
local function old_parts(g, noted)
  local parts = {}
  for name in pairs(wanted(g)) do parts[name] = noted.spec[name] or json.null end
  if parts.quotas and parts.quotas ~= json.null then
    for _, field in pairs(QUOTAS) do parts.quotas[field] = parts.quotas[field] or json.null end
  end
  return parts
end

--- Deletes what we made; gives back what was there. A user that others have made
-- anew meanwhile is theirs.
local function bring_back(g, run, noted, seen)
  local strimzi = g.cluster.strimzi
  local found, options = strimzi:kind "KafkaUser", { namespace = strimzi.namespace }
  local ok, why = true, nil
  if not noted.is_there and not shape.is_by(seen.user, noted.manager) then
    run:log(("KafkaUser %s on %s stays: it is not the one that was made here"):format(g.name,
      strimzi.kube.name))
  elseif not noted.is_there then
    ok, why = strimzi.kube:delete(found, g.name, options)
    if ok then user.await_end(strimzi, seen.user) end
  elseif json.encode(seen.spec) ~= json.encode(noted.spec) then
    ok, why = strimzi.kube:patch(found, g.name, { spec = old_parts(g, noted) }, options)
  end
  if not ok then return nil, why end
end

local function undo(g, run)
  local noted, why = before(g, run)
  if not noted then return nil, why end
  if g.superuser and not noted.is_super then
    local ended, problem = set_super(g, false)
    if ended then ended, problem = await_kafka(g) end
    if ended == nil then return nil, problem end
  end
  local seen
  seen, why = look(g)
  if not seen then return nil, why end
  if seen.user then return bring_back(g, run, noted, seen) end
end

return {
  name = "user", title = "{cluster} has user {name}",
  subject = "cluster/{cluster}/user/{name}",
  takes = {
    { name = "cluster", kind = "cluster", desc = "whose user" },
    { name = "name", kind = "text", like = "[a-z0-9][a-z0-9.-]*",
      desc = "of the KafkaUser: lower-case letters, digits, - and ." },
    { name = "authentication", kind = "choice", default = "tls",
      values = { "tls", "scram-sha-512" }, desc = "how it logs in" },
    { name = "superuser", kind = "flag", default = false, desc = "it may do everything" },
    { name = "acls", kind = "list", of = "table", optional = true,
      desc = "its rights, as a KafkaUser spells them: { { resource = { type, name, "
        .. "patternType }, operations = { \"Read\" } } }" },
    { name = "quotas", kind = "table", optional = true, desc = "how much it may",
      fields = {
        { name = "produce", kind = "rate", desc = "\"20MiB/s\" written, on each broker" },
        { name = "consume", kind = "rate", desc = "\"20MiB/s\" read, on each broker" },
        { name = "requests", kind = "count", desc = "per cent of a thread's time" },
        { name = "mutations", kind = "rate", desc = "\"10/s\": partitions made and deleted" },
      } },
    { name = "within", kind = "duration", default = "20m",
      desc = "how long operator and brokers may take" },
  },
  check = check, apply = apply, verify = check, undo = undo,
}
