--- "The cluster can be reached from outside": its Kafka resource has a listener
-- of that name, the brokers were rolled, and its addresses are known. Undone, the
-- listener goes again, or is what it was; listeners of others stay.

local err = require "base.err"
local units = require "base.units"
local change = require "strimzi.change"
local json = require "vm.json"
local listener = require "strimzi.listener"
local state = require "strimzi.state"
local waiting = require "strimzi.waiting"

local LISTENERS = "/spec/kafka/listeners"
local FIRST_PORT = 9094
local TAKEN = { [9404] = true, [9999] = true } -- metrics and JMX
local ROUTE = "routes.route.openshift.io"
local DEFAULT_TYPE = "loadbalancer"

local function refuse(g, format, ...)
  return nil, err.new { kind = "conflict", origin = "strimzi",
    message = ("%s: "):format(g.cluster.name) .. format:format(...) }
end

--- Routes are OpenShift's; elsewhere there are none to ask for.
local function type_of(g)
  if g.type and g.type ~= "route" then return g.type end
  local kube = g.cluster.strimzi.kube
  local served, why = kube:serves(ROUTE)
  if served == nil then return nil, why end
  if served then return "route" end
  if not g.type then return DEFAULT_TYPE end
  return refuse(g, "type = \"route\" needs OpenShift's Routes, and %s serves none: "
    .. "\"loadbalancer\", \"nodeport\" or \"tlsroute\" may do", kube.name)
end

local function free_port(list)
  local used = {}
  for _, one in ipairs(list) do used[one.port] = true end
  local port = FIRST_PORT
  while used[port] or TAKEN[port] do port = port + 1 end
  return port
end

--- What the listener is to say, over what one of that name says.
local function wanted(g, kind, had, list)
  local out = {}
  for name, value in pairs(had or {}) do out[name] = value end
  out.name, out.type, out.tls = g.name, kind, g.tls
  out.port = g.port or had and had.port or free_port(list)
  out.authentication = g.authentication ~= "none" and out.authentication or nil
  if g.authentication ~= "none" and (out.authentication or {}).type ~= g.authentication then
    out.authentication = { type = g.authentication }
  end
  return out
end

local function index_of(list, name)
  for i, one in ipairs(list) do
    if one.name == name then return i end
  end
end

--- The list with `one` in the place of that name's, or without it; nil when it
-- says that already.
local function with(list, name, one)
  local i = index_of(list, name)
  if i and one and json.encode(list[i]) == json.encode(one) or not i and not one then
    return nil
  end
  local out = {}
  for n, each in ipairs(list) do
    if n ~= i then out[#out + 1] = each elseif one then out[#out + 1] = one end
  end
  if not i then out[#out + 1] = one end
  return out
end

local function has_address(name)
  return function(kafka) return listener.addresses(listener.of_status(kafka, name)) ~= nil end
end

--- The resource, its listeners, and what of them is ours.
local function look(g)
  local kind, why = type_of(g)
  if not kind then return nil, why end
  local kafka
  kafka, why = g.cluster.strimzi:resource()
  if not kafka then return nil, why end
  local list = kafka.spec.kafka.listeners
  if json.is_view(list) and not json.is_array(list) then
    return refuse(g, "listeners of %s are of the form before Strimzi 0.20; convert it first",
      tostring(g.cluster.strimzi))
  end
  list = json.copy(list) or {}
  local had = list[index_of(list, g.name)]
  return { kafka = kafka, had = had, type = kind,
    is_so = had ~= nil and with(list, g.name, wanted(g, kind, had, list)) == nil }
end

local function check(g)
  local seen, why = look(g)
  if not seen then return nil, why end
  local kafka = seen.kafka
  local address = listener.addresses(listener.of_status(kafka, g.name))
  local ok = seen.is_so and state.is_ready(kafka) and address ~= nil
  return {
    ok = ok, seen = { listener = seen.had, address = address }, want = g.name,
    text = ok and ("listener %s is at %s"):format(g.name, address)
      or not seen.had and ("%s has no listener %s"):format(tostring(g.cluster.strimzi), g.name)
      or not seen.is_so and ("listener %s is another one"):format(g.name)
      or ("listener %s is asked for, and %s"):format(g.name, state.text(kafka)),
  }
end

local function await(g, options)
  if change.is_planning() then return true end
  local strimzi = g.cluster.strimzi
  options.within_ms = units.ms(g.within)
  local ready, why = waiting.ready(strimzi, "Kafka", strimzi.name, options)
  return ready and true, why
end

local function before(g, run)
  return run:remember("before", function()
    local seen, why = look(g)
    if not seen then return nil, why end
    return { listener = seen.had }
  end)
end

local function apply(g, run)
  local noted, why = before(g, run)
  if not noted then return nil, why end
  local kind
  kind, why = type_of(g)
  if not kind then return nil, why end
  local strimzi = g.cluster.strimzi
  local ok
  ok, why = change.list(strimzi, LISTENERS, ("add listener %s (%s%s) to %s: its brokers roll")
    :format(g.name, kind, g.tls and ", TLS" or "", tostring(strimzi)), function(list)
      return with(list, g.name, wanted(g, kind, list[index_of(list, g.name)], list))
    end)
  if ok == nil then return nil, why end
  return await(g, { also = has_address(g.name), what = "ready with an address of listener "
    .. g.name })
end

local function undo(g, run)
  local noted, why = before(g, run)
  if not noted then return nil, why end
  local strimzi = g.cluster.strimzi
  local changed
  changed, why = change.list(strimzi, LISTENERS, ("%s listener %s of %s: its brokers roll")
    :format(noted.listener and "put back" or "take away", g.name, tostring(strimzi)),
    function(list) return with(list, g.name, noted.listener) end)
  if changed == nil then return nil, why end
  if not changed then return end
  local ok
  ok, why = await(g, {})
  if not ok then return nil, why end
end

return {
  name = "listener", title = "{cluster} has listener {name}",
  subject = "cluster/{cluster}/listener/{name}",
  takes = {
    { name = "cluster", kind = "cluster", desc = "whose Kafka resource" },
    { name = "name", kind = "text", like = "[a-z0-9]+",
      desc = "lower-case letters and digits, at most 25" },
    { name = "type", kind = "choice", optional = true,
      values = { "route", "loadbalancer", "nodeport", "ingress", "tlsroute", "internal",
        "cluster-ip" }, desc = "default: route on OpenShift, else loadbalancer" },
    { name = "port", kind = "count", min = 9092, optional = true,
      desc = "inside of the pods; default: the first that is free from 9094 on" },
    { name = "tls", kind = "flag", default = true, desc = "encrypted" },
    { name = "authentication", kind = "choice", default = "tls",
      values = { "tls", "scram-sha-512", "none" }, desc = "how its clients log in" },
    { name = "within", kind = "duration", default = "20m",
      desc = "how long the brokers may take to roll" },
  },
  check = check, apply = apply, verify = check, undo = undo,
}
