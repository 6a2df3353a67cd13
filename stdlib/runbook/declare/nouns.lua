--- The nouns of a runbook: Kubernetes, clusters, workloads, bridges, and how one
-- logs in.
-- Each is built by its own module, which contacts nothing, and sealed.

local declaration = require "runbook.declare.declaration"
local err = require "base.err"
local face = require "runbook.declare.face"
local kinds = require "runbook.declare.kinds"
local word_of = require "runbook.declare.word"
local words = require "runbook.declare.schema".words

local M = {}

--- Builds a face by its own module; what the module refuses is a problem here,
-- a string error is a mistake of ours and goes on upwards.
local function construct(module, kind, fields, where)
  if type(module) == "function" then module = module(fields) end
  local made, object = pcall(function()
    return require(module).new(fields)
  end)
  if made and object ~= nil then
    kinds.note(object, kind, fields.name)
    return face.seal(object)
  end
  if err.is(object) then
    declaration.problem(type(object.code) == "string" and object.code or "E0210",
      where, object.message)
  else
    error(object, 0)
  end
  return kinds.nothing
end

--- A word that names a face: cluster "x" { ... }.
local function noun(d, word, module, list, prepare)
  return function(name)
    local title, where = word_of.titled(word, name)
    word_of.claim_name(d, word, title, where)
    local pending = { where = where, word = word, title = title }
    d.pending[#d.pending + 1] = pending
    return function(body)
      pending.done = true
      local before = #d.problems
      local fields = word_of.read(word, title, where, body)
      fields.name = title
      if prepare then prepare(fields, where, body) end
      for _, value in next, fields do
        if value == kinds.nothing then return kinds.nothing end
      end
      if #d.problems > before then return kinds.nothing end
      local object = construct(module, word, fields, where)
      if object ~= kinds.nothing then
        list[#list + 1] = object
        d.places[object] = where
        d.fields[object] = fields
        if word == "workload" and object.known_clusters then
          object:known_clusters(d.clusters)
        end
      end
      return object
    end
  end
end

--- A workload needs something that starts and stops it: a driver is a file in
-- app/driver, named like the field. Without one it is a Deployment, if there is
-- a Kubernetes for it.
local function driven(d)
  return function(fields, where, body)
    if fields.process or fields.hook then return end
    if type(body) == "table" and (body.unit or body.application_id) then return end
    for _, cluster in ipairs(d.clusters) do
      if cluster.on then
        fields.deployment = fields.deployment or true
        return
      end
    end
    declaration.problem("E0211", where, ("%s has nothing that starts and stops it")
      :format(word_of.called("workload", fields.name)),
      "give it process = { \"command\", ... }, hook = { start, stop, status }, or "
        .. "its clusters on = kubernetes \"...\" {}")
  end
end

local ONLY_STRIMZI = { "listener", "user" }

--- A cluster is at addresses, or what a Kafka resource says.
local function located(fields, where, body)
  body = type(body) == "table" and body or {}
  local called = word_of.called("cluster", fields.name)
  local function problem(code, text, hint)
    declaration.problem(code, where, called .. text, hint)
  end
  if body.strimzi == nil then
    if body.bootstrap == nil then
      problem("E0109", " needs 'bootstrap'", "addresses: \"host:9092,host2:9092\"; "
        .. "or strimzi = \"name\", on = kubernetes \"...\" {}")
    end
    for _, name in ipairs(ONLY_STRIMZI) do
      if fields[name] then
        problem("E0210", (" has '%s' and no 'strimzi'"):format(name),
          "it is read from a Kafka resource: name that by strimzi = \"...\"")
      end
    end
    return
  end
  if fields.bootstrap then
    problem("E0210", " has 'bootstrap' and 'strimzi'", "addresses are one or the other's")
  end
  if body.on == nil then
    problem("E0109", " needs 'on'", "the Kubernetes where its Kafka resource is")
  end
  if fields.user and fields.login then
    problem("E0210", " has 'user' and 'login'", "one of them logs in")
  end
end

local function cluster_module(fields)
  return fields.strimzi and "strimzi.face" or "kafka.cluster"
end

local function login_word(word)
  return function(body)
    local where = declaration.here() or {}
    if words[word].unbuilt then
      declaration.problem("E0901", where, ("'%s' is not built yet"):format(word),
        words[word].unbuilt)
      return kinds.nothing
    end
    local fields = word_of.read(word, nil, where, body)
    fields.kind = word
    return word_of.value_of("login", fields)
  end
end

--- The nouns' words, adding to `d`.
---@param d tranship.Declaration
---@param into table<string, any>
function M.add(d, into)
  into.cluster = noun(d, "cluster", cluster_module, d.clusters, located)
  into.workload = noun(d, "workload", "app.workload", d.workloads, driven(d))
  into.bridge = noun(d, "bridge", "mirror.bridge", d.bridges)
  into.kubernetes = noun(d, "kubernetes", "kube.kubernetes", d.kubernetes)
  for _, word in ipairs { "scram", "plain", "certificate", "token" } do
    into[word] = login_word(word)
  end
end

return M
